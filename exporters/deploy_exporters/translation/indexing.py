"""Operators that look elements up by index, or write them: Gather*, Scatter*, OneHot, NonZero, Compress."""

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
    entries,
    rank,
    static,
    tensor,
    vector,
)


def _counted_from_front(indices: Value, size: Value) -> Value:
    """Turn negative indices into positive ones; TensorFlow has none."""
    fixed = static(indices)
    if fixed is not None:
        if not (fixed < 0).any():
            return fixed
        if isinstance(size, int):
            return np.where(fixed < 0, fixed + size, fixed)
    indices = tensor(indices)
    return tf.where(indices < 0, indices + tf.cast(size, indices.dtype), indices)


def gather(node: Node, x: Value, indices: Value) -> Value:
    """Translate Gather; an element of a shape that is known stays a number."""
    axis = axis_of(node, x, 0)
    fixed = static(indices)
    if fixed is not None and rank(x) == 1 and not isinstance(x, np.ndarray) and dtype_of(x) == tf.int64:
        picked = _picked(x, fixed)
        if picked is not None:
            return picked
    return tf.gather(tensor(x), _counted_from_front(indices, dims(x)[axis]), axis=axis)


def _picked(x: Value, indices: Any) -> Value | None:
    if x.shape[0] is None or x.shape[0] > 8 or indices.ndim > 1:
        return None
    elements = entries(x)
    if indices.ndim == 1:
        return vector([elements[int(i)] for i in indices])
    element = elements[int(indices)]
    return np.asarray(element, np.int64) if isinstance(element, int) else element


def gather_elements(node: Node, x: Value, indices: Value) -> Value:
    """Translate GatherElements: the axis goes last, and the rest is looked up pair by pair."""
    return tf.gather_nd(tensor(x), _full_index(node, x, indices))


def _full_index(node: Node, x: Value, indices: Value) -> Any:
    """Give for each element of `indices` its whole coordinate in x."""
    axis, sizes = axis_of(node, x, 0), dims(indices)
    places = _counted_from_front(indices, dims(x)[axis])
    kind = tf.int64
    grid = []
    for a in range(len(sizes)):
        if a == axis:
            grid.append(tf.cast(places, kind))
        else:
            line = tf.reshape(tf.range(tf.cast(sizes[a], kind)), [-1 if i == a else 1 for i in range(len(sizes))])
            grid.append(tf.broadcast_to(line, vector(sizes)))
    return tf.stack(grid, axis=-1)


def gather_nd(node: Node, x: Value, indices: Value) -> Value:
    """Translate GatherND."""
    batch = int(node.get("batch_dims", 0))
    return tf.gather_nd(tensor(x), _nd_indices(x, indices, batch), batch_dims=batch)


def _nd_indices(x: Value, indices: Value, batch: int) -> Value:
    fixed = static(indices)
    if fixed is not None and not (fixed < 0).any():
        return fixed
    depth = int(indices.shape[-1])
    return _counted_from_front_by_row(tensor(indices), dims(x)[batch : batch + depth])


def _counted_from_front_by_row(indices: Any, sizes: list[Value]) -> Any:
    return tf.where(indices < 0, indices + tf.cast(vector(sizes), indices.dtype), indices)


_UPDATES: dict[str, Callable[..., Any]] = {
    "none": tf.tensor_scatter_nd_update,
    "add": tf.tensor_scatter_nd_add,
    "max": tf.tensor_scatter_nd_max,
    "min": tf.tensor_scatter_nd_min,
}


def _scattered(node: Node, x: Value, index: Any, updates: Value) -> Any:
    kind = node.get("reduction", "none")
    if kind == "mul":
        return _multiplied(tensor(x), index, tensor(updates))
    return _UPDATES[kind](tensor(x), index, tensor(updates))


def _multiplied(x: Any, index: Any, updates: Any) -> Any:
    """Multiply at the indices, each of which may come several times: product over all updates of each place."""
    flat, depth = tf.reshape(index, [-1, index.shape[-1]]), index.shape[-1]
    sizes = vector(dims(x)[:depth], tf.int64)
    steps = tf.math.cumprod(sizes, exclusive=True, reverse=True)
    segment = tf.reduce_sum(tf.cast(flat, tf.int64) * steps, axis=-1)
    rows = tf.reshape(updates, tf.concat([[-1], tf.shape(x)[depth:]], 0))
    factors = tf.math.unsorted_segment_prod(rows, segment, tf.reduce_prod(sizes))
    return x * tf.reshape(factors, tf.shape(x))


def scatter_elements(node: Node, x: Value, indices: Value, updates: Value) -> Value:
    """Translate ScatterElements and the older Scatter."""
    return _scattered(node, x, _full_index(node, x, indices), updates)


def scatter_nd(node: Node, x: Value, indices: Value, updates: Value) -> Value:
    """Translate ScatterND."""
    return _scattered(node, x, tensor(_nd_indices(x, indices, 0)), updates)


def one_hot(node: Node, indices: Value, depth: Value, values: Value) -> Value:
    """Translate OneHot; an index outside gives a row of off values."""
    count = tf.cast(tf.reshape(depth, []), tf.int32)
    fixed = static(depth)
    limit: Value = count if fixed is None else int(fixed.reshape(()))
    index = tf.cast(indices, tf.int64)
    index = tf.where(index < 0, index + tf.cast(limit, tf.int64), index)
    axis = int(node.get("axis", -1))
    axis = axis + rank(indices) + 1 if axis < 0 else axis
    on = tf.one_hot(index, limit, on_value=True, off_value=False, dtype=tf.bool, axis=axis)
    off_on = tensor(values)
    return tf.where(on, off_on[1], off_on[0])


def non_zero(node: Node, x: Value) -> Value:
    """Translate NonZero."""
    return tf.transpose(tf.where(tf.math.not_equal(tensor(x), tf.zeros((), dtype_of(x)))))


def compress(node: Node, x: Value, condition: Value) -> Value:
    """Translate Compress."""
    if "axis" not in node.attributes:
        x, axis = tf.reshape(x, [-1]), 0
    else:
        axis = axis_of(node, x, 0)
    chosen = tf.reshape(tf.where(condition), [-1])
    return tf.gather(tensor(x), chosen, axis=axis)


def reverse_sequence(node: Node, x: Value, lengths: Value) -> Value:
    """Translate ReverseSequence."""
    return tf.reverse_sequence(
        tensor(x), lengths, seq_axis=int(node.get("time_axis", 0)), batch_axis=int(node.get("batch_axis", 1))
    )
