"""Batch, instance, layer, group and root-mean-square normalisation, and local response normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.layout import before_channels_first, channels_first
from deploy_exporters.translation.values import Node, Value, axis_of, dims, dtype_of, rank, reshaped, static, tensor


def _per_channel(value: Value, dimensions: int, dtype: Any) -> Value:
    """Line a vector up with axis 1 of a channels-first tensor."""
    return tf.reshape(tf.cast(tensor(value), dtype), [-1] + [1] * (dimensions - 2))


def batch_normalization(node: Node, x: Value, *statistics: Value) -> Value:
    """Translate BatchNormalization at inference: one product and one sum, their factors computed in float64."""
    if node.get("training_mode", 0):
        raise node.error("it is in training mode", hint="call model.eval() before the export")
    epsilon, source = node.get("epsilon", 1e-5), before_channels_first(x)
    arrays = [static(value) for value in statistics[:4]]
    if any(array is None for array in arrays):
        return _batch_normalization_at_run_time(tensor(x), statistics, epsilon)
    scale, bias, mean, variance = (array.astype(np.float64) for array in arrays if array is not None)
    factor = scale / np.sqrt(variance + epsilon)
    dtype = dtype_of(x).as_numpy_dtype
    factors, addends = factor.astype(dtype), (bias - mean * factor).astype(dtype)
    if source is not None:
        return channels_first(source * factors + addends)
    shape = [-1] + [1] * (rank(x) - 2) if rank(x) > 1 else [-1]
    return tensor(x) * factors.reshape(shape) + addends.reshape(shape)


def _batch_normalization_at_run_time(x: Any, statistics: Sequence[Value], epsilon: float) -> Value:
    scale, bias, mean, variance = (_per_channel(value, rank(x), x.dtype) for value in statistics[:4])
    return (x - mean) * tf.math.rsqrt(variance + tf.cast(epsilon, x.dtype)) * scale + bias


def standardized(x: Any, axes: Sequence[int], epsilon: float) -> tuple[Any, Any, Any]:
    """Give x with mean 0 and variance 1 over the axes, the mean, and the inverse deviation."""
    mean = tf.reduce_mean(x, axis=list(axes), keepdims=True)
    centred = x - mean
    variance = tf.reduce_mean(centred * centred, axis=list(axes), keepdims=True)
    inverse = tf.math.rsqrt(variance + tf.cast(epsilon, x.dtype))
    return centred * inverse, mean, inverse


def instance_normalization(node: Node, x: Value, scale: Value, bias: Value) -> Value:
    """Translate InstanceNormalization."""
    normal, _, _ = standardized(tensor(x), range(2, rank(x)), node.get("epsilon", 1e-5))
    return normal * _per_channel(scale, rank(x), x.dtype) + _per_channel(bias, rank(x), x.dtype)


def layer_normalization(node: Node, x: Value, scale: Value, bias: Value = None) -> Value | tuple[Value, ...]:
    """Translate LayerNormalization; half precision is computed in float32, as `stash_type` says."""
    axes = range(axis_of(node, x, -1), rank(x))
    work = tf.float32 if dtype_of(x) in (tf.float16, tf.bfloat16) else dtype_of(x)
    normal, mean, inverse = standardized(tf.cast(x, work), axes, node.get("epsilon", 1e-5))
    result = tf.cast(normal, dtype_of(x)) * tensor(scale)
    if bias is not None:
        result = result + tensor(bias)
    return result if len(node.outputs) == 1 else (result, mean, inverse)


def rms_normalization(node: Node, x: Value, scale: Value) -> Value:
    """Translate RMSNormalization."""
    axes = list(range(axis_of(node, x, -1), rank(x)))
    work = tf.float32 if dtype_of(x) in (tf.float16, tf.bfloat16) else dtype_of(x)
    wide = tf.cast(x, work)
    mean_square = tf.reduce_mean(wide * wide, axis=axes, keepdims=True)
    normal = wide * tf.math.rsqrt(mean_square + tf.cast(node.get("epsilon", 1e-5), work))
    return tf.cast(normal, dtype_of(scale)) * tensor(scale)


def group_normalization(node: Node, x: Value, scale: Value, bias: Value) -> Value:
    """Translate GroupNormalization, whose scale is per group in opset 18 and per channel from 21 on."""
    batch, channels, *space = dims(x)
    groups = int(node.get("num_groups"))
    parted = reshaped(x, [batch, groups, channels // groups, *space])
    normal, _, _ = standardized(parted, range(2, rank(x) + 1), node.get("epsilon", 1e-5))
    shape = [1, groups, 1 if node.opset < 21 else channels // groups] + [1] * len(space)
    return reshaped(normal * tf.reshape(scale, shape) + tf.reshape(bias, shape), dims(x))


def mean_variance_normalization(node: Node, x: Value) -> Value:
    """Translate MeanVarianceNormalization."""
    x = tensor(x)
    axes = node.get("axes", [0, 2, 3])
    centred = x - tf.reduce_mean(x, axis=axes, keepdims=True)
    deviation = tf.math.sqrt(tf.reduce_mean(centred * centred, axis=axes, keepdims=True))
    return centred / (deviation + tf.cast(1e-9, x.dtype))


def lrn(node: Node, x: Value) -> Value:
    """Translate LRN: a sum of squares over neighbouring channels."""
    x, size = tensor(x), int(node.get("size"))
    before = (size - 1) // 2
    padded = tf.pad(x * x, [[0, 0], [before, size - 1 - before]] + [[0, 0]] * (rank(x) - 2))
    channels = dims(x)[1]
    total = sum(padded[:, i : i + channels] for i in range(size))
    base = tf.cast(node.get("bias", 1.0), x.dtype) + tf.cast(node.get("alpha", 1e-4) / size, x.dtype) * total
    return x / tf.math.pow(base, tf.cast(node.get("beta", 0.75), x.dtype))
