"""MaxPool, AveragePool, LpPool and the global ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.convolution import Window, is_same, window_of
from deploy_exporters.translation.layout import channels_first, channels_last, padded
from deploy_exporters.translation.values import Node, Value, dims, dtype_of, rank, reshaped, tensor


def max_pool(node: Node, x: Value) -> Value | tuple[Value, Value]:
    """Translate MaxPool."""
    window = _window(node, x)
    if len(node.outputs) > 1:
        return _max_with_indices(node, x, window)
    sparse = any(s > k for s, k in zip(window.strides, window.kernel, strict=True))
    if dtype_of(x) not in (tf.float32, tf.float64, tf.float16, tf.bfloat16) or len(window.kernel) > 3 or sparse:
        return tf.reduce_max(_windows(x, window, dtype_of(x).min), axis=_inner_axes(window))
    return _pooled(x, window, "MAX", lambda wide: _padded_for_max(wide, window))


def _window(node: Node, x: Value) -> Window:
    sizes = dims(x)[2:]
    window = window_of(node, node.get("kernel_shape"), sizes)
    return _ceiled(window, sizes) if node.get("ceil_mode", 0) else window


def _ceiled(window: Window, sizes: Sequence[Value]) -> Window:
    """Pad the end so far that the last, partly filled window counts, if it begins inside."""
    pads: list[tuple[Value, Value]] = []
    for size, stride, reach, (begin, end) in zip(sizes, window.strides, window.reach, window.pads, strict=True):
        if not isinstance(size, int):
            size = tf.cast(size, tf.int32)  # TFLite divides no int64
        count = -((size + begin + end - reach) // -stride) + 1
        beyond = (count - 1) * stride >= size + begin
        count = count - (int(beyond) if isinstance(size, int) else tf.cast(beyond, tf.int32))
        rest = (count - 1) * stride + reach - size - begin
        pads.append((begin, max(rest, 0) if isinstance(rest, int) else tf.maximum(rest, 0)))
    return Window(window.kernel, window.strides, window.dilations, tuple(pads))


def _padded_for_max(wide: Any, window: Window) -> Any:
    """Pad with values from the window itself, or, where the pad is wider than half a kernel, with -inf.

    A pad of -inf or the lowest number would stretch the range that int8 quantisation has to cover.
    """
    mirror = all(
        isinstance(p, int) and 2 * p <= k for k, pads in zip(window.kernel, window.pads, strict=True) for p in pads
    )
    if mirror and max(window.dilations) == 1:
        pairs = [[0, 0], *[list(pair) for pair in window.pads], [0, 0]]
        return wide if not any(map(any, pairs)) else tf.pad(wide, pairs, mode="SYMMETRIC")
    return padded(wide, window.pads, tf.constant(-np.inf, wide.dtype))


def _pooled(x: Value, window: Window, kind: str, pad: Callable[[Any], Any]) -> Any:
    """Pool the channels-last form of x by TensorFlow's own pooling."""
    if len(window.kernel) == 3:
        return channels_first(_deep(pad(channels_last(x)), window, kind))
    wide, flat = channels_last(x), len(window.kernel) == 1
    lead = [1] if flat else []
    same = max(window.dilations) == 1 and is_same(window, dims(x)[2:])
    wide = wide if same else pad(wide)
    wide = tf.expand_dims(wide, 1) if flat else wide
    result = _plain(wide, window, kind, lead, "SAME" if same else "VALID")
    return channels_first(tf.squeeze(result, 1) if flat else result)


def _deep(wide: Any, window: Window, kind: str) -> Any:
    """Pool height and width, then depth: TFLite has no pooling in three dimensions."""
    inner, outer = _part(window, slice(1, 3)), _part(window, slice(0, 1))
    batch, depth, high, across, channels = dims(wide)
    planes = _plain(reshaped(wide, [batch * depth, high, across, channels]), inner, kind, [])
    small = dims(planes)[1:3]
    rows = reshaped(planes, [batch, depth, small[0] * small[1], channels])
    over = Window((*outer.kernel, 1), (*outer.strides, 1), (*outer.dilations, 1), ((0, 0), (0, 0)))
    pooled = _plain(rows, over, kind, [])
    return reshaped(pooled, [batch, dims(pooled)[1], *small, channels])


def _part(window: Window, axes: slice) -> Window:
    return Window(
        window.kernel[axes], window.strides[axes], window.dilations[axes], ((0, 0),) * len(window.kernel[axes])
    )


def _plain(wide: Any, window: Window, kind: str, lead: list[int], padding: str = "VALID") -> Any:
    """Pool by one operator; what is to be padded has been."""
    if max(window.dilations) > 1:
        return _dilated(wide, window, kind, lead)
    strides = [*lead, *window.strides]
    return tf.nn.pool(wide, [*lead, *window.kernel], kind, strides=strides, padding=padding)


def _dilated(wide: Any, window: Window, kind: str, lead: list[int]) -> Any:
    """TensorFlow pools with dilation at stride 1 only: pool everywhere and keep every stride-th."""
    dense = tf.nn.pool(wide, [*lead, *window.kernel], kind, padding="VALID", dilations=[*lead, *window.dilations])
    return dense[(slice(None), *(slice(None, None, s) for s in [*lead, *window.strides]))]


