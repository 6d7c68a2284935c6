"""Operators that reduce axes or run along one: Reduce*, ArgMax, Softmax, CumSum, TopK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.values import (
    Node,
    Value,
    axis_of,
    dims,
    dtype_of,
    integers,
    known,
    rank,
    reshaped,
    static,
    tensor,
    vector,
)

_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceL1": lambda x, **k: tf.reduce_sum(tf.math.abs(x), **k),
    "ReduceL2": lambda x, **k: tf.math.sqrt(tf.reduce_sum(x * x, **k)),
    "ReduceLogSum": lambda x, **k: tf.math.log(tf.reduce_sum(x, **k)),
    "ReduceLogSumExp": lambda x, **k: _log_sum_exp(x, **k),
    "ReduceMax": tf.reduce_max,
    "ReduceMean": tf.reduce_mean,
    "ReduceMin": tf.reduce_min,
    "ReduceProd": tf.reduce_prod,
    "ReduceSum": tf.reduce_sum,
    "ReduceSumSquare": lambda x, **k: tf.reduce_sum(x * x, **k),
}


def _log_sum_exp(x: Any, axis: list[int], keepdims: bool) -> Any:
    """Move the largest to 0 before exp; TensorFlow's own asks IsFinite, which TFLite has not."""
    top = tf.reduce_max(x, axis=axis, keepdims=True)
    top = tf.clip_by_value(top, x.dtype.min, x.dtype.max)  # infinity less infinity would be no number
    result = tf.math.log(tf.reduce_sum(tf.math.exp(x - top), axis=axis, keepdims=True)) + top
    return result if keepdims else tf.squeeze(result, axis)


def reduction(node: Node, x: Value, axes: Value = None) -> Value:
    """Translate the Reduce family; the axes are an attribute at first and an input later."""
    if axes is None:
        axes = node.get("axes")
    over = None if axes is None else integers(node, np.asarray(axes) if isinstance(axes, list) else axes, "axes")
    if not over:
        if node.get("noop_with_empty_axes", 0):
            return tensor(x)
        over = list(range(rank(x)))
    keep = bool(node.get("keepdims", 1))
    if dtype_of(x) == tf.bool:
        function = tf.reduce_any if node.op == "ReduceMax" else tf.reduce_all
        return function(tensor(x), axis=over, keepdims=keep)
    return _REDUCTIONS[node.op](tensor(x), axis=over, keepdims=keep)


def arg_extreme(node: Node, x: Value) -> Value:
    """Translate ArgMax and ArgMin."""
    axis, x = axis_of(node, x, 0), tensor(x)
    function = tf.math.argmax if node.op == "ArgMax" else tf.math.argmin
    if node.get("select_last_index", 0):
        size = tf.shape(x, out_type=tf.int64)[axis]
        found = size - 1 - function(tf.reverse(x, [axis]), axis=axis)
    else:
        found = function(x, axis=axis)
    return tf.expand_dims(found, axis) if node.get("keepdims", 1) else found


def softmax(node: Node, x: Value) -> Value:
    """Translate Softmax and LogSoftmax; before opset 13 all axes from `axis` on count as one."""
    function = tf.nn.softmax if node.op == "Softmax" else tf.nn.log_softmax
    return _along(node, x, lambda flat, axis: function(flat, axis=axis))


def hardmax(node: Node, x: Value) -> Value:
    """Translate Hardmax."""

    def one_hot(flat: Any, axis: int) -> Any:
        depth = tf.shape(flat)[axis]
        return tf.one_hot(tf.math.argmax(flat, axis=axis), depth, axis=axis, dtype=flat.dtype)

    return _along(node, x, one_hot)


def _along(node: Node, x: Value, function: Callable[[Any, int], Any]) -> Value:
    if node.opset >= 13:
        return function(tensor(x), axis_of(node, x, -1))
    axis = axis_of(node, x, 1)
    if axis == rank(x) - 1:
        return function(tensor(x), axis)
    sizes = dims(x)
    outer: Value = 1
    for size in sizes[:axis]:
        outer = outer * size
    return reshaped(function(tf.reshape(x, vector([outer, -1])), 1), sizes)


def cumulative(node: Node, x: Value, axis: Value) -> Value:
    """Translate CumSum and CumProd."""
    function = tf.math.cumsum if node.op == "CumSum" else tf.math.cumprod
    over = int(known(node, axis, "axis").reshape(()))
    return function(tensor(x), over, exclusive=bool(node.get("exclusive", 0)), reverse=bool(node.get("reverse", 0)))


def top_k(node: Node, x: Value, k: Value = None) -> tuple[Value, Value]:
    """Translate TopK; the smallest are the largest of the negated (of the reversed order for unsigned numbers)."""
    count = node.get("k") if k is None else k
    exact = static(count) if k is not None else np.asarray(count)
    number = tf.cast(tf.reshape(count, []), tf.int32) if exact is None else int(exact.reshape(()))
    axis, last, x = axis_of(node, x, -1), rank(x) - 1, tensor(x)
    order = [a for a in range(rank(x)) if a != axis] + [axis]
    moved = x if axis == last else tf.transpose(x, order)
    keys = moved if node.get("largest", 1) else _reversed_order(moved)
    _, indices = tf.math.top_k(keys, number, sorted=True)
    values = tf.gather(moved, indices, batch_dims=last)
    back = [order.index(a) for a in range(len(order))]
    if axis != last:
        values, indices = tf.transpose(values, back), tf.transpose(indices, back)
    return values, tf.cast(indices, tf.int64)


def _reversed_order(x: Any) -> Any:
    return -x if x.dtype.is_floating else tf.cast(x.dtype.max, x.dtype) - x if x.dtype.is_unsigned else -1 - x


def lp_normalization(node: Node, x: Value) -> Value:
    """Translate LpNormalization; a vector of zeros stays zeros."""
    axis, x = axis_of(node, x, -1), tensor(x)
    if node.get("p", 2) == 1:
        norm = tf.reduce_sum(tf.math.abs(x), axis=axis, keepdims=True)
    else:
        norm = tf.math.sqrt(tf.reduce_sum(x * x, axis=axis, keepdims=True))
    return tf.math.divide_no_nan(x, norm)
