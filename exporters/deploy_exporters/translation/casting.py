"""Operators that change the dtype: Cast, QuantizeLinear, DequantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.model import dtype_of_tensor_type
from deploy_exporters.translation.values import Node, Value, dims, dtype_of, rank, tensor


def cast(node: Node, x: Value) -> Value:
    """Translate Cast."""
    return converted(tensor(x), tf.as_dtype(dtype_of_tensor_type(node.get("to"))))


def cast_like(node: Node, x: Value, like: Value) -> Value:
    """Translate CastLike."""
    return converted(tensor(x), dtype_of(like))


def converted(x: Any, dtype: Any) -> Any:
    """Convert as ONNX says: any number but 0 is true; text is read as a number."""
    if x.dtype == dtype:
        return x
    if x.dtype == tf.string:
        exact = dtype in (tf.float64, tf.int64)
        return tf.cast(tf.strings.to_number(x, dtype if exact else tf.float32), dtype)
    if dtype == tf.string:
        return tf.strings.as_string(x)
    if dtype == tf.bool and x.dtype != tf.bool:
        return tf.math.not_equal(x, tf.zeros((), x.dtype))
    return tf.cast(x, dtype)


def _lined_up(node: Node, x: Value, value: Value) -> Value:
    """Line a scale or zero point up with the axis, or the blocks along it, that it belongs to."""
    if rank(value) == 0 or dims(value) == [1]:
        return tf.reshape(value, [])
    axis = int(node.get("axis", 1)) % rank(x)
    if rank(value) == 1:
        return tf.reshape(value, [-1 if a == axis else 1 for a in range(rank(x))])
    block = int(node.get("block_size", 0))
    return tf.repeat(tensor(value), block, axis=axis)[tuple(slice(0, s) for s in dims(x))] if block else tensor(value)


def dequantize(node: Node, x: Value, scale: Value, zero: Value = None) -> Value:
    """Translate DequantizeLinear."""
    dtype = dtype_of(scale)
    number = tf.cast(tensor(x), dtype)
    if zero is not None:
        number = number - tf.cast(_lined_up(node, x, zero), dtype)
    return number * _lined_up(node, x, scale)


def quantize(node: Node, x: Value, scale: Value, zero: Value = None) -> Value:
    """Translate QuantizeLinear: divided, rounded half to even, moved by the zero point and cut to the range."""
    dtype = _target(node, zero)
    level = tf.math.round(tensor(x) / tf.cast(_lined_up(node, x, scale), dtype_of(x)))
    level = tf.cast(level, tf.float32)
    if zero is not None:
        level = level + tf.cast(_lined_up(node, x, zero), tf.float32)
    return tf.cast(tf.clip_by_value(level, float(dtype.min), float(dtype.max)), dtype)


def _target(node: Node, zero: Value) -> Any:
    if zero is not None:
        return dtype_of(zero)
    number = node.get("output_dtype", 0)
    return tf.as_dtype(dtype_of_tensor_type(number)) if number else tf.uint8


def dynamic_quantize(node: Node, x: Value) -> tuple[Value, Value, Value]:
    """Translate DynamicQuantizeLinear: a uint8 range that holds the tensor and 0."""
    x = tensor(x)
    low, high = tf.minimum(tf.reduce_min(x), 0.0), tf.maximum(tf.reduce_max(x), 0.0)
    scale = (high - low) / np.float32(255)
    zero = tf.clip_by_value(tf.math.round(-low / scale), 0.0, 255.0)
    level = tf.clip_by_value(tf.math.round(x / scale) + zero, 0.0, 255.0)
    return tf.cast(level, tf.uint8), scale, tf.cast(zero, tf.uint8)


def bit_cast(node: Node, x: Value) -> Value:
    """Translate BitCast."""
    x = tensor(x)
    return tf.bitcast(
        tf.cast(x, tf.uint8) if x.dtype == tf.bool else x, tf.as_dtype(dtype_of_tensor_type(node.get("to")))
    )
