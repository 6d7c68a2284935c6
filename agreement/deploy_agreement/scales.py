"""The scales of an output: how great its values are, how far they lie apart, and between which ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from deploy_agreement.blocks import Block, along, blocks
from deploy_core.dtypes import dtype_name
from deploy_core.signature import Array

_SQUARES_OVERFLOW = 2.0**500
_DOUBLE = (np.float64, np.complex128)


@dataclass(frozen=True)
class Scales:
    """Figures of an array along some axes, which stay with a length of 1.

    `greatest` is the greatest magnitude of the finite values, `mean` the magnitude of their mean, `spread` their standard
    deviation. All values lie between `low` and `high`, which are NaN where one is NaN or complex.
    """

    greatest: Array
    mean: Array
    spread: Array
    low: Array
    high: Array


def scales(want: Array, axes: Iterable[int]) -> Scales:
    """Give the scales of values along these axes; 0 for what is not a number."""
    over = tuple(axes)
    shape = tuple(1 if axis in over else size for axis, size in enumerate(want.shape))
    if dtype_name(want.dtype) in ("string", "bool"):
        return Scales(*(np.zeros(shape) for _ in range(5)))
    unit = _unit(want)
    sums = _Sums(shape, over, wide(want[..., :0] if want.ndim else want).dtype)
    for block, values in _parts(want, unit):
        sums.add(along(block, over), values)
    count = np.maximum(sums.count, 1)
    centre = np.divide(sums.total, count, out=sums.total)
    for block, values in _parts(want, unit):
        sums.add_squares(along(block, over), values, centre)
    spread = np.sqrt(np.divide(sums.squares, count, out=sums.squares), out=sums.squares)
    found = Scales(sums.greatest, np.abs(centre), spread, sums.low, sums.high)
    return found if unit == 1.0 else Scales(*(unit * one for one in vars(found).values()))


def reach(array: Array) -> float:
    """Give the greatest magnitude of the finite values; 0 for what is not a number."""
    if dtype_name(array.dtype) in ("string", "bool"):
        return 0.0
    sizes = (np.asarray(np.abs(wide(array[block]))) for block in blocks(array.shape))
    return max(float(size.max(initial=0.0, where=np.isfinite(size))) for size in sizes)


def wide(array: Array) -> Array:
    """Give numbers as float64 or complex128: a copy."""
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _unit(want: Array) -> float:
    """Give what values are divided by, so that no square of one overflows."""
    greatest = reach(want) if want.dtype in _DOUBLE else 0.0
    return greatest if greatest > _SQUARES_OVERFLOW else 1.0


def _parts(want: Array, unit: float) -> Iterator[tuple[Block, Array]]:
    for block in blocks(want.shape):
        values = wide(want[block])
        yield block, values if unit == 1.0 else values / unit


class _Sums:
    """What is known of the parts that were added, each at its place."""

    def __init__(self, shape: tuple[int, ...], over: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
        self.over = over
        self.finite = True  # all that was added
        self.total = np.zeros(shape, dtype)
        self.count = np.zeros(shape, np.intp)
        self.greatest, self.squares = np.zeros(shape), np.zeros(shape)
        self.low, self.high = np.full(shape, np.inf), np.full(shape, -np.inf)

    def add(self, place: Block, values: Array) -> None:
        """Add values, which are used up."""
        low, high = self._ends(values)
        np.minimum(self.low[place], low, out=self.low[place])
        np.maximum(self.high[place], high, out=self.high[place])
        if np.isfinite(low).all() and np.isfinite(high).all():
            self._sum(place, values, values.size // max(1, low.size), np.maximum(-low, high))
        else:
            self.finite = False
            finite = np.isfinite(values)
            values[~finite] = 0.0
            size = np.asarray(np.abs(values))
            count = finite.sum(axis=self.over, keepdims=True)
            self._sum(place, values, count, size.max(axis=self.over, keepdims=True, initial=0.0))

    def add_squares(self, place: Block, values: Array, centre: Array) -> None:
        """Add the squares of how far values lie from their centre; they are used up."""
        finite = True if self.finite else np.isfinite(values)
        values -= centre[place]
        size = np.abs(values) if values.dtype.kind == "c" else values
        squares = np.square(size).sum(axis=self.over, keepdims=True, where=finite)
        self.squares[place] += squares

    def _sum(self, place: Block, values: Array, count: Array | int, greatest: Array) -> None:
        self.total[place] += values.sum(axis=self.over, keepdims=True)
        self.count[place] += count
        np.maximum(self.greatest[place], greatest, out=self.greatest[place])

    def _ends(self, values: Array) -> tuple[Array, Array]:
        real = values if values.dtype.kind == "f" else np.full(values.shape, np.nan)
        return (
            real.min(axis=self.over, keepdims=True, initial=np.inf),
            real.max(axis=self.over, keepdims=True, initial=-np.inf),
        )
