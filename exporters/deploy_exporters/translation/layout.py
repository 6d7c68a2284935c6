"""Channels first and last: TensorFlow on a CPU convolves and pools only with the channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.values import Value, rank, static, tensor


def last_order(dimensions: int) -> list[int]:
    """Give the permutation from channels first to channels last."""
    return [0, *range(2, dimensions), 1]


def first_order(dimensions: int) -> list[int]:
    """Give the permutation from channels last to channels first."""
    return [0, dimensions - 1, *range(1, dimensions - 1)]


def channels_last(x: Value) -> Any:
    """Move the channels of a channels-first value to the end; takes back `channels_first` where that came just before."""
    source = before_channels_first(x)
    return tf.transpose(tensor(x), last_order(rank(x))) if source is None else source


def channels_first(x: Any) -> Any:
    """Move the channels to axis 1."""
    return tf.transpose(x, first_order(rank(x)))


def before_channels_first(x: Value) -> Any | None:
    """Give the channels-last tensor that `channels_first` made this one of, or None."""
    if not tf.is_tensor(x) or tf.executing_eagerly() or x.op.type != "Transpose" or rank(x) < 3:
        return None
    order = static(x.op.inputs[1])
    return x.op.inputs[0] if order is not None and order.tolist() == first_order(rank(x)) else None


def moved_to_last(inputs: Sequence[Value]) -> list[Value] | None:
    """Give the inputs of a pointwise operator with channels last, if every tensor among them came from there.

    So a chain of convolutions and activations is transposed once at its beginning and once at its end.
    """
    sources = [before_channels_first(value) for value in inputs if tf.is_tensor(value)]
    if not sources or any(source is None for source in sources) or len({rank(source) for source in sources}) > 1:
        return None
    count, rest = rank(sources[0]), iter(sources)
    if any(value is not None and not tf.is_tensor(value) and value.ndim > count for value in inputs):
        return None
    return [next(rest) if tf.is_tensor(value) else _array_to_last(value, count) for value in inputs]


def _array_to_last(value: Value, dimensions: int) -> Value:
    if value is None or value.ndim == 0:
        return value
    full = value.reshape([1] * (dimensions - value.ndim) + list(value.shape))
    return np.ascontiguousarray(np.transpose(full, last_order(dimensions)))


def padded(x: Any, pads: Sequence[tuple[Any, Any]], value: Any = 0) -> Any:
    """Pad the spatial axes of a channels-last tensor with a constant."""
    if all(isinstance(p, int) and p == 0 for pair in pads for p in pair):
        return x
    return tf.pad(x, [[0, 0], *[list(pair) for pair in pads], [0, 0]], constant_values=value)
