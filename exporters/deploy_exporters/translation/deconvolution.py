"""ConvTranspose: the gradient of a convolution, then cropped to what ONNX asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.convolution import spread
from deploy_exporters.translation.layout import channels_first, channels_last
from deploy_exporters.translation.values import Node, Value, dims, rank, tensor, vector


def conv_transpose(node: Node, x: Value, weight: Value, bias: Value = None) -> Value:
    """Translate ConvTranspose; a dilated kernel is written out with its zeros."""
    space = rank(x) - 2
    strides = list(node.get("strides", [1] * space))
    group = int(node.get("group", 1))
    kernel = spread(_kernel_last(weight), list(node.get("dilations", [1] * space)))
    wide = channels_last(x)
    if space == 1:
        wide, kernel, strides = tf.expand_dims(wide, 1), tf.expand_dims(kernel, 0), [1, *strides]
    full = _grouped(wide, kernel, strides, group)
    full = tf.squeeze(full, 1) if space == 1 else full
    reach = [int(k) for k in kernel.shape[-2 - space : -2]]
    result = _cropped(node, full, dims(x)[2:], reach, strides[-space:])
    return channels_first(result if bias is None else tf.nn.bias_add(result, tensor(bias)))


def _kernel_last(weight: Value) -> Value:
    """Turn [in, out, *space] into TensorFlow's [*space, in, out]."""
    order = [*range(2, rank(weight)), 0, 1]
    if isinstance(weight, np.ndarray):
        return np.ascontiguousarray(np.transpose(weight, order))
    return tf.transpose(weight, order)


def _grouped(x: Any, kernel: Value, strides: Sequence[int], group: int) -> Any:
    if group == 1:
        return _full(x, kernel, strides)
    kernels = tf.split(tensor(kernel), group, axis=-2)
    parts = zip(tf.split(x, group, axis=-1), kernels, strict=True)
    return tf.concat([_full(part, k, strides) for part, k in parts], axis=-1)


def _full(x: Any, kernel: Value, strides: Sequence[int]) -> Any:
    """Spread every input over the whole reach of the kernel, nothing cropped."""
    *reach, _, outer = (int(k) for k in kernel.shape)
    batch, *sizes, _ = dims(x)
    grown = [(size - 1) * s + max(k, s) for size, s, k in zip(sizes, strides, reach, strict=True)]
    shape = vector([batch, *grown, outer], tf.int32)
    order = [*range(len(reach)), len(reach) + 1, len(reach)]
    fixed = np.ascontiguousarray(np.transpose(kernel, order)) if isinstance(kernel, np.ndarray) else None
    flipped = tf.transpose(kernel, order) if fixed is None else tensor(fixed)
    run = tf.nn.conv2d_transpose if len(reach) == 2 else tf.nn.conv3d_transpose
    result = run(x, flipped, shape, strides, padding="VALID")
    # where the stride is larger than the kernel, TensorFlow wants a gap at the end that ONNX has not
    ends = [(size - 1) * s + k for size, s, k in zip(sizes, strides, reach, strict=True)]
    return result if all(s <= k for s, k in zip(strides, reach, strict=True)) else _upto(result, ends)


def _upto(x: Any, ends: Sequence[Value]) -> Any:
    return x[(slice(None), *(slice(0, end) for end in ends))]


def _cropped(node: Node, full: Any, sizes: Sequence[Value], reach: Sequence[int], strides: Sequence[int]) -> Any:
    extra = list(node.get("output_padding", [0] * len(reach)))
    wanted = list(node.get("output_shape", []))[-len(reach) :]
    if not wanted and str(node.get("auto_pad", "NOTSET")).startswith("SAME"):
        wanted = [size * s for size, s in zip(sizes, strides, strict=True)]
    whole = [(size - 1) * s + k for size, s, k in zip(sizes, strides, reach, strict=True)]
    begins, ends = _pads(node, whole, wanted, extra)
    beyond = [max(e - end, 0) if isinstance(end, int) else e for e, end in zip(extra, ends, strict=True)]
    if any(beyond):  # the output reaches beyond what any input touches
        full = tf.pad(full, [[0, 0], *[[0, b] for b in beyond], [0, 0]])
    stops = [w + e - end for w, e, end in zip(whole, extra, ends, strict=True)]
    if all(isinstance(v, int) and v == 0 for v in (*begins, *ends, *extra)):
        return full
    return full[(slice(None), *(slice(b, stop) for b, stop in zip(begins, stops, strict=True)))]


def _pads(
    node: Node, whole: Sequence[Value], wanted: Sequence[Value], extra: Sequence[int]
) -> tuple[list[Value], list[Value]]:
    if not wanted:
        pads = list(node.get("pads", [0] * 2 * len(whole)))
        return pads[: len(whole)], pads[len(whole) :]
    totals = [w + e - want for w, e, want in zip(whole, extra, wanted, strict=True)]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    # ONNX puts the odd element at the end for SAME_UPPER only
    return (small, large) if node.get("auto_pad") == "SAME_UPPER" else (large, small)
