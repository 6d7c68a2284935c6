"""The noise of each element of an output, from how far it moved in every row that it was measured with.

The greatest of 64 rows is a good measure of an element's noise if many rows moved it: of 64 equal normal ones it is 2.4
times their deviation, and hardly ever less than 1.5 times. It is a bad one where few rows did: a ReLU that let one row
through, a probability that was above 1e-9 once. Such an element, whose rows together moved less than `ENOUGH` times the
greatest of them, is given what the elements around it have, if that is more: their usual noise, and their noise in units
of how far the wanted values reach, at its own reach. So a small column of which much is known is held to its own noise,
and one of which nothing is known to its neighbours'.

Places of an image share their weights and are computed together: a convolution by Winograd's transform rounds by what is
in its tile, also where the image itself is empty. So each is given at least what nine of ten places of its channel have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deploy_agreement.blocks import Block, along, blocks
from deploy_agreement.figures import magnitude
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array

ENOUGH = 6.0
IMAGE = 4  # axes that an image has at least
_HIGH = 0.9  # of all, what an element of which little is known is given


@dataclass(frozen=True)
class Moved:
    """How far each element of an output moved over some rows, the greatest and in all, and between which values it lies."""

    greatest: Array
    total: Array
    low: Array
    high: Array

    def add(self, place: Block, apart: Array, values: Array, over: tuple[int, ...]) -> None:
        """Add how far some values moved, whose rows lie along `over`."""
        self.total[place] += apart.sum(axis=over, keepdims=True)
        most = apart.max(axis=over, keepdims=True, initial=0.0)
        low = np.fmin.reduce(values, axis=over, keepdims=True, initial=np.nan)
        high = np.fmax.reduce(values, axis=over, keepdims=True, initial=np.nan)
        np.maximum(self.greatest[place], most, out=self.greatest[place])
        np.fmin(self.low[place], low, out=self.low[place])
        np.fmax(self.high[place], high, out=self.high[place])

    def with_rows(self, other: Moved) -> Moved:
        """Add those of other rows."""
        return Moved(
            np.maximum(self.greatest, other.greatest),
            self.total + other.total,
            np.fmin(self.low, other.low),
            np.fmax(self.high, other.high),
        )


def moved(want: Array, apart: Array, axes: Sequence[int]) -> Moved:
    """Reduce how far an output moved to one figure for each element, whose rows lie along `axes`."""
    over = tuple(axes)
    shape = tuple(1 if axis in over else size for axis, size in enumerate(want.shape))
    found = Moved(np.zeros(shape), np.zeros(shape), np.full(shape, np.nan), np.full(shape, np.nan))
    for block in blocks(want.shape):
        found.add(along(block, over), apart[block], _real(want[block]), over)
    return found


def pooled(found: Moved) -> Array | float:
    """Give the noise of each element, as an array that broadcasts over rows; a number if all have the same."""
    noise = found.greatest
    few = found.total < ENOUGH * noise
    if noise.ndim >= IMAGE and noise.size:
        noise = np.maximum(noise, np.quantile(noise, _HIGH, axis=_places(noise.shape), keepdims=True))
        few = np.zeros(noise.shape, np.bool_)  # the other places of its channel tell enough
    if noise.size > 1 and noise.any():
        noise = np.where(few | (noise == 0), np.maximum(noise, _around(noise, found)), noise)
    return float(noise.max()) if noise.size == 1 else noise


def _around(noise: Array, found: Moved) -> Array:
    """Give what an element of which little is known is given: the usual noise, and that by reach at its own reach."""
    with np.errstate(over="ignore"):
        reach = np.nan_to_num(found.high - found.low)
    by_reach = noise[(noise > 0) & (reach > 0)] / reach[(noise > 0) & (reach > 0)]
    usual = np.median(noise[noise > 0])
    return np.maximum(usual, np.quantile(by_reach, _HIGH) * reach) if by_reach.size else np.full(noise.shape, usual)


def _places(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the axes of an image but for its channels, which are the shorter of the second axis and the last."""
    channels = min((axis for axis in (1, len(shape) - 1) if shape[axis] > 1), key=lambda axis: shape[axis], default=1)
    return tuple(axis for axis in range(len(shape)) if axis != channels)


def fit(one: tuple[int, ...], array: tuple[int, ...]) -> bool:
    """Tell whether figures of that shape, one for each element, are figures for the elements of such an array."""
    same = len(one) == len(array) and all(a in (1, b) for a, b in zip(one, array, strict=True))
    return same or not one


def _real(want: Array) -> Array:
    if not is_float(dtype_name(want.dtype)):
        return np.zeros(want.shape)
    values = magnitude(want) if want.dtype.kind == "c" else want.astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)
