"""Example inputs: made from specs, brought to a number of rows; and what of them is no input at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deploy_core.dtypes import dtype_name, is_float, numpy_dtype
from deploy_core.errors import ExportError, UsageError
from deploy_core.signature import BATCH, Array, Tensors, TensorSpec

_MADE_UP = 16  # the size of a symbol in inputs that nobody gave: most models can halve it, and look so many ids up


def from_specs(specs: Sequence[TensorSpec], *, static: bool = False) -> dict[str, Array]:
    """Make fixed pseudo-random inputs of two rows; other symbols get a size that most models take.

    Raises UsageError for symbols that are to be fixed to an example's size, which nobody gave.
    """
    if static:
        _require_known_sizes(specs)
    random = np.random.default_rng(0)
    return {spec.name: _random(spec, random) for spec in specs}


def rows(example: Tensors, count: int) -> dict[str, Array]:
    """Give the example with `count` rows, its own repeated if there are fewer."""
    return {
        name: np.ascontiguousarray(array[np.arange(count) % len(array)]) if array.ndim else array
        for name, array in example.items()
    }


def at_least_two_rows(example: Tensors, *, static: bool = False) -> dict[str, Array]:
    """Repeat a single row, unless its size is to stay: converters take a batch of 1 for a constant.

    Raises UsageError for an empty example.
    """
    if static:
        return dict(example)
    lengths = [len(array) for array in example.values() if array.ndim]
    if 0 in lengths:
        raise UsageError("the example inputs are empty", hint="give at least one row")
    return rows(example, max(2, *lengths)) if len(set(lengths)) == 1 else dict(example)


def check_numbers(outputs: Tensors) -> None:
    """Raise ExportError if an output is NaN."""
    for name, array in outputs.items():
        if is_float(dtype_name(array.dtype)) and np.isnan(array.astype(np.complex128)).any():
            raise ExportError(
                f"output {name!r} of the source model is NaN for the example inputs",
                hint="nothing could be compared with it; check the weights and the example",
            )


def shown(arrays: Tensors) -> str:
    """Give names, dtypes and shapes for a message."""
    return ", ".join(f"{name}:{array.dtype}{list(array.shape)}" for name, array in arrays.items())


def check_batch(specs: Sequence[TensorSpec], *, static: bool = False) -> None:
    """Raise UsageError unless every given spec has the batch among its dimensions."""
    for spec in specs:
        if BATCH not in spec.shape and not static:
            rest = ",".join(map(str, (BATCH, *spec.shape[1:])))
            raise UsageError(
                f"input {spec} has no batch among its dimensions",
                hint=f"write {spec.name}:{spec.dtype}[{rest}], or fix it with --static",
            )


def _require_known_sizes(specs: Sequence[TensorSpec]) -> None:
    symbols = [dim for spec in specs for dim in spec.shape if isinstance(dim, str)]
    if symbols:
        raise UsageError(
            f"--static fixes {', '.join(dict.fromkeys(symbols))} to the sizes of an example, and there is none",
            hint="give --example FILE.npz, or numbers: --input NAME:DTYPE[1,…]",
        )


def _random(spec: TensorSpec, random: np.random.Generator) -> Array:
    shape = [dim if isinstance(dim, int) else 2 if dim == BATCH else _MADE_UP for dim in spec.shape]
    if is_float(spec.dtype):
        return random.standard_normal(shape).astype(numpy_dtype(spec.dtype))
    if spec.dtype == "string":
        return np.full(shape, b"text", dtype=object)
    return random.integers(0, 2, shape).astype(numpy_dtype(spec.dtype))
