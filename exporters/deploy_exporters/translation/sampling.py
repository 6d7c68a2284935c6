"""GridSample and AffineGrid: reading a picture at any places between its elements, in any number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.layout import channels_first, channels_last
from deploy_exporters.translation.values import Node, Value, dims, dtype_of, integers, reshaped, tensor

_MODES = {"bilinear": "linear", "bicubic": "cubic"}


def grid_sample(node: Node, x: Value, grid: Value) -> Value:
    """Translate GridSample; the grid's last axis counts the dimensions backwards."""
    sizes, grid = dims(x)[2:], tensor(grid)
    mode = str(node.get("mode", "linear"))
    mode = _MODES.get(mode, mode)
    axes = [_Axis(node, size, grid.dtype) for size in sizes]
    places = [axis.place(grid[..., len(axes) - 1 - i]) for i, axis in enumerate(axes)]
    if mode == "nearest":
        places = [tf.math.round(place) for place in places]
    places = [axis.brought_back(place) for axis, place in zip(axes, places, strict=True)]
    taps = [_taps(mode, place) for place in places]
    wide, total = channels_last(x), None
    for corner in product(*taps):
        weight = _product([tap[1] for tap in corner])
        part = _read(wide, axes, [tap[0] for tap in corner], weight)
        total = part if total is None else total + part
    return channels_first(total)


def affine_grid(node: Node, theta: Value, size: Value) -> Value:
    """Translate AffineGrid: every place of the picture, turned and moved; the last axis counts backwards."""
    space = integers(node, size, "size")[2:]
    lines = []
    for count in space:
        steps = np.linspace(-1, 1, count) if node.get("align_corners", 0) else (2 * np.arange(count) + 1) / count - 1
        lines.append(steps)
    grid = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(space)], axis=-1)
    flat = grid.reshape(-1, len(space) + 1).astype(dtype_of(theta).as_numpy_dtype)
    moved = tf.linalg.matmul(flat[np.newaxis], tensor(theta), transpose_b=True)
    return reshaped(moved, [dims(theta)[0], *space, len(space)])


class _Axis:
    """One axis of the picture: its size and where its edges lie."""

    def __init__(self, node: Node, size: Value, dtype: Any) -> None:
        self.aligned, self.padding = bool(node.get("align_corners", 0)), node.get("padding_mode", "zeros")
        self.size = tf.cast(size, dtype)
        edge = tf.cast(0.0 if self.aligned else 0.5, dtype)
        self.low, self.high = -edge, self.size - 1 + edge

    def place(self, at: Any) -> Any:
        """Turn -1 … 1 into element numbers."""
        if self.aligned:
            return (at + 1) / 2 * (self.size - 1)
        return ((at + 1) * self.size - 1) / 2

    def brought_back(self, place: Any) -> Any:
        """Move what lies outside to the edge, or mirror it; zeros are put in later."""
        if self.padding == "zeros":
            return place
        if self.padding == "border":
            return tf.clip_by_value(place, 0, self.size - 1)
        span = self.high - self.low
        distance = tf.math.abs(place - self.low)
        turns = tf.math.floor(distance / span)
        rest = distance - turns * span
        even = tf.math.floormod(turns, 2) == 0
        mirrored = tf.where(even, self.low + rest, self.high - rest)
        return tf.where(tf.logical_or(place < self.low, place > self.high), mirrored, place)


def _taps(mode: str, place: Any) -> list[tuple[Any, Any]]:
    """Give the elements that count along one axis, each with its weight."""
    if mode == "nearest":
        return [(place, tf.ones_like(place))]
    base = tf.math.floor(place)
    t = place - base
    if mode == "linear":
        return [(base, 1 - t), (base + 1, t)]
    return [(base + step, _cubic(tf.math.abs(t - step))) for step in (-1, 0, 1, 2)]


def _cubic(x: Any, a: float = -0.75) -> Any:
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return tf.where(x <= 1, near, far)


def _product(factors: Sequence[Any]) -> Any:
    result = factors[0]
    for factor in factors[1:]:
        result = result * factor
    return result


def _read(wide: Any, axes: Sequence[_Axis], places: Sequence[Any], weight: Any) -> Any:
    """Read one element for every place, weighted; outside, with zeros as padding, nothing."""
    index = []
    for axis, place in zip(axes, places, strict=True):
        inside = tf.clip_by_value(axis.brought_back(place), 0, axis.size - 1)
        index.append(tf.cast(inside, tf.int32))
        if axis.padding == "zeros":
            weight = tf.where(tf.logical_and(place >= 0, place <= axis.size - 1), weight, tf.zeros_like(weight))
    found = tf.gather_nd(wide, tf.stack(index, axis=-1), batch_dims=1)
    return found * tf.cast(weight, wide.dtype)[..., tf.newaxis]
