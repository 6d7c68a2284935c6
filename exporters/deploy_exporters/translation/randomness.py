"""Random numbers; they are TensorFlow's, so that no two runtimes give the same ones."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from deploy_exporters.translation.model import dtype_of_tensor_type
from deploy_exporters.translation.values import Node, Value, dims, dtype_of, tensor, vector


def random_like(node: Node, x: Value) -> Value:
    """Translate RandomUniformLike and RandomNormalLike."""
    return _drawn(node, vector(dims(x)), dtype_of(x) if "dtype" not in node.attributes else _stated(node))


def random(node: Node) -> Value:
    """Translate RandomUniform and RandomNormal."""
    return _drawn(node, vector(node.get("shape")), _stated(node))


def bernoulli(node: Node, x: Value) -> Value:
    """Translate Bernoulli: 1 with the probability that each element gives."""
    x = tensor(x)
    kind = _stated(node) if "dtype" in node.attributes else x.dtype
    return tf.cast(tf.random.uniform(tf.shape(x), dtype=tf.float32, seed=_seed(node)) < tf.cast(x, tf.float32), kind)


def multinomial(node: Node, x: Value) -> Value:
    """Translate Multinomial, whose input are the logarithms of the probabilities."""
    kind = tf.as_dtype(dtype_of_tensor_type(node.get("dtype", 6)))
    drawn = tf.random.categorical(tensor(x), int(node.get("sample_size", 1)), seed=_seed(node))
    return tf.cast(drawn, kind)


def _stated(node: Node) -> Any:
    return tf.as_dtype(dtype_of_tensor_type(node.get("dtype", 1)))


def _seed(node: Node) -> int | None:
    seed = node.get("seed")
    return None if seed is None else int(seed)


def _drawn(node: Node, shape: Value, dtype: Any) -> Value:
    """Draw in float32, in which TFLite draws, too."""
    if node.op.startswith("RandomUniform"):
        low, high = node.get("low", 0.0), node.get("high", 1.0)
        return tf.cast(tf.random.uniform(shape, seed=_seed(node)) * (high - low) + low, dtype)
    mean, scale = node.get("mean", 0.0), node.get("scale", 1.0)
    return tf.cast(tf.random.normal(shape, seed=_seed(node)) * scale + mean, dtype)
