"""Resizing along an axis whose size is known only at run time: every element is read from its neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from deploy_exporters.translation.values import Value, rank

# not here: those that need the whole axis at once
COORDINATES = ("align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel")


@dataclass(frozen=True)
class Stretch:
    """How one axis changes; `scale` is NaN where the result's size was given instead."""

    axis: int
    size: Value
    result: Value
    scale: float
    coordinates: str


def nearest(x: Any, stretch: Stretch, rounding: str) -> Any:
    """Take the nearest element, ties and fractions as `rounding` says."""
    index = _ROUNDED[rounding](_places(stretch))
    return _read(x, stretch, index)


_ROUNDED: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda places: tf.math.ceil(places - 0.5),
    "round_prefer_ceil": lambda places: tf.math.floor(places + 0.5),
    "floor": tf.math.floor,
    "ceil": tf.math.ceil,
}


def linear(x: Any, stretch: Stretch) -> Any:
    """Mix the two elements on either side."""
    places = _places(stretch)
    base = tf.math.floor(places)
    return _mixed(x, stretch, base, [(0, base + 1 - places), (1, places - base)])


def cubic(x: Any, stretch: Stretch, a: float) -> Any:
    """Mix the four elements around by the cubic kernel with this coefficient."""
    places = _places(stretch)
    base = tf.math.floor(places)
    t = places - base
    near = [(step, ((a + 2) * d - (a + 3)) * d * d + 1) for step, d in ((0, t), (1, 1 - t))]
    far = [(step, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a) for step, d in ((-1, t + 1), (2, 2 - t))]
    return _mixed(x, stretch, base, [*near, *far])


def _places(stretch: Stretch) -> Any:
    """Say where in the input each element of the result lies."""
    size, result = (tf.cast(value, tf.float32) for value in (stretch.size, stretch.result))
    scale = result / size if math.isnan(stretch.scale) else tf.constant(stretch.scale, tf.float32)
    at = tf.range(tf.cast(stretch.result, tf.int32))
    at = tf.cast(at, tf.float32)
    if stretch.coordinates == "align_corners":
        return at * ((size - 1) / tf.maximum(result - 1, 1))
    if stretch.coordinates == "asymmetric":
        return at / scale
    places = (at + 0.5) / scale - 0.5
    alone = tf.math.logical_and(stretch.coordinates == "pytorch_half_pixel", tf.math.less_equal(result, 1))
    return tf.where(alone, tf.fill(tf.shape(places), -0.5), places)


def _read(x: Any, stretch: Stretch, index: Any) -> Any:
    last = tf.cast(stretch.size, tf.float32) - 1
    return tf.gather(x, tf.cast(tf.clip_by_value(index, 0, last), tf.int32), axis=stretch.axis)


def _mixed(x: Any, stretch: Stretch, base: Any, taps: list[tuple[int, Any]]) -> Any:
    shape = [-1 if a == stretch.axis else 1 for a in range(rank(x))]
    parts = [_read(x, stretch, base + step) * tf.cast(tf.reshape(weight, shape), x.dtype) for step, weight in taps]
    return tf.add_n(parts)
