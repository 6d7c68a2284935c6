"""Operators that work on each element by itself: arithmetic, functions, activations, comparisons, logic."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.values import Node, Value, dtype_of, is_size, known, rank, reshaped, static, tensor

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "Acosh": tf.math.acosh,
    "Asinh": tf.math.asinh,
    "Atanh": tf.math.atanh,
    "BitwiseNot": tf.bitwise.invert,
    "Ceil": tf.math.ceil,
    "Cos": tf.math.cos,
    "Exp": tf.math.exp,
    "Floor": tf.math.floor,
    "Identity": lambda x: x,
    "Log": tf.math.log,
    "Neg": tf.math.negative,
    "Not": tf.math.logical_not,
    "Reciprocal": tf.math.reciprocal,
    "Round": tf.math.round,
    "Sigmoid": tf.math.sigmoid,
    "Sin": tf.math.sin,
    "Softplus": tf.math.softplus,
    "Softsign": tf.math.softsign,
    "Sqrt": tf.math.sqrt,
    "Tanh": tf.math.tanh,
}

_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": tf.math.add,
    "BitwiseAnd": tf.bitwise.bitwise_and,
    "BitwiseOr": tf.bitwise.bitwise_or,
    "BitwiseXor": tf.bitwise.bitwise_xor,
    "Mul": tf.math.multiply,
    "Sub": tf.math.subtract,
    "And": tf.math.logical_and,
    "Or": tf.math.logical_or,
    "Xor": tf.math.not_equal,  # on booleans the same; TFLite has no LogicalXor
    "Equal": tf.math.equal,
    "Greater": tf.math.greater,
    "GreaterOrEqual": tf.math.greater_equal,
    "Less": tf.math.less,
    "LessOrEqual": tf.math.less_equal,
}


def unary(node: Node, x: Value) -> Value:
    """Translate the operators that TensorFlow has under a name of its own."""
    return _FUNCTIONS[node.op](tensor(x))


def binary(node: Node, a: Value, b: Value) -> Value:
    """Translate the operators on two broadcast tensors that TensorFlow has."""
    left, right = (tensor(value) for value in legacy_broadcast(node, a, b))
    if node.op.startswith("Bitwise"):
        return _PAIRS[node.op](left, right)
    result = _PAIRS[node.op](widened(left), widened(right))
    return result if result.dtype == tf.bool else tf.cast(result, left.dtype)


_WIDER = {
    tf.int8: tf.int32, tf.uint8: tf.int32, tf.int16: tf.int32, tf.uint16: tf.int32, tf.uint32: tf.int64,
}  # fmt: skip


def widened(x: Any) -> Any:
    """Give narrow integers in a dtype that TFLite computes with; cast back, the result is the same to the bit."""
    return tf.cast(x, _WIDER[x.dtype]) if x.dtype in _WIDER else x


def legacy_broadcast(node: Node, a: Value, b: Value) -> tuple[Value, Value]:
    """Line up the second operand as opset 6 and before said: by the attributes `broadcast` and `axis`."""
    if node.opset >= 7 or not node.get("broadcast", 0) or "axis" not in node.attributes:
        return a, b
    axis = int(node.get("axis")) % rank(a)
    return a, reshaped(b, [*b.shape, *[1] * (rank(a) - axis - rank(b))])


def absolute(node: Node, x: Value) -> Value:
    """Translate Abs; TensorFlow lacks it for unsigned integers, TFLite for all integers."""
    x = tensor(x)
    if x.dtype.is_floating:
        return tf.math.abs(x)
    return x if x.dtype.is_unsigned else maximum(x, tf.zeros((), x.dtype) - x)


def sign(node: Node, x: Value) -> Value:
    """Translate Sign; between integers by comparing, which TFLite can."""
    x = tensor(x)
    if x.dtype.is_floating:
        return tf.math.sign(x)
    zero = tf.zeros((), x.dtype)
    above, below = (tf.cast(compared, tf.int32) for compared in _either_side(x, zero))
    return tf.cast(above - below, x.dtype)


def _either_side(x: Any, zero: Any) -> tuple[Any, Any]:
    return tf.math.greater(widened(x), widened(zero)), tf.math.less(widened(x), widened(zero))


def trigonometric(node: Node, x: Value) -> Value:
    """Translate Acos, Asin, Atan, Cosh, Sinh and Tan: in float32 by functions that TFLite has."""
    x = tensor(x)
    return (_COMPOSED if x.dtype == tf.float32 else _OWN)[node.op](x)


def _sinh(x: Any) -> Any:
    """Near 0 the difference of the exponentials would have few digits left."""
    square = x * x
    near = x * (1 + square / 6 * (1 + square / 20 * (1 + square / 42 * (1 + square / 72))))
    return tf.where(tf.math.abs(x) < 1, near, (tf.math.exp(x) - tf.math.exp(-x)) / 2)


_OWN: dict[str, Callable[[Any], Any]] = {
    "Acos": tf.math.acos,
    "Asin": tf.math.asin,
    "Atan": tf.math.atan,
    "Cosh": tf.math.cosh,
    "Sinh": tf.math.sinh,
    "Tan": tf.math.tan,
}
_COMPOSED: dict[str, Callable[[Any], Any]] = {
    "Acos": lambda x: tf.math.atan2(tf.math.sqrt((1 - x) * (1 + x)), x),
    "Asin": lambda x: tf.math.atan2(x, tf.math.sqrt((1 - x) * (1 + x))),
    "Atan": lambda x: tf.math.atan2(x, tf.ones_like(x)),
    "Cosh": lambda x: (tf.math.exp(x) + tf.math.exp(-x)) / 2,
    "Sinh": _sinh,
    "Tan": lambda x: tf.math.sin(x) / tf.math.cos(x),
}


def divide(node: Node, a: Value, b: Value) -> Value:
    """Translate Div: between integers the quotient is cut toward zero."""
    a, b = (tensor(v) for v in legacy_broadcast(node, a, b))
    if a.dtype.is_floating:
        return tf.math.divide(a, b)
    if a.dtype == tf.int64 and is_size(a) and is_size(b):  # TFLite divides no int64, and no size needs it
        return tf.cast(tf.truncatediv(tf.cast(a, tf.int32), tf.cast(b, tf.int32)), tf.int64)
    return tf.cast(tf.truncatediv(widened(a), widened(b)), a.dtype)


def modulo(node: Node, a: Value, b: Value) -> Value:
    """Translate Mod: with `fmod` the result has the sign of the dividend, else of the divisor."""
    dtype = dtype_of(a)
    wide = (dtype if dtype.size >= 4 else tf.float32) if dtype.is_floating else tf.int64
    a, b = tf.cast(a, wide), tf.cast(b, wide)
    if not node.get("fmod", 0):
        return tf.cast(tf.math.floormod(a, b), dtype)
    rest = tf.math.floormod(tf.math.abs(a), tf.math.abs(b))  # TFLite has no TruncateMod
    return tf.cast(tf.where(a < 0, -rest, rest), dtype)


def power(node: Node, a: Value, b: Value) -> Value:
    """Translate Pow: the result has the base's dtype; small whole exponents become products."""
    base, exponent = legacy_broadcast(node, a, b)
    exact = static(exponent)
    if exact is not None and exact.size == 1 and exact.ndim <= rank(base):
        simple = _simple_power(tensor(base), float(exact.reshape(())))
        if simple is not None:
            return simple
    dtype, other = dtype_of(base), dtype_of(exponent)
    work = dtype if (dtype.is_floating and dtype.size >= other.size) or not other.is_floating else other
    return tf.cast(tf.math.pow(tf.cast(base, work), tf.cast(exponent, work)), dtype)


