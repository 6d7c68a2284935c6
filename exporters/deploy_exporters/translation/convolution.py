"""Conv and ConvTranspose in one, two and three dimensions, with groups, dilations and any padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.layout import channels_first, channels_last, padded
from deploy_exporters.translation.values import Node, Value, dims, rank, static, tensor


@dataclass(frozen=True)
class Window:
    """How a kernel moves over the spatial axes."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[Value, Value], ...]  # tensors where they follow from a dynamic size

    @property
    def reach(self) -> tuple[int, ...]:
        """The extent of the dilated kernel along each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))


def window_of(node: Node, kernel: Sequence[int], sizes: Sequence[Value]) -> Window:
    """Read strides, dilations and pads from the attributes; `sizes` are the spatial sizes of the input."""
    ones = [1] * len(kernel)
    strides, dilations = tuple(node.get("strides", ones)), tuple(node.get("dilations", ones))
    window = Window(tuple(kernel), strides, dilations, ((0, 0),) * len(kernel))
    auto = node.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return Window(window.kernel, strides, dilations, _same_pads(node, window, sizes, auto == "SAME_LOWER"))
    flat = [0] * 2 * len(kernel) if auto == "VALID" else node.get("pads", [0] * 2 * len(kernel))
    return Window(window.kernel, strides, dilations, tuple(zip(flat[: len(kernel)], flat[len(kernel) :], strict=True)))


def _same_pads(node: Node, window: Window, sizes: Sequence[Value], lower: bool) -> tuple[tuple[int, int], ...]:
    pads = []
    for size, stride, reach in zip(sizes, window.strides, window.reach, strict=True):
        if stride != 1 and not isinstance(size, int):
            raise node.error("auto_pad with a stride over a dynamic height or width", hint="export with explicit pads")
        total = max(reach - stride if stride == 1 or size % stride == 0 else reach - size % stride, 0)
        pads.append(((total + 1) // 2, total // 2) if lower else (total // 2, (total + 1) // 2))
    return tuple(pads)


def is_same(window: Window, sizes: Sequence[Value]) -> bool:
    """Tell whether TensorFlow's SAME would pad just like this."""
    for size, stride, reach, pads in zip(sizes, window.strides, window.reach, window.pads, strict=True):
        if (stride != 1 and not isinstance(size, int)) or any(not isinstance(p, int) for p in pads):
            return False
        total = reach - 1 if stride == 1 else max((-(-size // stride) - 1) * stride + reach - size, 0)
        if pads != (total // 2, total - total // 2):
            return False
    return True


def conv(node: Node, x: Value, weight: Value, bias: Value = None) -> Value:
    """Translate Conv: transposed to channels last, convolved, and transposed back."""
    sizes, group = dims(x)[2:], int(node.get("group", 1))
    window = window_of(node, [int(k) for k in weight.shape[2:]], sizes)
    wide = _with_channels(channels_last(x), int(weight.shape[1]) * group)
    if len(sizes) == 1:  # one dimension is a picture of height 1
        wide, weight = tf.expand_dims(wide, 1), _with_height(weight)
        window, sizes = _flat_window(window), [1, *sizes]
    same = is_same(window, sizes)
    wide = wide if same else padded(wide, window.pads)
    result = _convolved(wide, weight, window, group, "SAME" if same else "VALID")
    if bias is not None:
        result = tf.nn.bias_add(result, tensor(bias))
    return channels_first(tf.squeeze(result, 1) if rank(x) == 3 else result)


def _with_channels(x: Any, count: int) -> Any:
    """State the number of channels where a reshape has lost it: TFLite convolves nothing without."""
    sizes = dims(x)
    return x if isinstance(sizes[-1], int) else tf.reshape(x, tf.stack([*sizes[:-1], count]))


def _with_height(weight: Value) -> Value:
    return np.expand_dims(weight, 2) if isinstance(weight, np.ndarray) else tf.expand_dims(weight, 2)


def _flat_window(window: Window) -> Window:
    return Window((1, *window.kernel), (1, *window.strides), (1, *window.dilations), ((0, 0), *window.pads))


def _convolved(x: Any, weight: Value, window: Window, group: int, padding: str) -> Any:
    kernel = _kernel_last(weight)
    if group == 1:
        return _plain(x, tensor(kernel), window, padding)
    if group == dims(x)[-1] and len(window.kernel) == 2:
        return _depthwise(x, kernel, window, group, padding)
    parts = zip(tf.split(x, group, axis=-1), _split(kernel, group), strict=True)
    return tf.concat([_plain(part, tensor(k), window, padding) for part, k in parts], axis=-1)


def _kernel_last(weight: Value) -> Value:
    """Turn [out, in, *space] into [*space, in, out]."""
    order = [*range(2, rank(weight)), 1, 0]
    if isinstance(weight, np.ndarray):
        return np.ascontiguousarray(np.transpose(weight, order))
    return tf.transpose(weight, order)


def _split(kernel: Value, group: int) -> list[Value]:
    if isinstance(kernel, np.ndarray):
        return [np.ascontiguousarray(part) for part in np.split(kernel, group, axis=-1)]
    return list(tf.split(kernel, group, axis=-1))


def _plain(x: Any, kernel: Any, window: Window, padding: str) -> Any:
    if len(window.kernel) == 2:
        return tf.nn.conv2d(x, kernel, window.strides, padding, dilations=window.dilations)
    if max(window.dilations) > 1:  # no such kernel on a CPU
        kernel = spread(kernel, window.dilations)
    return tf.nn.conv3d(x, kernel, [1, *window.strides, 1], padding)


def _depthwise(x: Any, kernel: Value, window: Window, group: int, padding: str) -> Any:
    """Convolve each channel by itself; TensorFlow wants one stride for both axes, and none beside a dilation."""
    multiplier = int(kernel.shape[-1]) // group
    kernel = np.reshape(kernel, [*window.kernel, group, multiplier]) if isinstance(kernel, np.ndarray) else tf.reshape(
        kernel, [*window.kernel, group, multiplier]
    )  # fmt: skip
    high, wide = window.strides
    if high == wide and (high == 1 or max(window.dilations) == 1):
        return tf.nn.depthwise_conv2d(x, tensor(kernel), [1, high, wide, 1], padding, dilations=window.dilations)
    if padding == "SAME":
        x = padded(x, window.pads)
    dense = tf.nn.depthwise_conv2d(x, tensor(kernel), [1, 1, 1, 1], "VALID", dilations=window.dilations)
    return dense[:, ::high, ::wide]


def spread(kernel: Any, dilations: Sequence[int]) -> Any:
    """Put zeros between the elements of a kernel [*space, in, out], which dilates it."""
    for axis, step in enumerate(dilations):
        if step > 1:
            size = dims(kernel)[axis]
            parts = tf.expand_dims(kernel, axis + 1)
            gaps = [[0, 0]] * rank(parts)
            gaps[axis + 1] = [0, step - 1]
            shape = dims(kernel)
            shape[axis] = size * step
            kernel = tf.reshape(tf.pad(parts, gaps), shape)
            kernel = tf.gather(kernel, np.arange(size * step - step + 1), axis=axis)
    return kernel


def conv_integer(node: Node, x: Value, weight: Value, x_zero: Value = None, w_zero: Value = None) -> Value:
    """Translate ConvInteger, in float32 (TensorFlow has no integer convolution); exact while sums stay below 2**24."""
    wide = tf.cast(x, tf.float32) - (0.0 if x_zero is None else tf.cast(x_zero, tf.float32))
    zero = np.zeros((), np.float32) if w_zero is None else _per_output(w_zero, rank(weight))
    parts = static(weight), static(zero)
    if parts[0] is not None and parts[1] is not None:
        return tf.cast(conv(node, wide, parts[0].astype(np.float32) - parts[1].astype(np.float32)), tf.int32)
    return tf.cast(conv(node, wide, tf.cast(weight, tf.float32) - tf.cast(zero, tf.float32)), tf.int32)


def _per_output(value: Value, dimensions: int) -> Value:
    """Line a scalar or a vector up with the output channels of a weight."""
    if rank(value) == 0:
        return value
    shape = [-1] + [1] * (dimensions - 1)
    return value.reshape(shape) if isinstance(value, np.ndarray) else tf.reshape(value, shape)


def qlinear_conv(node: Node, *inputs: Value) -> Value:
    """Translate QLinearConv: convolved as real numbers, then scaled, rounded and clipped."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *rest = inputs
    total = tf.cast(conv_integer(node, x, w, x_zero, w_zero), tf.float32)
    if rest:
        total += tf.reshape(tf.cast(rest[0], tf.float32), [-1] + [1] * (rank(x) - 2))
    shape = [-1] + [1] * (rank(x) - 2) if rank(w_scale) and dims(w_scale)[0] != 1 else [1] * (rank(x) - 2)
    scale = tf.cast(x_scale, tf.float32) * tf.reshape(w_scale, shape) / tf.cast(y_scale, tf.float32)
    dtype = tf.as_dtype(y_zero.dtype)
    level = tf.math.round(total * scale) + tf.cast(y_zero, tf.float32)
    return tf.cast(tf.clip_by_value(level, dtype.min, dtype.max), dtype)
