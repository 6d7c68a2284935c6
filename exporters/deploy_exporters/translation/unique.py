"""Unique: the different elements, or slices along an axis, sorted or as they come first."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from deploy_exporters.translation.values import Node, Value, axis_of, dims, rank, tensor


def unique(node: Node, x: Value) -> tuple[Value, ...]:
    """Translate Unique; gives the values, where each came first, which one each element is, and how often it comes."""
    x = tensor(x)
    axis = axis_of(node, x, 0) if "axis" in node.attributes else 0
    line = x if "axis" in node.attributes else tf.reshape(x, [-1])
    values, which, counts = tf.raw_ops.UniqueWithCountsV2(x=line, axis=[axis], out_idx=tf.int64)
    values.set_shape([None if a == axis else size for a, size in enumerate(line.shape)])
    total = tf.shape(counts, out_type=tf.int64)[0]
    first = tf.math.unsorted_segment_min(tf.range(tf.shape(which, out_type=tf.int64)[0]), which, total)
    if node.get("sorted", 1):
        order = _order(node, values, axis)
        values, first, counts = (tf.gather(values, order, axis=axis), tf.gather(first, order), tf.gather(counts, order))
        place = tf.math.invert_permutation(order)
        which = tf.gather(tf.cast(place, tf.int64), which)
    return values, first, which, counts


def _order(node: Node, values: Any, axis: int) -> Any:
    """Sort the slices by their first element, those with the same by their second, and so on."""
    if rank(values) == 1:
        return tf.argsort(values, stable=True)
    order_of_axes = [axis, *(a for a in range(rank(values)) if a != axis)]
    sizes = [dims(values)[a] for a in order_of_axes[1:]]
    if not all(isinstance(size, int) for size in sizes):
        raise node.error("it sorts slices of dynamic size", hint="export with fixed sizes, or with sorted=False")
    rows = tf.reshape(tf.transpose(values, order_of_axes), [-1, _product(sizes)])
    order = tf.range(tf.shape(rows)[0])
    for column in reversed(range(_product(sizes))):
        order = tf.gather(order, tf.argsort(tf.gather(rows[:, column], order), stable=True))
    return order


def _product(sizes: list[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
