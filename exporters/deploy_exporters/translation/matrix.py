"""Matrix products: MatMul, Gemm, Einsum and their integer forms."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.values import Node, Value, dims, dtype_of, rank, reshaped, tensor

_EXACT_LENGTH = 2**24 // 2**18  # 2**24 is where float32 leaves out whole numbers, 2**18 the largest product


def matmul(node: Node, a: Value, b: Value) -> Value:
    """Translate MatMul, which takes vectors as numpy's matmul does."""
    if rank(a) == 1 or rank(b) == 1:
        return _with_vector(a, b)
    if rank(b) == 2 and rank(a) > 2 and isinstance(b, np.ndarray):
        return _dense(a, b)
    return tf.linalg.matmul(tensor(a), tensor(b))


def _with_vector(a: Value, b: Value) -> Value:
    left = tensor(a)[tf.newaxis, :] if rank(a) == 1 else tensor(a)
    right = tensor(b)[:, tf.newaxis] if rank(b) == 1 else tensor(b)
    drop = [axis for axis, value in ((-2, a), (-1, b)) if rank(value) == 1]
    return tf.squeeze(tf.linalg.matmul(left, right), drop)


def _dense(a: Value, b: Value) -> Value:
    """Multiply by a weight as one flat product, which TFLite runs as FULLY_CONNECTED."""
    *outer, inner = dims(a)
    flat = tf.linalg.matmul(tf.reshape(a, [-1, inner]), tensor(b))
    return reshaped(flat, [*outer, int(b.shape[1])])


def gemm(node: Node, a: Value, b: Value, c: Value = None) -> Value:
    """Translate Gemm; a constant second factor is transposed now."""
    flip_a, flip_b = bool(node.get("transA", 0)), bool(node.get("transB", 0))
    if flip_b and isinstance(b, np.ndarray):
        b, flip_b = np.ascontiguousarray(b.T), False
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    product = tf.linalg.matmul(tensor(a), tensor(b), transpose_a=flip_a, transpose_b=flip_b)
    if alpha != 1.0:
        product = product * tf.cast(alpha, product.dtype)
    if c is None:
        return product
    if rank(c) == 2 and dims(c)[0] == 1:
        c = tf.reshape(c, [-1])  # oneDNN's fused product takes a bias of shape [1, n] and then fails
    addend = tensor(c) if beta == 1.0 else tensor(c) * tf.cast(beta, product.dtype)
    return product + addend


def einsum(node: Node, *inputs: Value) -> Value:
    """Translate Einsum."""
    equation = node.get("equation").replace(" ", "")
    if "->" not in equation:
        equation = f"{equation}->{_implicit(equation)}"
    return tf.einsum(equation, *map(tensor, inputs))


def _implicit(equation: str) -> str:
    letters = equation.replace(",", "").replace("...", "")
    once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
    return ("..." if "..." in equation else "") + "".join(once)


def matmul_integer(node: Node, a: Value, b: Value, a_zero: Value = None, b_zero: Value = None) -> Value:
    """Translate MatMulInteger; a zero point per row or column is broadcast along its axis."""
    left, right = tf.cast(a, tf.float32), tf.cast(b, tf.float32)
    if a_zero is not None:
        offset = tf.cast(a_zero, tf.float32)
        left -= offset[:, tf.newaxis] if rank(a_zero) == 1 and dims(a_zero)[0] != 1 else offset
    if b_zero is not None:
        right -= tf.cast(b_zero, tf.float32)
    return _exact_product(left, right)


def _exact_product(left: Any, right: Any) -> Any:
    """Multiply whole numbers of at most 9 bits in float32, in parts so short that their sums are exact; TFLite, like
    the fast kernels of TensorFlow, has no integer product.
    """
    length = dims(right)[-2]
    if not isinstance(length, int):
        return tf.linalg.matmul(tf.cast(left, tf.int32), tf.cast(right, tf.int32))
    parts = [slice(at, min(at + _EXACT_LENGTH, length)) for at in range(0, length, _EXACT_LENGTH)]
    products = [tf.linalg.matmul(left[..., part], right[..., part, :]) for part in parts]
    return reduce(tf.math.add, [tf.cast(product, tf.int32) for product in products])


def determinant(node: Node, x: Value) -> Value:
    """Translate Det."""
    return tf.linalg.det(tensor(x))


def qlinear_matmul(node: Node, *inputs: Value) -> Value:
    """Translate QLinearMatMul: an integer product, then scaled, rounded and clipped."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = inputs
    product = tf.cast(matmul_integer(node, a, b, a_zero, b_zero), tf.float32)
    scale = tf.cast(a_scale, tf.float32) * tf.cast(b_scale, tf.float32) / tf.cast(y_scale, tf.float32)
    dtype = dtype_of(y_zero)
    level = tf.math.round(product * scale) + tf.cast(y_zero, tf.float32)
    return tf.cast(tf.clip_by_value(level, dtype.min, dtype.max), dtype)