def average_pool(node: Node, x: Value) -> Value:
    """Translate AveragePool: a sum over the window divided by how many elements count."""
    window = _window(node, x)
    sparse = any(s > k for s, k in zip(window.strides, window.kernel, strict=True))
    if len(window.kernel) > 3 or dtype_of(x) == tf.float64 or sparse:
        return _average_of_windows(node, x, window)
    plain = all(isinstance(p, int) and p == 0 for pads in window.pads for p in pads)
    own_same = max(window.dilations) == 1 and len(window.kernel) < 3 and is_same(window, dims(x)[2:])
    if plain or (own_same and not node.get("count_include_pad", 0)):
        return _pooled(x, window, "AVG", lambda wide: wide)
    inside = Window(window.kernel, window.strides, window.dilations, ((0, 0),) * len(window.kernel))
    total = _pooled(channels_first(padded(channels_last(x), window.pads)), inside, "AVG", lambda wide: wide)
    if node.get("count_include_pad", 0) and not node.get("ceil_mode", 0):
        return total
    ones, rest = _counted(node, x, window)
    counts = channels_first(padded(channels_last(ones), rest))
    return total / _pooled(counts, inside, "AVG", lambda wide: wide)


def _counted(node: Node, x: Value, window: Window) -> tuple[Any, tuple[tuple[Value, Value], ...]]:
    """Give ones for the elements that count, and the pads still to come, which do not."""
    ones = tf.ones_like(tensor(x)[:1, :1])
    if not node.get("count_include_pad", 0):
        return ones, window.pads
    wanted = window_of(node, window.kernel, dims(x)[2:]).pads
    declared = [(b, _smaller(e, have)) for (b, e), (_, have) in zip(wanted, window.pads, strict=True)]
    ones = tf.pad(ones, [[0, 0], [0, 0], *[list(pair) for pair in declared]], constant_values=1)
    return ones, tuple((0, have[1] - want[1]) for have, want in zip(window.pads, declared, strict=True))


def _smaller(a: Value, b: Value) -> Value:
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else tf.minimum(a, b)


def _average_of_windows(node: Node, x: Value, window: Window) -> Any:
    axes = _inner_axes(window)
    ones, rest = _counted(node, x, window)
    counts = _windows(ones, Window(window.kernel, window.strides, window.dilations, rest), 0)
    return tf.reduce_sum(_windows(x, window, 0), axis=axes) / tf.reduce_sum(counts, axis=axes)


def lp_pool(node: Node, x: Value) -> Value:
    """Translate LpPool."""
    window, p = _window(node, x), node.get("p", 2)
    parts = tf.math.abs(_windows(x, window, 0))
    power = tf.cast(p, parts.dtype)
    return tf.math.pow(tf.reduce_sum(tf.math.pow(parts, power), axis=_inner_axes(window)), 1 / power)


def global_pool(node: Node, x: Value) -> Value:
    """Translate the pools over all spatial axes."""
    axes = list(range(2, rank(x)))
    if node.op == "GlobalAveragePool":
        return tf.reduce_mean(tensor(x), axis=axes, keepdims=True)
    if node.op == "GlobalMaxPool":
        return tf.reduce_max(tensor(x), axis=axes, keepdims=True)
    p = tf.cast(node.get("p", 2), dtype_of(x))
    return tf.math.pow(tf.reduce_sum(tf.math.pow(tf.math.abs(tensor(x)), p), axis=axes, keepdims=True), 1 / p)


def _inner_axes(window: Window) -> list[int]:
    return [2 + 2 * i + 1 for i in range(len(window.kernel))]


def _windows(x: Value, window: Window, fill: Any) -> Any:
    """Gather every window: [N, C, out, kernel, out, kernel, …]; general, and slower than pooling."""
    pads = [[0, 0], [0, 0], *[list(pair) for pair in window.pads]]
    result = tf.pad(tensor(x), pads, constant_values=tf.cast(fill, dtype_of(x)))
    for i, (kernel, stride, dilation, reach) in enumerate(
        zip(window.kernel, window.strides, window.dilations, window.reach, strict=True)
    ):
        axis = 2 + 2 * i
        size = dims(result)[axis]
        starts = tf.range(0, size - reach + 1, stride)
        offsets = tf.cast(tf.range(kernel) * dilation, starts.dtype)
        result = tf.gather(result, starts[:, tf.newaxis] + offsets, axis=axis)
    return result


def _max_with_indices(node: Node, x: Value, window: Window) -> tuple[Value, Value]:
    """Find the maxima and where in the flat input they lie."""
    sizes = dims(x)
    count: Value = 1
    for size in sizes:
        count = count * size
    order = list(range(2, rank(x)))[::-1] if node.get("storage_order", 0) else list(range(2, rank(x)))
    positions = tf.reshape(tf.range(tf.cast(count, tf.int64)), [*sizes[:2], *[sizes[a] for a in order]])
    if node.get("storage_order", 0):
        positions = tf.transpose(positions, [0, 1, *order])
    values = _flat_windows(_windows(x, window, dtype_of(x).min), window)
    where = _flat_windows(_windows(positions, window, 0), window)
    best = tf.math.argmax(values, axis=-1)
    batch_dims = rank(values) - 1
    return tf.gather(values, best, batch_dims=batch_dims), tf.gather(where, best, batch_dims=batch_dims)


def _flat_windows(parts: Any, window: Window) -> Any:
    inner = _inner_axes(window)
    outer = [a for a in range(rank(parts)) if a not in inner]
    moved = tf.transpose(parts, [*outer, *inner])
    sizes = dims(moved)
    return tf.reshape(moved, [*sizes[: len(outer)], int(np.prod(window.kernel))])
