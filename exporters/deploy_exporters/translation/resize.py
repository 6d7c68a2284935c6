"""Resize and Upsample: by TensorFlow's own resizing where it means the same, else by weights computed beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_core.signature import Array
from deploy_exporters.translation import stretch
from deploy_exporters.translation.layout import channels_first, channels_last
from deploy_exporters.translation.values import (
    Node,
    Value,
    dims,
    dtype_of,
    entries,
    known,
    rank,
    same_size,
    tensor,
    vector,
)


@dataclass(frozen=True)
class Axis:
    """How one axis changes; `roi` is where a crop begins and ends, as fractions."""

    number: int
    size: Value
    result: Value
    scale: float  # NaN where it is known only at run time
    roi: tuple[float, float] = (0.0, 1.0)

    @property
    def fixed(self) -> bool:
        """Whether both sizes are known before the model runs."""
        return isinstance(self.size, int) and isinstance(self.result, int)


def resize(node: Node, x: Value, *inputs: Value) -> Value:
    """Translate Resize and Upsample."""
    axes = [axis for axis in _axes(node, x, inputs) if not _same_size(node, axis)]
    if not axes:
        return tensor(x)
    own = _by_tensorflow(node, x, axes)
    if own is not None:
        return own
    result = tensor(x)
    for axis in axes:
        result = _resized(node, result, axis) if axis.fixed else _stretched(node, result, axis)
    return result


def _stretched(node: Node, x: Any, axis: Axis) -> Any:
    mode, coordinates = _mode(node), _coordinates(node)
    if coordinates not in stretch.COORDINATES or node.get("antialias", 0) or node.get("exclude_outside", 0):
        raise node.error(
            f"{mode} over a dynamic size with {coordinates!r}, antialias or exclude_outside",
            hint="export with a fixed height and width",
        )
    how = stretch.Stretch(axis.number, axis.size, axis.result, axis.scale, coordinates)
    if mode == "nearest":
        return stretch.nearest(x, how, _rounding(node))
    return stretch.linear(x, how) if mode == "linear" else stretch.cubic(x, how, node.get("cubic_coeff_a", -0.75))


def _rounding(node: Node) -> str:
    return str(node.get("nearest_mode", "round_prefer_floor" if node.opset >= 11 else "floor"))


def _mode(node: Node) -> str:
    mode = str(node.get("mode", "nearest"))
    return "linear" if mode == "bilinear" else mode


def _coordinates(node: Node) -> str:
    return str(node.get("coordinate_transformation_mode", "half_pixel" if node.opset >= 11 else "asymmetric"))


def _same_size(node: Node, axis: Axis) -> bool:
    return (axis.scale == 1.0 or _batch_kept(axis)) and _coordinates(node) != "tf_crop_and_resize"


def _axes(node: Node, x: Value, inputs: tuple[Value, ...]) -> list[Axis]:
    roi, scales, sizes = _arguments(node, inputs)
    where = [int(a) % rank(x) for a in node.get("axes", range(rank(x)))]
    have = [dims(x)[a] for a in where]
    if sizes is not None:
        return _from_sizes(node, where, have, entries(sizes), _rois(node, roi, len(where)))
    factors = [float(f) for f in known(node, scales, "scales").ravel()]
    wanted = [_scaled(size, factor) for size, factor in zip(have, factors, strict=True)]
    rois = _rois(node, roi, len(where))
    return [Axis(*parts) for parts in zip(where, have, wanted, factors, rois, strict=True)]


def _arguments(node: Node, inputs: tuple[Value, ...]) -> list[Value]:
    if node.op == "Upsample" and node.opset < 9:
        return [None, np.asarray(node.get("scales")), None]
    if node.op == "Upsample" or node.opset < 11:
        return [None, inputs[0], None]
    roi, scales, sizes = (inputs[i] if i < len(inputs) else None for i in range(3))
    return [roi, scales if scales is not None and scales.shape[0] else None, sizes]


def _rois(node: Node, roi: Value, count: int) -> list[tuple[float, float]]:
    if _coordinates(node) != "tf_crop_and_resize":
        return [(0.0, 1.0)] * count
    flat = [float(v) for v in known(node, roi, "roi")]
    return list(zip(flat[:count], flat[count:], strict=True))


def _scaled(size: Value, factor: float) -> Value:
    if isinstance(size, int):
        return int(np.floor(size * np.float64(factor)))
    whole = int(factor)
    return size * whole if whole == factor else tf.cast(tf.math.floor(tf.cast(size, tf.float32) * factor), tf.int64)


def _from_sizes(
    node: Node, where: list[int], have: list[Value], sizes: list[Value], rois: list[tuple[float, float]]
) -> list[Axis]:
    scales = [_ratio(size, wanted) for size, wanted in zip(have, sizes, strict=True)]
    policy = node.get("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        ratio = [scale for scale in scales if not math.isnan(scale)]
        one = min(ratio) if policy == "not_larger" else max(ratio)
        sizes = [int(np.floor(one * size + 0.5)) for size in have]
        return [Axis(a, h, s, one, roi) for a, h, s, roi in zip(where, have, sizes, rois, strict=True)]
    return [Axis(*parts) for parts in zip(where, have, sizes, scales, rois, strict=True)]


def _ratio(size: Value, wanted: Value) -> float:
    """Give the scale, NaN where it is known only at run time."""
    if isinstance(size, int) and isinstance(wanted, int):
        return wanted / size
    return 1.0 if not isinstance(size, int) and not isinstance(wanted, int) and same_size(size, wanted) else math.nan


def _batch_kept(axis: Axis) -> bool:
    """Tell whether this is a dynamic batch, of which the model's `sizes` repeats the size."""
    return axis.number == 0 and not axis.fixed and math.isnan(axis.scale)


