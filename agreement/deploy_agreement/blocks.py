"""Large arrays part by part: what is computed of some 30,000 elements at a time stays in the cache and takes no memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from deploy_core.signature import Array

MOST = 2**15  # elements; in float64 four arrays of so many fill half of an ordinary second cache
Block = tuple[Any, ...]  # of slices, as arrays are indexed by it


def blocks(shape: tuple[int, ...], most: int = MOST) -> Iterator[Block]:
    """Give the parts of an array of that shape, in the order of its elements: a slice for each axis, and `...`.

    What has no more than `most` elements, and be it none, is one part.
    """
    for slices in _slices(shape, most):
        yield (*slices, ...)


def along(block: Block, axes: Iterable[int]) -> Block:
    """Give where the figures of a part belong, in an array whose `axes` are 1 long."""
    over = frozenset(axes)
    return tuple(slice(None) if axis in over else one for axis, one in enumerate(block))


def least(keys: Array, count: int) -> Array:
    """Give the places of the least keys in order, of equals the first, without a sort of all."""
    near = np.arange(keys.size)
    if keys.size > count:
        near = np.flatnonzero(keys <= np.partition(keys, count - 1)[count - 1])
    return near[np.argsort(keys[near], kind="stable")[:count]]


def _slices(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, ...]]:
    if math.prod(shape) <= most:
        yield (slice(None),) * len(shape)
        return
    step = max(1, most // math.prod(shape[1:]))
    for start in range(0, shape[0], step):
        for inner in _slices(shape[1:], most):
            yield (slice(start, start + step), *inner)