def _simple_power(base: Any, exponent: float) -> Any | None:
    if exponent == 1.0:
        return base
    if exponent == 2.0:
        return tf.math.multiply(base, base)
    if exponent == 3.0:
        return tf.math.multiply(tf.math.multiply(base, base), base)
    return tf.math.sqrt(base) if exponent == 0.5 and base.dtype.is_floating else None


def variadic(node: Node, *inputs: Value) -> Value:
    """Translate Sum, Mean, Max and Min of any number of tensors."""
    if node.op in ("Sum", "Mean"):
        total = reduce(tf.math.add, map(tensor, inputs))
        return total if node.op == "Sum" else total / tf.constant(len(inputs), total.dtype)
    return reduce(maximum if node.op == "Max" else minimum, map(tensor, inputs))


def maximum(a: Value, b: Value) -> Any:
    """Take the larger of each pair."""
    return _picked(tf.math.maximum, tf.math.greater, tensor(a), tensor(b))


def minimum(a: Value, b: Value) -> Any:
    """Take the smaller of each pair."""
    return _picked(tf.math.minimum, tf.math.less, tensor(a), tensor(b))


def _picked(function: Callable[..., Any], goes_first: Callable[..., Any], a: Any, b: Any) -> Any:
    if a.dtype == tf.uint64:  # nothing wider, and no maximum
        return tf.where(goes_first(a, b), a, b)
    return tf.cast(function(widened(a), widened(b)), a.dtype)


