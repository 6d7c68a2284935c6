"""Which axis of each tensor holds the rows of a batch, and how to take some of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deploy_core.signature import BATCH, Array, Signature, Tensors, TensorSpec

GOLDEN = 64  # golden rows, where the batch is free
SLICES = 3  # how many slices of the rows are asked for at each batch size


@dataclass(frozen=True)
class Rows:
    """Axis by tensor name; a tensor that is not named has no rows and goes into every batch whole."""

    count: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


def rows_of(signature: Signature, inputs: Tensors, outputs: Tensors) -> Rows:
    """Find the rows by the batch symbol of the signature; where it has none (a frozen file), by the first axis."""
    symbol = batch_symbol(signature.inputs)
    specs = {spec.name: spec for spec in (*signature.inputs, *signature.outputs)}
    sizes = [
        array.shape[axis] for name, array in inputs.items() if (axis := _marked(specs.get(name), symbol)) is not None
    ]
    count = sizes[0] if sizes else next((len(array) for array in inputs.values() if array.ndim), 0)

    def axes(tensors: Tensors) -> dict[str, int]:
        found = {name: _axis(specs.get(name), symbol, array, count) for name, array in tensors.items()}
        return {name: axis for name, axis in found.items() if axis is not None}

    return Rows(count, axes(inputs), axes(outputs))


def batch_symbol(specs: Iterable[TensorSpec]) -> str | None:
    """Give the symbol of the batch: `batch` if there is one, else the first symbol on a first axis."""
    shapes = [spec.shape for spec in specs]
    if any(BATCH in shape for shape in shapes):
        return BATCH
    return next((shape[0] for shape in shapes if shape and isinstance(shape[0], str)), None)


def take(tensors: Tensors, axes: Mapping[str, int], index: Array) -> dict[str, Array]:
    """Give the rows of that index, in its order."""
    return {
        name: np.ascontiguousarray(array[(slice(None),) * axes[name] + (index,)]) if name in axes else array
        for name, array in tensors.items()
    }


def rows_at(array: Array, axis: int, index: Array) -> Array:
    """Give some rows, without a copy where they lie one after another."""
    rows: Any = index
    if len(index) and np.array_equal(index, np.arange(index[0], index[0] + len(index))):
        rows = slice(int(index[0]), int(index[0]) + len(index))
    return np.asarray(array[(*(slice(None),) * axis, rows)])


def concatenated(tensors: Sequence[Tensors], axes: Mapping[str, int]) -> dict[str, Array]:
    """Give several batches as one, by the axis of the rows of each tensor; one without rows as the first has it."""
    return {
        name: np.concatenate([each[name] for each in tensors], axis=axes[name]) if name in axes else array
        for name, array in tensors[0].items()
    }


def batches_of(count: int, sizes: Sequence[int]) -> Iterator[Array]:
    """Give the row numbers of each batch to ask for: all rows, then slices of each size.

    The slices lie apart, so that not only the first rows are tried; the last of each size ends with the last row. Too
    few rows are repeated, so that every size is tried whatever their number.
    """
    yield np.arange(count)
    start = 1
    for size in sizes:
        for turn in range(SLICES):
            first = count - size if turn == SLICES - 1 else start
            yield (first + np.arange(size)) % count
            start += size + count // 5


def _marked(spec: TensorSpec | None, symbol: str | None) -> int | None:
    if spec is None or symbol is None or symbol not in spec.shape:
        return None
    return spec.shape.index(symbol)


def _axis(spec: TensorSpec | None, symbol: str | None, array: Array, count: int) -> int | None:
    marked = _marked(spec, symbol)
    if marked is not None and marked < array.ndim and array.shape[marked] == count:
        return marked
    fixed = spec is not None and symbol is not None and bool(spec.shape) and isinstance(spec.shape[0], int)
    return 0 if array.ndim and array.shape[0] == count and not fixed else None


def shapes_of(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    """Give the shape of each tensor by its name."""
    return {name: array.shape for name, array in tensors.items()}
