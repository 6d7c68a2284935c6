"""Whether two arrays hold the same values, lying as they do or with their axes in another order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from math import prod

import numpy as np

from deploy_agreement.figures import deviation
from deploy_core.signature import Array

_MOST_AXES = 5  # 120 orders; nothing that a runtime does needs more
_SAMPLE = 256


@dataclass(frozen=True)
class Layout:
    """How an array becomes like another: its axes in this order, then in this shape.

    With `parts`, it is laid out in that shape before: an axis of it is several of the other.
    """

    axes: tuple[int, ...]
    shape: tuple[int, ...]
    parts: tuple[int, ...] = ()

    def of(self, array: Array) -> Array:
        """Lay an array out like this."""
        return self.turned(array).reshape(self.shape)

    def turned(self, array: Array) -> Array:
        """Give a view of an array with the axes in the order."""
        return array.reshape(self.parts or array.shape).transpose(self.axes)

    def back(self, array: Array, like: tuple[int, ...]) -> Array:
        """Lay an array of this layout out as the first of the two was, whose shape is `like`."""
        before = self.parts or like
        there = tuple(before[axis] for axis in self.axes)
        return array.reshape(there).transpose(np.argsort(self.axes)).reshape(like)

    @property
    def plain(self) -> bool:
        """Whether the axes keep their order."""
        return self.axes == tuple(sorted(self.axes))


def layouts(one: tuple[int, ...], other: tuple[int, ...]) -> Iterator[Layout]:
    """Give the ways in which an array of the one shape lies like the other, the plain one first."""
    if prod(one) != prod(other):
        return
    yield from _joined(one, other)
    if sum(size != 1 for size in other) > sum(size != 1 for size in one):
        # Where axes of the other are joined in the one: from the other's side.
        yield from (
            Layout(tuple(map(int, np.argsort(way.axes))), other, tuple(other[axis] for axis in way.axes))
            for way in _joined(other, one)
            if not way.plain
        )


def _joined(one: tuple[int, ...], other: tuple[int, ...]) -> Iterator[Layout]:
    wide = [axis for axis, size in enumerate(one) if size != 1]
    if len(wide) > _MOST_AXES:
        yield Layout(tuple(range(len(one))), other)
        return
    thin = [axis for axis, size in enumerate(one) if size == 1]
    bare = tuple(size for size in other if size != 1)
    for order in permutations(wide):
        sizes = tuple(one[axis] for axis in order)
        if sizes == bare or len(sizes) != len(bare):
            yield Layout(tuple(thin) + order if order != tuple(wide) else tuple(range(len(one))), other)


def nearest(one: Array, other: Array, limit: float) -> tuple[Layout, float] | None:
    """Give the layout in which `one` lies nearest to `other`, and the greatest deviation; the first that keeps to `limit`."""
    best: tuple[Layout, float] | None = None
    for layout in layouts(one.shape, other.shape):
        off = _off(one, other, layout, limit)
        if best is None or off < best[1]:
            best = (layout, off)
        if off <= limit:
            break
    return best


def equal(one: Array, other: Array, limit: float) -> tuple[Layout, float] | None:
    """Give a layout in which `one` keeps within `limit` of `other`, and the greatest deviation; None if there is none."""
    found = nearest(one, other, limit)
    return found if found is not None and found[1] <= limit else None


def nearness(one: Array, other: Array) -> float:
    """Judge by a sample how much of `other` is `one` in some layout: 1 for equal ones, 0 for what has nothing in common."""
    return max((near for _, near in judged(one, other)), default=0.0)


def judged(one: Array, other: Array) -> list[tuple[Layout, float]]:
    """Give every layout with its nearness, the plain one first."""
    wide = float(np.std(one)) if one.dtype.kind in "fiu" else 0.0
    if not wide or one.size != other.size:
        return [(way, 0.0) for way in layouts(one.shape, other.shape)]
    places = _places(one.size)
    seen = other.reshape(-1)[places].astype(np.float64)
    return [
        (way, _near(float(np.sqrt(np.mean((_sampled(one, way, places) - seen) ** 2))) / wide))
        for way in layouts(one.shape, other.shape)
    ]


def _near(off: float) -> float:
    return max(0.0, 1 - off) if np.isfinite(off) else 0.0


def same_values(one: Array, other: Array, limit: float) -> bool:
    """Tell whether both hold the same values in any order."""
    if one.size != other.size or not one.size:
        return False
    return bool((deviation(np.sort(one, axis=None), np.sort(other, axis=None), nan_agrees=True) <= limit).all())


def _off(one: Array, other: Array, layout: Layout, limit: float) -> float:
    """Give the greatest deviation; of a sample, if that is beyond the limit already by far."""
    if one.size > 2 * _SAMPLE:
        places = _places(one.size)
        least = _greatest(_sampled(one, layout, places), other.reshape(-1)[places])
        if least > 64 * limit:
            return least
    return _greatest(layout.of(one), other)


def _places(size: int) -> Array:
    return np.linspace(0, size - 1, min(size, _SAMPLE)).astype(np.int64)


def _sampled(one: Array, layout: Layout, places: Array) -> Array:
    turned = layout.turned(one)  # a view: nothing is copied for a layout that does not fit
    return np.asarray(turned[np.unravel_index(places, turned.shape)])


def _greatest(one: Array, other: Array) -> float:
    apart = deviation(one, other, nan_agrees=True)
    return float(apart.max()) if apart.size else 0.0