def clip(node: Node, x: Value, low: Value = None, high: Value = None) -> Value:
    """Translate Clip, whose limits are attributes up to opset 10 and inputs after."""
    dtype = dtype_of(x)
    if node.opset < 11:
        low, high = (None if node.get(n) is None else np.array(node.get(n)) for n in ("min", "max"))
    if _is(low, 0.0) and _is(high, 6.0) and dtype.is_floating:
        return tf.nn.relu6(x)
    result = tensor(x)
    if low is not None:
        result = maximum(result, tf.cast(low, dtype))
    return result if high is None else minimum(result, tf.cast(high, dtype))


def _is(value: Value, number: float) -> bool:
    array = static(value)
    return array is not None and array.size == 1 and float(array.reshape(())) == number


def is_nan(node: Node, x: Value) -> Value:
    """Translate IsNaN; TFLite has no IsNan, and only NaN differs from itself."""
    return tf.math.not_equal(x, x)


def is_inf(node: Node, x: Value) -> Value:
    """Translate IsInf."""
    x = tensor(x)
    signs = bool(node.get("detect_positive", 1)), bool(node.get("detect_negative", 1))
    if not any(signs):
        return tf.zeros_like(x, dtype=tf.bool)
    seen = tf.math.abs(x) if all(signs) else x if signs[0] else -x
    return seen > x.dtype.max  # LiteRT finds infinity equal to nothing


def bit_shift(node: Node, a: Value, b: Value) -> Value:
    """Translate BitShift."""
    dtype, left = dtype_of(a), node.get("direction") == "LEFT"
    a, b = tensor(a), tensor(b)
    bits = tf.cast(8 * dtype.size, b.dtype)
    shifted = (tf.bitwise.left_shift if left else tf.bitwise.right_shift)(
        a, minimum(tf.where(b < 0, bits, b), bits - 1)
    )
    gone = tf.zeros_like(shifted) if left or dtype.is_unsigned else tf.where(a < 0, -tf.ones_like(shifted), 0)
    return tf.where(tf.logical_or(b < 0, b >= bits), gone, shifted)


def where(node: Node, condition: Value, a: Value, b: Value) -> Value:
    """Translate Where."""
    return tf.where(condition, tensor(a), tensor(b))


def dropout(node: Node, x: Value, _: Value = None, training: Value = None) -> Value | tuple[Value, ...]:
    """Translate Dropout as it is at inference: nothing is dropped."""
    if training is not None and bool(known(node, training, "training_mode")):
        raise node.error("it is in training mode", hint="call model.eval() before the export")
    if len(node.outputs) == 1:
        return tensor(x)
    return tensor(x), tf.ones_like(x, dtype=tf.bool)
