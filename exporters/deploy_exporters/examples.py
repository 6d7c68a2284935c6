"""Example inputs: made from specs, brought to a number of rows; and what a model's answers to them tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deploy_core.dtypes import dtype_name, is_float, numpy_dtype
from deploy_core.errors import ExportError, UsageError
from deploy_core.signature import BATCH, Array, Dim, Tensors, TensorSpec

_SYMBOL_SIZE = 8


def from_specs(specs: Sequence[TensorSpec], *, rows: int = 2) -> dict[str, Array]:
    """Make fixed pseudo-random inputs; a symbol other than the batch becomes 8."""
    random = np.random.default_rng(0)
    return {spec.name: _random(spec, rows, random) for spec in specs}


def rows(example: Tensors, count: int) -> dict[str, Array]:
    """Give the example with `count` rows, its own repeated if there are fewer."""
    return {
        name: np.ascontiguousarray(array[np.arange(count) % len(array)]) if array.ndim else array
        for name, array in example.items()
    }


def at_least_two_rows(example: Tensors) -> dict[str, Array]:
    """Repeat a single row: converters take a batch of 1 for a constant. Raises UsageError for an empty example."""
    lengths = [len(array) for array in example.values() if array.ndim]
    if 0 in lengths:
        raise UsageError("the example inputs are empty", hint="give at least one row")
    return rows(example, max(2, *lengths)) if len(set(lengths)) == 1 else dict(example)


def output_specs(two: Tensors, three: Tensors, names: Sequence[str]) -> tuple[TensorSpec, ...]:
    """Tell outputs' specs from the answers to 2 and to 3 rows; `names` override the model's own."""
    if names and len(names) != len(two):
        raise UsageError(
            f"{len(names)} output names are given, the model has {len(two)} outputs",
            hint=f"its own names are {', '.join(two)}",
        )
    if list(two) != list(three):
        raise ExportError("the model's outputs depend on the size of the batch", hint="return the same outputs always")
    chosen = tuple(names) or tuple(two)
    return tuple(_spec(name, two[own], three[own]) for name, own in zip(chosen, two, strict=True))


def check_numbers(outputs: Tensors) -> None:
    """Raise ExportError if an output is NaN."""
    for name, array in outputs.items():
        if is_float(dtype_name(array.dtype)) and np.isnan(array.astype(np.complex128)).any():
            raise ExportError(
                f"output {name!r} of the source model is NaN for the example inputs",
                hint="nothing could be compared with it; check the weights and the example",
            )


def shown(array: Array) -> str:
    """Give dtype and shape for a message."""
    return f"{array.dtype}{list(array.shape)}"


def check_batch(specs: Sequence[TensorSpec]) -> None:
    """Raise UsageError unless the first dimension of every given spec is the batch."""
    for spec in specs:
        if not spec.shape or spec.shape[0] != BATCH:
            rest = ",".join(map(str, (BATCH, *spec.shape[1:])))
            raise UsageError(
                f"input {spec} has no batch as its first dimension", hint=f"write {spec.name}:{spec.dtype}[{rest}]"
            )


def _random(spec: TensorSpec, rows: int, random: np.random.Generator) -> Array:
    shape = [_size(dim, rows) for dim in spec.shape]
    if is_float(spec.dtype):
        return random.standard_normal(shape).astype(numpy_dtype(spec.dtype))
    if spec.dtype == "string":
        return np.full(shape, b"text", dtype=object)
    return random.integers(0, 2, shape).astype(numpy_dtype(spec.dtype))


def _size(dim: Dim, rows: int) -> int:
    if isinstance(dim, int):
        return dim
    return rows if dim == BATCH else _SYMBOL_SIZE


def _spec(name: str, two: Array, three: Array) -> TensorSpec:
    if two.ndim != three.ndim:
        raise ExportError(f"output {name!r} has {two.ndim} dimensions for 2 rows and {three.ndim} for 3")
    pairs = enumerate(zip(two.shape, three.shape, strict=True))
    shape = tuple(a if a == b else (BATCH if (a, b) == (2, 3) else f"{name}_{axis}") for axis, (a, b) in pairs)
    return TensorSpec(name, dtype_name(two.dtype), shape)
