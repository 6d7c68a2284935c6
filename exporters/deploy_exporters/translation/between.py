"""Reading pictures between their elements where offsets or boxes say: RoiAlign and DeformConv."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.layout import channels_first, channels_last
from deploy_exporters.translation.values import Node, Value, dims, rank, reshaped, tensor


def roi_align(node: Node, x: Value, rois: Value, batches: Value) -> Value:
    """Translate RoiAlign: every box is cut into bins, in each of which a grid of places is read."""
    high, wide = int(node.get("output_height", 1)), int(node.get("output_width", 1))
    ratio = int(node.get("sampling_ratio", 0))
    if ratio == 0:
        raise node.error("sampling_ratio 0, whose grid depends on each box", hint="set a sampling_ratio, e.g. 2")
    half = node.get("coordinate_transformation_mode", "half_pixel" if node.opset >= 16 else "output_half_pixel")
    shift = 0.5 if half == "half_pixel" else 0.0
    boxes = tensor(rois) * node.get("spatial_scale", 1.0) - shift
    sizes = boxes[:, 2:] - boxes[:, :2]
    if shift == 0.0:
        sizes = tf.maximum(sizes, 1.0)
    ys = _steps(boxes[:, 1], sizes[:, 1], high, ratio)
    xs = _steps(boxes[:, 0], sizes[:, 0], wide, ratio)
    pictures = tf.gather(channels_last(x), tf.cast(batches, tf.int32))
    grid = tf.shape(ys)[0], high * ratio, wide * ratio
    at = [tf.broadcast_to(v, grid) for v in (ys[:, :, tf.newaxis], xs[:, tf.newaxis, :])]
    maximum = node.get("mode", "avg") == "max"
    read = _read_edged(pictures, at[0], at[1], tf.maximum if maximum else tf.add)
    bins = reshaped(read, [dims(ys)[0], high, ratio, wide, ratio, dims(x)[1]])
    return channels_first((tf.reduce_max if maximum else tf.reduce_mean)(bins, axis=[2, 4]))


def _steps(begin: Any, size: Any, bins: int, ratio: int) -> Any:
    """Give the places along one axis, [boxes, bins · ratio]."""
    parts = (np.arange(bins * ratio, dtype=np.float32) + 0.5) / ratio
    return begin[:, tf.newaxis] + size[:, tf.newaxis] / bins * parts


def _corners(place: Any, size: Value) -> list[tuple[Any, Any]]:
    """Give the two elements around each place and how much they count."""
    low = tf.math.floor(place)
    return [(low, low + 1 - place), (low + 1, place - low)]


def _read_edged(pictures: Any, y: Any, x: Any, join: Any) -> Any:
    """Read [batch, h, w] places; those up to 1 outside count as the edge, those beyond as 0."""
    high, wide = (tf.cast(size, tf.float32) for size in dims(pictures)[1:3])
    inside = tf.logical_and(tf.logical_and(y >= -1, y <= high), tf.logical_and(x >= -1, x <= wide))
    y, x = tf.clip_by_value(y, 0, high - 1), tf.clip_by_value(x, 0, wide - 1)
    total = None
    for row, of_row in _corners(y, high):
        for column, of_column in _corners(x, wide):
            index = tf.stack([tf.minimum(row, high - 1), tf.minimum(column, wide - 1)], axis=-1)
            part = (
                tf.gather_nd(pictures, tf.cast(index, tf.int32), batch_dims=1) * (of_row * of_column)[..., tf.newaxis]
            )
            total = part if total is None else join(total, part)
    return tf.where(inside[..., tf.newaxis], total, tf.zeros_like(total))


def deform_conv(node: Node, x: Value, weight: Value, offset: Value, bias: Value = None, mask: Value = None) -> Value:
    """Translate DeformConv: every element under the kernel is read where its offset says, then multiplied."""
    if rank(x) != 4:
        raise node.error(f"it has {rank(x) - 2} spatial dimensions", hint="only two are translated")
    kernel = [int(k) for k in weight.shape[2:]]
    parts, groups = int(node.get("offset_group", 1)), int(node.get("group", 1))
    batch, _, *small = dims(offset)
    moved = reshaped(offset, [batch, parts, kernel[0] * kernel[1], 2, *small])
    strength = None if mask is None else reshaped(mask, [batch, parts, kernel[0] * kernel[1], *small])
    places = [tf.cast(line, tf.float32) for line in _grid(node, kernel, small)]
    columns = []
    for i, part in enumerate(tf.split(channels_last(x), parts, axis=-1)):
        y, z = (places[axis] + moved[:, i, :, axis] for axis in (0, 1))
        read = _read(part, y, z)
        columns.append(read if strength is None else read * strength[:, i, ..., tf.newaxis])
    result = _multiplied(tf.concat(columns, axis=-1), weight, groups)
    return channels_first(result if bias is None else result + tensor(bias))


def _grid(node: Node, kernel: list[int], small: list[Value]) -> list[Any]:
    """Give where each element of the kernel lies without an offset: [elements, height, width] for both axes."""
    pads, strides = node.get("pads", [0] * 4), node.get("strides", [1, 1])
    dilations = node.get("dilations", [1, 1])
    inside = np.indices(kernel).reshape(2, -1)
    lines = []
    for axis in (0, 1):
        window = tf.cast(tf.range(tf.cast(small[axis], tf.int32)) * strides[axis] - pads[axis], tf.float32)
        element = (inside[axis] * dilations[axis]).astype(np.float32)
        line = tf.reshape(window, [1, -1, 1] if axis == 0 else [1, 1, -1])
        lines.append(line + element[:, np.newaxis, np.newaxis])
    return lines


def _read(picture: Any, y: Any, x: Any) -> Any:
    """Read [batch, elements, h, w] places; what lies outside is 0."""
    high, wide = (tf.cast(size, tf.float32) for size in dims(picture)[1:3])
    y, x = y + tf.zeros_like(x), x + tf.zeros_like(y)
    total: Any = 0.0
    for row, of_row in _corners(y, high):
        for column, of_column in _corners(x, wide):
            inside = tf.logical_and(tf.logical_and(row >= 0, row < high), tf.logical_and(column >= 0, column < wide))
            weight = tf.where(inside, of_row * of_column, tf.zeros_like(row))
            index = tf.stack([tf.clip_by_value(row, 0, high - 1), tf.clip_by_value(column, 0, wide - 1)], axis=-1)
            found = tf.gather_nd(picture, tf.cast(index, tf.int32), batch_dims=1)
            total = total + found * weight[..., tf.newaxis]
    return total


def _multiplied(columns: Any, weight: Value, groups: int) -> Any:
    """Multiply [batch, elements, h, w, channels] by [out, channels / groups, kh, kw]."""
    outer, inner, *kernel = dims(weight)
    flat = tf.reshape(weight, [outer, inner, kernel[0] * kernel[1]])
    parts = zip(tf.split(columns, groups, axis=-1), tf.split(flat, groups, axis=0), strict=True)
    return tf.concat([tf.einsum("nkhwc,ock->nhwo", part, of) for part, of in parts], axis=-1)
