"""Operators that cut and join: Split, Slice, Concat, Pad."""

from __future__ import annotations

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
    integers,
    rank,
    static,
    tensor,
    vector,
)

_LONGEST_SHAPE = 8


def _is_shape(value: Value) -> bool:
    """Tell whether a tensor may be a shape: a short vector of whole numbers."""
    if rank(value) != 1 or dtype_of(value) not in (tf.int32, tf.int64):
        return False
    return value.shape[0] is not None and int(value.shape[0]) <= _LONGEST_SHAPE


def concat(node: Node, *inputs: Value) -> Value:
    """Translate Concat; shapes keep the sizes that are known."""
    axis = axis_of(node, inputs[0], 1)
    if all(_is_shape(value) for value in inputs) and sum(int(value.shape[0]) for value in inputs) <= _LONGEST_SHAPE:
        return vector([element for value in inputs for element in entries(value)], dtype_of(inputs[0]))
    return tf.concat([tensor(value) for value in inputs], axis)


def split(node: Node, x: Value, sizes: Value = None) -> tuple[Value, ...]:
    """Translate Split; without sizes into equal parts, the last one smaller where it does not divide."""
    axis = axis_of(node, x, 0)
    parts = integers(node, sizes, "split") if sizes is not None else node.get("split")
    count, whole = len(node.outputs), dims(x)[axis]
    if parts is None and isinstance(whole, int):
        each = -(-whole // count)
        parts = [max(min(each, whole - i * each), 0) for i in range(count)]
    return tuple(tf.split(tensor(x), count if parts is None else parts, axis))


def slice_(
    node: Node, x: Value, starts: Value = None, ends: Value = None, axes: Value = None, steps: Value = None
) -> Value:
    """Translate Slice; its limits are attributes up to opset 9 and inputs after."""
    if node.opset < 10:
        starts, ends = np.asarray(node.get("starts")), np.asarray(node.get("ends"))
        axes = np.asarray(node.get("axes")) if "axes" in node.attributes else None
    count = 1 if starts.shape[0] is None else int(starts.shape[0])  # unknown is what a slice of a shape gives
    where = list(range(count)) if axes is None else integers(node, axes, "axes")
    strides = [1] * count if steps is None else integers(node, steps, "steps")
    index: list[Any] = [slice(None)] * rank(x)
    sizes = dims(x)
    for axis, begin, end, step in zip(where, entries(starts), entries(ends), strides, strict=True):
        index[axis] = _piece(sizes[axis], begin, end, step)
    if not isinstance(x, np.ndarray) and _is_shape(x) and _is_plain(index[0]):
        return vector(entries(x)[index[0]], dtype_of(x))
    result = tensor(x)[tuple(index)]
    if rank(x) == 1 and (length := _distance(starts, ends)) is not None:
        result.set_shape([length])
    return result


def _distance(starts: Value, ends: Value) -> int | None:
    """Tell how far apart two limits are that are known only at run time, such as i and i + 1."""
    if isinstance(starts, np.ndarray) or isinstance(ends, np.ndarray) or tf.executing_eagerly():
        return None
    (one, first), (other, last) = _base_and_offset(starts), _base_and_offset(ends)
    return last - first if one is other and last > first else None


def _base_and_offset(value: Any) -> tuple[Any, int]:
    if value.op.type == "AddV2" and (addend := static(value.op.inputs[1])) is not None and addend.size == 1:
        return value.op.inputs[0], int(addend.reshape(()))
    return value, 0


def _is_plain(piece: slice) -> bool:
    return all(b is None or isinstance(b, int) for b in (piece.start, piece.stop, piece.step))


def _piece(size: Value, begin: Value, end: Value, step: int) -> slice:
    """Make a Python slice of one axis, with ONNX's rule that limits beyond the ends are cut."""
    return slice(_limit(size, begin, step, start=True), _limit(size, end, step, start=False), step)


def _limit(size: Value, at: Value, step: int, *, start: bool) -> Value | None:
    if isinstance(at, int) and isinstance(size, int):
        at = max(at + size, -1) if at < 0 else min(at, size)
        at = max(at, 0) if step > 0 else at
        return None if at == -1 else at
    if isinstance(at, int):
        large = 2**31 - 1
        if abs(at) >= large:  # "to the end", written as the largest or smallest integer
            return None if (at > 0) != start or step < 0 else at
        return None if start and at == 0 and step > 0 else at
    return tf.cast(at, tf.int32) if isinstance(size, int) and size < 2**31 else at


def pad(node: Node, x: Value, pads: Value = None, fill: Value = None, axes: Value = None) -> Value:
    """Translate Pad in its four modes."""
    flat = list(node.get("pads", node.get("paddings", []))) if pads is None else entries(pads)
    where = list(range(rank(x))) if axes is None else [a % rank(x) for a in integers(node, axes, "axes")]
    pairs: list[list[Value]] = [[0, 0] for _ in range(rank(x))]
    for i, axis in enumerate(where):
        pairs[axis] = [flat[i], flat[i + len(where)]]
    x, mode = tensor(x), node.get("mode", "constant")
    if any(isinstance(p, int) and p < 0 for pair in pairs for p in pair):
        x, pairs = _cut(x, pairs)
    if mode == "constant":
        value = node.get("value", 0) if fill is None else tf.reshape(fill, [])
        return tf.pad(x, _pad_matrix(pairs), constant_values=tf.cast(value, x.dtype))
    return tf.pad(x, _pad_matrix(pairs), mode="REFLECT") if mode == "reflect" else _gathered(node, x, pairs, mode)


def _pad_matrix(pairs: list[list[Value]]) -> Value:
    return tf.reshape(vector([p for pair in pairs for p in pair]), [-1, 2])


def _cut(x: Any, pairs: list[list[Value]]) -> tuple[Any, list[list[Value]]]:
    """Slice away where a pad is negative."""
    cuts = tuple(slice(max(-b, 0), -max(-e, 0) or None) for b, e in pairs)
    return x[cuts], [[max(b, 0), max(e, 0)] for b, e in pairs]


def _gathered(node: Node, x: Any, pairs: list[list[Value]], mode: str) -> Any:
    """Pad with the edge, or around, by repeating indices."""
    for axis, (before, after) in enumerate(pairs):
        if isinstance(before, int) and isinstance(after, int) and before == after == 0:
            continue
        count = tf.cast(dims(x)[axis], tf.int64)
        index = tf.range(-tf.cast(before, tf.int64), count + tf.cast(after, tf.int64))
        index = tf.math.floormod(index, count) if mode == "wrap" else tf.clip_by_value(index, 0, count - 1)
        x = tf.gather(x, index, axis=axis)
    return x
