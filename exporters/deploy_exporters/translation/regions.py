"""Operators on regions of pictures: NonMaxSuppression, Col2Im, MaxUnpool; and TensorScatter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_core.signature import Array
from deploy_exporters.translation.values import Node, Value, dims, integers, static, tensor, vector

_MOST_UNROLLED = 16


def non_max_suppression(
    node: Node, boxes: Value, scores: Value, most: Value = None, overlap: Value = None, least: Value = None
) -> Value:
    """Translate NonMaxSuppression, one batch element and class after the other."""
    corners = _corners(tensor(boxes)) if node.get("center_point_box", 0) else tensor(boxes)
    count = tf.constant(0) if most is None else tf.cast(tf.reshape(most, []), tf.int32)
    limit = tf.constant(0.0) if overlap is None else tf.reshape(tensor(overlap), [])
    floor = tf.constant(-np.inf, tf.float32) if least is None else tf.reshape(tensor(least), [])
    scores = tensor(scores)
    classes, places = dims(scores)[1], tf.cast(dims(scores)[2], tf.int32)
    most_kept = tf.minimum(count, places)

    def kept(b: Any, c: Any) -> Any:
        one = tf.gather(tf.gather(scores, b), c)
        found, valid = tf.raw_ops.NonMaxSuppressionV4(
            boxes=tf.gather(corners, b), scores=one, max_output_size=most_kept, iou_threshold=limit,
            score_threshold=floor, pad_to_max_output_size=True,
        )  # fmt: skip
        # TFLite gives as many as it may whatever is asked for, and says how many of them count
        column = tf.cast(found[:valid], tf.int64)[:, tf.newaxis]
        return tf.concat([tf.fill(tf.shape(column), tf.cast(v, tf.int64)) for v in (b, c)] + [column], 1)

    return _for_each_pair(dims(scores)[0], classes, kept)


def _for_each_pair(batch: Value, classes: Value, rows: Callable[[Any, Any], Any]) -> Any:
    """Join the rows of every batch element and class; in a loop where it is not known how many there are."""
    if isinstance(batch, int) and isinstance(classes, int) and batch * classes <= _MOST_UNROLLED:
        return tf.concat([rows(tf.constant(b), tf.constant(c)) for b in range(batch) for c in range(classes)], 0)
    count = tf.cast(classes, tf.int32)
    total = tf.cast(batch, tf.int32) * count

    def turn(i: Any, found: Any) -> tuple[Any, Any]:
        return i + 1, tf.concat([found, rows(i // count, i % count)], 0)

    start = (tf.constant(0), tf.zeros([0, 3], tf.int64))
    shapes = (tf.TensorShape([]), tf.TensorShape([None, 3]))
    return tf.while_loop(lambda i, _: i < total, turn, start, shape_invariants=shapes)[1]


def _corners(boxes: Any) -> Any:
    x, y, width, height = tf.unstack(boxes, axis=-1)
    return tf.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=-1)


def col2im(node: Node, x: Value, image: Value, block: Value) -> Value:
    """Translate Col2Im: every element of every block is added to the place that it came from."""
    sizes, kernel = integers(node, image, "image_shape"), integers(node, block, "block_shape")
    ones = [1] * len(sizes)
    pads, strides = list(node.get("pads", [0] * 2 * len(sizes))), node.get("strides", ones)
    dilations = node.get("dilations", ones)
    full = [s + pads[i] + pads[i + len(sizes)] for i, s in enumerate(sizes)]
    target = _block_places(full, kernel, strides, dilations)
    batch, channels, count = dims(x)
    outer = channels // int(np.prod(kernel))
    rows = tf.reshape(tensor(x), vector([batch, outer, int(np.prod(kernel)) * count]))
    moved = tf.transpose(rows, [2, 0, 1])
    summed = tf.math.unsorted_segment_sum(moved, target, int(np.prod(full)))
    picture = tf.reshape(tf.transpose(summed, [1, 2, 0]), vector([batch, outer, *full]))
    inner = tuple(slice(pads[i], pads[i] + s) for i, s in enumerate(sizes))
    return picture[(slice(None), slice(None), *inner)]


def _block_places(
    full: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Array:
    """Give the flat place in the padded picture of each element of each block, elements first."""
    counts = [(f - (k - 1) * d - 1) // s + 1 for f, k, s, d in zip(full, kernel, strides, dilations, strict=True)]
    inside, blocks = np.indices(kernel).reshape(len(kernel), -1), np.indices(counts).reshape(len(kernel), -1)
    steps = np.reshape(strides, [-1, 1, 1]), np.reshape(dilations, [-1, 1, 1])
    places = blocks[:, None, :] * steps[0] + inside[:, :, None] * steps[1]
    return np.asarray(np.ravel_multi_index(tuple(places), tuple(full))).ravel()


def max_unpool(node: Node, x: Value, indices: Value, shape: Value = None) -> Value:
    """Translate MaxUnpool: each maximum goes back to its place, all else is 0."""
    space = len(node.get("kernel_shape"))
    strides, pads = node.get("strides", [1] * space), node.get("pads", [0] * 2 * space)
    batch, channels, *small = dims(x)
    natural = [
        (s - 1) * step + k - pads[i] - pads[i + space]
        for i, (s, step, k) in enumerate(zip(small, strides, node.get("kernel_shape"), strict=True))
    ]
    whole = [batch, channels, *natural]
    flat = tf.scatter_nd(
        tf.reshape(tensor(indices), [-1, 1]),
        tf.reshape(tensor(x), [-1]),
        tf.reshape(tf.reduce_prod(vector(whole)), [1]),
    )
    picture = tf.reshape(flat, vector(whole))
    if shape is None or static(shape) is None:
        return picture
    wanted = integers(node, shape, "output_shape")
    return tf.pad(picture, [[0, 0], [0, 0], *[[0, w - n] for w, n in zip(wanted[2:], natural, strict=True)]])


def tensor_scatter(node: Node, past: Value, update: Value, indices: Value = None) -> Value:
    """Translate TensorScatter: a stretch of a cache is overwritten from a place of its own in each row."""
    past, update = tensor(past), tensor(update)
    axis = int(node.get("axis", -2)) % past.shape.rank
    size, length = (tf.cast(dims(value)[axis], tf.int64) for value in (past, update))
    start = tf.zeros([dims(past)[0]], tf.int64) if indices is None else tf.cast(indices, tf.int64)
    offset = tf.range(size)[tf.newaxis, :] - start[:, tf.newaxis]
    if node.get("mode", "linear") == "circular":
        offset = tf.math.floormod(offset, size)
    touched = tf.logical_and(offset >= 0, offset < length)
    order = [0, axis, *(a for a in range(1, past.shape.rank) if a != axis)]
    back = [order.index(a) for a in range(len(order))]
    rows = tf.gather(tf.transpose(update, order), tf.clip_by_value(offset, 0, length - 1), batch_dims=1)
    mask = tf.reshape(touched, tf.concat([tf.shape(touched), [1] * (past.shape.rank - 2)], 0))
    return tf.transpose(tf.where(mask, rows, tf.transpose(past, order)), back)
