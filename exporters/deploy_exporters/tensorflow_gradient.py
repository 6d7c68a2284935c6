"""Derivatives of what TensorFlow computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_core.errors import UsageError, reason
from deploy_core.signature import Tensors

Run = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def gradient(run: Run, inputs: Tensors, weights: Tensors) -> Tensors:
    """Give d(Σ weights · outputs) / d(input) for every float input. Raises UsageError for what has no derivative."""
    tensors = {name: tf.constant(array) for name, array in inputs.items()}
    free = {name: tensor for name, tensor in tensors.items() if tensor.dtype.is_floating}
    try:
        with tf.GradientTape() as tape:
            tape.watch(list(free.values()))
            outputs = run(tensors)
            total = sum(tf.reduce_sum(tf.cast(outputs[name] * weight, tf.float64)) for name, weight in weights.items())
        found = tape.gradient(total, free, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    except (LookupError, ValueError, TypeError, tf.errors.OpError) as error:
        raise UsageError(f"the model has no derivative: {reason(error)}") from error
    return {name: np.asarray(tf.convert_to_tensor(value)) for name, value in found.items()}
