"""Activations: Relu and its kin, Gelu, and the functions that they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import tensorflow as tf

from deploy_exporters.translation.values import Node, Value, tensor

# Beyond these the result is 1, and x, to the last bit of float32.
_ERF_IS_1, _MISH_IS_X = 3.7439211627767994, 20.0
_ERF_UPPER = (
    0.00022905065861350646,
    0.0034082910107109506,
    0.050955695062380861,
    0.18520832239976145,
    1.128379143519084,
)
_ERF_LOWER = (
    -1.1791602954361697e-7, 0.000023547966471313185, 0.0010179625278914885, 0.014070470171167667,
    0.11098505178285362, 0.49746925110067538, 1.0,
)  # fmt: skip


def relu(node: Node, x: Value) -> Value:
    """Translate Relu."""
    return tf.nn.relu(x)


def leaky_relu(node: Node, x: Value) -> Value:
    """Translate LeakyRelu."""
    return tf.nn.leaky_relu(x, alpha=node.get("alpha", 0.01))


def prelu(node: Node, x: Value, slope: Value) -> Value:
    """Translate PRelu."""
    x, slope = tensor(x), tensor(slope)
    return tf.where(x < 0, x * slope, x)


def thresholded_relu(node: Node, x: Value) -> Value:
    """Translate ThresholdedRelu."""
    x = tensor(x)
    return tf.where(x > tf.cast(node.get("alpha", 1.0), x.dtype), x, tf.zeros_like(x))


def elu(node: Node, x: Value) -> Value:
    """Translate Elu."""
    alpha = node.get("alpha", 1.0)
    if alpha == 1.0:
        return tf.nn.elu(x)
    return tf.where(tensor(x) < 0, tf.cast(alpha, x.dtype) * (tf.math.exp(x) - 1), x)


def celu(node: Node, x: Value) -> Value:
    """Translate Celu."""
    x = tensor(x)
    alpha = tf.cast(node.get("alpha", 1.0), x.dtype)
    return tf.nn.relu(x) + tf.math.minimum(tf.zeros_like(x), alpha * (tf.math.exp(x / alpha) - 1))


def selu(node: Node, x: Value) -> Value:
    """Translate Selu."""
    x = tensor(x)
    alpha = tf.cast(node.get("alpha", 1.67326319217681884765625), x.dtype)
    gamma = tf.cast(node.get("gamma", 1.05070102214813232421875), x.dtype)
    return tf.where(x > 0, gamma * x, gamma * alpha * (tf.math.exp(x) - 1))


def erf(node: Node, x: Value) -> Value:
    """Translate Erf: in float32 as the quotient of polynomials that XLA uses, because TFLite has no Erf."""
    x = tensor(x)
    if x.dtype != tf.float32:
        return tf.math.erf(x)
    z = tf.clip_by_value(x, -_ERF_IS_1, _ERF_IS_1)
    return z * _polynomial(z * z, _ERF_UPPER) / _polynomial(z * z, _ERF_LOWER)


def _polynomial(x: Any, factors: Sequence[float]) -> Any:
    return reduce(lambda total, factor: total * x + factor, factors[1:], tf.fill(tf.shape(x), factors[0]))


def gelu(node: Node, x: Value) -> Value:
    """Translate Gelu, which TFLite has as one operator; it knows it only where nothing else uses the half of x."""
    return tf.nn.gelu(tf.identity(tensor(x)), approximate=node.get("approximate", "none") == "tanh")


def hard_sigmoid(node: Node, x: Value) -> Value:
    """Translate HardSigmoid."""
    x = tensor(x)
    line = tf.cast(node.get("alpha", 0.2), x.dtype) * x + tf.cast(node.get("beta", 0.5), x.dtype)
    return tf.clip_by_value(line, tf.zeros((), x.dtype), tf.ones((), x.dtype))


def hard_swish(node: Node, x: Value) -> Value:
    """Translate HardSwish, in the form that TFLite has as one operator."""
    x = tensor(x)
    return x * tf.nn.relu6(x + tf.cast(3, x.dtype)) * tf.cast(1 / 6, x.dtype)


def mish(node: Node, x: Value) -> Value:
    """Translate Mish; the hyperbolic tangent of log(1 + e) is a quotient, which keeps its digits for small e."""
    x = tensor(x)
    e = tf.math.exp(tf.math.minimum(x, tf.cast(_MISH_IS_X, x.dtype)))
    n = e * (e + 2)
    return x * (n / (n + 2))


def swish(node: Node, x: Value) -> Value:
    """Translate Swish."""
    x = tensor(x)
    return x * tf.math.sigmoid(tf.cast(node.get("alpha", 1.0), x.dtype) * x)


def shrink(node: Node, x: Value) -> Value:
    """Translate Shrink."""
    x = tensor(x)
    lambd, bias = node.get("lambd", 0.5), tf.cast(node.get("bias", 0.0), x.dtype)
    edge = tf.cast(lambd, x.dtype)
    return tf.where(x < -edge, x + bias, tf.where(x > edge, x - bias, tf.zeros_like(x)))
