"""The signature of a model, found out by asking it at several sizes of each of its dynamic dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from deploy_core.dtypes import dtype_name
from deploy_core.errors import ExportError, UsageError
from deploy_core.signature import BATCH, Array, Dim, Signature, Tensors, TensorSpec


class Ask(Protocol):
    """Answers inputs. Raises UsageError if it cannot, ExportError if it could answer `after`."""

    def __call__(self, arrays: Tensors, *, after: Tensors | None = None) -> Tensors:
        """Give the outputs by name."""


@dataclass(frozen=True)
class _Varied:
    """A symbol in two sizes, and the answer for the second."""

    own: int
    other: int
    answer: Tensors


def told(
    specs: Sequence[TensorSpec], example: Tensors, ask: Ask, names: Sequence[str], *, static: bool = False
) -> Signature:
    """Ask for two rows of the example, then with every symbol in another size, and tell the outputs' specs from that.

    `names` override the outputs' own; `static` fixes every dimension to the example's size. Symbols that nobody named,
    such as `mask_1`, become one if the model takes them only together. Raises UsageError, and ExportError for a dimension that the model itself keeps at one size.
    """
    specs = _fixed(specs, example) if static else specs
    inputs = Signature(tuple(specs), ())
    base = inputs.sized(example, {BATCH: 2})
    first = ask(base)
    own = inputs.sizes(base)
    varied: dict[str, _Varied] = {}
    one: dict[str, str] = {}
    for symbol in inputs.symbols:
        if symbol not in one:
            sizes, answer = _another(inputs, base, symbol, ask)
            _check_same(first, answer)
            varied[symbol] = _Varied(own[symbol], sizes[symbol], answer)
            one |= dict.fromkeys(sizes, symbol)
    _check_outputs(names, first)
    outputs = (_spec(name, first[key], key, varied) for name, key in zip(names or first, first, strict=True))
    return Signature(tuple(_renamed(spec, one) for spec in specs), tuple(outputs))


def require_free_batch(specs: Sequence[TensorSpec], what: str, *, hint: str, static: bool = False) -> None:
    """Raise ExportError for an input whose first dimension is a number, unless that was asked for.

    The batch may stand elsewhere: the state of a recurrent model has its layers first.
    """
    for spec in specs:
        if spec.shape and isinstance(spec.shape[0], int) and BATCH not in spec.shape and not static:
            raise ExportError(
                f"the batch of {what} is frozen: it takes {spec}", hint=f"{hint}, or keep it so with --static"
            )


def _fixed(specs: Sequence[TensorSpec], example: Tensors) -> tuple[TensorSpec, ...]:
    return tuple(replace(spec, shape=example[spec.name].shape) for spec in specs)


def _another(inputs: Signature, base: Tensors, symbol: str, ask: Ask) -> tuple[dict[str, int], Tensors]:
    """Find a size that the model takes; give it for all symbols that had to change with this one."""
    own = inputs.sizes(base)
    tied = [each for each in own if own[each] == own[symbol] and _unnamed(inputs, each) and _unnamed(inputs, symbol)]
    groups = [[symbol], tied] if len(tied) > 1 else [[symbol]]
    size = own[symbol]
    grown, shrunk = ([size + 1, 2 * size, 3 * size], [size - 1, size // 2]) if symbol != BATCH else ([3], [])
    failures = []
    for sizes in (dict.fromkeys(group, n) for some in (grown, shrunk) for group in groups for n in some if n):
        try:
            return sizes, ask(inputs.sized(base, sizes), after=base)
        except ExportError as error:
            failures.append(error)
    raise failures[0]


def _unnamed(inputs: Signature, symbol: str) -> bool:
    """Whether a symbol is called after the first input that has it, for want of a name."""
    return symbol in {f"{spec.name}_{axis}" for spec in inputs.inputs for axis in range(len(spec.shape))}


def _renamed(spec: TensorSpec, names: Mapping[str, str]) -> TensorSpec:
    return replace(spec, shape=tuple(names.get(dim, dim) if isinstance(dim, str) else dim for dim in spec.shape))


def _check_outputs(names: Sequence[str], answer: Tensors) -> None:
    if names and len(names) != len(answer):
        raise UsageError(
            f"{len(names)} output names are given, the model has {len(answer)} outputs",
            hint=f"its own names are {', '.join(answer)}",
        )
    if len(set(names)) != len(names):
        raise UsageError(f"two outputs would have one name: {', '.join(names)}", hint="name each output apart")


def _check_same(first: Tensors, other: Tensors) -> None:
    if list(first) != list(other):
        raise ExportError("the model's outputs depend on the size of its inputs", hint="return the same outputs always")
    for name, array in first.items():
        if array.ndim != other[name].ndim:
            raise ExportError(
                f"output {name!r} has {array.ndim} dimensions, and {other[name].ndim} for inputs of another size",
                hint="give it the same dimensions always",
            )


def _spec(name: str, array: Array, key: str, varied: Mapping[str, _Varied]) -> TensorSpec:
    shape = tuple(_dim(name, axis, size, key, varied) for axis, size in enumerate(array.shape))
    return TensorSpec(name, dtype_name(array.dtype), shape)


def _dim(name: str, axis: int, size: int, key: str, varied: Mapping[str, _Varied]) -> Dim:
    """A number; the symbol that it follows; or a symbol of its own if it follows several, or not to the letter."""
    moved = {symbol: each for symbol, each in varied.items() if each.answer[key].shape[axis] != size}
    if not moved:
        return size
    symbol, each = next(iter(moved.items()))
    follows = len(moved) == 1 and (size, each.answer[key].shape[axis]) == (each.own, each.other)
    return symbol if follows else f"{name}_{axis}"