def _by_tensorflow(node: Node, x: Value, axes: list[Axis]) -> Any | None:
    """Resize height and width by one operator, which TFLite has too, where it has ONNX's meaning."""
    plain = [axis.number for axis in axes] in ([2, 3], [2], [3]) and rank(x) == 4 and dtype_of(x) == tf.float32
    flags = _flags(node)
    if not plain or flags is None or node.get("antialias", 0) or not all(_exact_scale(node, axis) for axis in axes):
        return None
    sizes = dims(x)[2:]
    for axis in axes:
        sizes[axis.number - 2] = axis.result
    function = tf.raw_ops.ResizeBilinear if _mode(node) == "linear" else tf.raw_ops.ResizeNearestNeighbor
    return channels_first(function(images=channels_last(x), size=vector(sizes, tf.int32), **flags))


def _flags(node: Node) -> dict[str, bool] | None:
    mode, coordinates = _mode(node), _coordinates(node)
    if mode == "nearest":
        known_mode = coordinates == "asymmetric" and _rounding(node) == "floor"
        return {"align_corners": False, "half_pixel_centers": False} if known_mode else None
    if mode != "linear":
        return None
    return {
        "half_pixel": {"align_corners": False, "half_pixel_centers": True},
        "pytorch_half_pixel": {"align_corners": False, "half_pixel_centers": True},
        "align_corners": {"align_corners": True, "half_pixel_centers": False},
        "asymmetric": {"align_corners": False, "half_pixel_centers": False},
    }.get(coordinates)


def _exact_scale(node: Node, axis: Axis) -> bool:
    """Tell whether the scale is result / size, which is what TensorFlow computes with."""
    if _coordinates(node) == "pytorch_half_pixel" and axis.result == 1:
        return False
    if math.isnan(axis.scale):
        return True  # the wanted size was given: the scale is the quotient
    if not axis.fixed:
        return not isinstance(axis.size, int) and axis.scale == int(axis.scale)
    return bool(abs(axis.scale * axis.size - axis.result) < 1e-6)


def _resized(node: Node, x: Any, axis: Axis) -> Any:
    places, outside = _places(node, axis)
    if _mode(node) == "nearest":
        result = tf.gather(x, _nearest(node, places, axis), axis=axis.number)
    else:
        weights = _weights(node, places, axis).astype(x.dtype.as_numpy_dtype)
        order = [a for a in range(rank(x)) if a != axis.number] + [axis.number]
        product = tf.linalg.matmul(tf.transpose(x, order), tensor(np.ascontiguousarray(weights.T)))
        result = tf.transpose(product, [order.index(a) for a in range(rank(x))])
    if not outside.any():
        return result
    shape = [-1 if a == axis.number else 1 for a in range(rank(x))]
    fill = tf.cast(node.get("extrapolation_value", 0.0), x.dtype)
    return tf.where(outside.reshape(shape), fill, result)


def _places(node: Node, axis: Axis) -> tuple[Array, Array]:
    """Say where in the input each element of the result lies, and whether that is outside of it."""
    at, width = np.arange(axis.result, dtype=np.float64), axis.scale * axis.size
    mode, last = _coordinates(node), axis.size - 1
    none = np.zeros(axis.result, bool)
    if mode == "align_corners":
        return (at * last / (width - 1) if width != 1 else at * 0), none
    if mode == "asymmetric":
        return at / axis.scale, none
    if mode == "tf_crop_and_resize":
        begin, end = axis.roi
        places = at * (end - begin) * last / (width - 1) if width != 1 else at * 0 + (end - begin) * last / 2
        places = places + begin * last
        return places, (places < 0) | (places > last)
    if mode == "pytorch_half_pixel" and axis.result == 1:
        return at * 0 - 0.5, none
    shift = axis.size / 2 * (1 - axis.result / width) if mode == "half_pixel_symmetric" else 0.0
    return shift + (at + 0.5) / axis.scale - 0.5, none


_ROUNDED: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda places: np.ceil(places - 0.5),
    "round_prefer_ceil": lambda places: np.floor(places + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _nearest(node: Node, places: Array, axis: Axis) -> Array:
    found = _ROUNDED[_rounding(node)](places)
    picked: Array = np.clip(found, 0, axis.size - 1).astype(np.int32)
    return picked


def _weights(node: Node, places: Array, axis: Axis) -> Array:
    """Make the matrix [result, size] of how much each input element counts."""
    shrink = min(axis.scale, 1.0) if node.get("antialias", 0) else 1.0
    reach = 1 if _mode(node) == "linear" else 2
    base = np.floor(places)
    start = int(np.floor(-reach / shrink)) + 1
    taps = np.arange(start, reach + 1 - start if reach == 1 else reach - start)
    distance = np.abs((taps[None, :] - (places - base)[:, None]) * shrink)
    weights = np.clip(1 - distance, 0, None) if reach == 1 else _cubic(distance, node.get("cubic_coeff_a", -0.75))
    index = base[:, None].astype(np.int64) + taps
    if node.get("exclude_outside", 0):
        weights = np.where((index >= 0) & (index < axis.size), weights, 0)
    if node.get("exclude_outside", 0) or shrink < 1:
        weights = weights / weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((axis.result, axis.size))
    rows = np.broadcast_to(np.arange(axis.result)[:, None], index.shape)
    np.add.at(matrix, (rows, np.clip(index, 0, axis.size - 1)), weights)
    return matrix


def _cubic(x: Array, a: float) -> Array:
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
