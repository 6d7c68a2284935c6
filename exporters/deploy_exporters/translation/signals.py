"""Fourier transforms and what goes with them: DFT, STFT, MelWeightMatrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.model import dtype_of_tensor_type
from deploy_exporters.translation.values import (
    Node,
    Value,
    dims,
    dtype_of,
    known,
    rank,
    reshaped,
    static,
    tensor,
    vector,
)


def dft(node: Node, x: Value, length: Value = None, axis: Value = None) -> Value:
    """Translate DFT; the last axis of its tensors holds the real and the imaginary part."""
    where = node.get("axis", 1) if node.opset < 20 else -2 if axis is None else int(known(node, axis, "axis"))
    where, dtype = int(where) % rank(x), dtype_of(x)
    numbers = _complex(tensor(x))
    order = [a for a in range(rank(x) - 1) if a != where] + [where]
    moved = tf.transpose(numbers, order)
    if length is not None:
        moved = _fitted(moved, int(known(node, length, "dft_length")))
    inverse, onesided = bool(node.get("inverse", 0)), bool(node.get("onesided", 0))
    if inverse and onesided:
        result = tf.signal.irfft(moved, None if length is None else [int(known(node, length, "dft_length"))])
        result = tf.complex(result, tf.zeros_like(result))
    else:
        result = tf.signal.ifft(moved) if inverse else tf.signal.fft(moved)
        result = result[..., : dims(result)[-1] // 2 + 1] if onesided else result
    back = tf.transpose(result, [order.index(a) for a in range(len(order))])
    if inverse and onesided:
        return tf.cast(tf.math.real(back), dtype)[..., tf.newaxis]
    return tf.cast(tf.stack([tf.math.real(back), tf.math.imag(back)], axis=-1), dtype)


def _complex(x: Any) -> Any:
    """Join real and imaginary parts, in double precision: in single, what cancels leaves 1e-6 behind."""
    x = tf.cast(x, tf.float64)
    return tf.complex(x[..., 0], tf.zeros_like(x[..., 0]) if x.shape[-1] == 1 else x[..., 1])


def _fitted(x: Any, length: int) -> Any:
    """Cut the last axis to a length or fill it up with zeros."""
    cut = x[..., :length]
    gap = length - tf.shape(cut)[-1]
    return tf.pad(cut, tf.concat([tf.zeros([rank(x) - 1, 2], tf.int32), [[0, gap]]], 0))


def stft(node: Node, x: Value, step: Value, window: Value = None, length: Value = None) -> Value:
    """Translate STFT."""
    hop = int(known(node, step, "frame_step"))
    size = int(known(node, length, "frame_length")) if length is not None else int(window.shape[0])
    dtype = dtype_of(x)
    if dtype == tf.float32 and (rank(x) == 2 or x.shape[-1] == 1):
        bins = size // 2 + 1 if node.get("onesided", 1) else size
        return _by_convolution(tf.reshape(x, vector([*dims(x)[:2], 1])), size, window, hop, bins)
    frames = tf.signal.frame(_complex(tensor(x) if rank(x) == 3 else tensor(x)[..., tf.newaxis]), size, hop, axis=1)
    if window is not None:
        frames = frames * tf.cast(window, tf.complex128)
    result = tf.signal.fft(frames)
    result = result[..., : size // 2 + 1] if node.get("onesided", 1) else result
    return tf.cast(tf.stack([tf.math.real(result), tf.math.imag(result)], axis=-1), dtype)


def _by_convolution(x: Any, size: int, window: Value, hop: int, bins: int) -> Value:
    """Multiply every frame of [batch, length, 1] by waves: one convolution, which TFLite has, as it has no complex FFT."""
    # the quotient of whole numbers first: the angles of long frames would lose digits
    angles = 2 * np.pi * ((np.arange(size)[:, np.newaxis] * np.arange(bins)) % size / size)
    waves = np.stack([np.cos(angles), -np.sin(angles)], axis=-1)
    kernel = np.where(np.abs(waves) < 1e-12, 0, waves).reshape(size, 1, 2 * bins).astype(np.float32)
    if window is not None:
        known_window = static(window)
        shaped = tf.reshape(window, [size, 1, 1]) if known_window is None else known_window.reshape(size, 1, 1)
        kernel = kernel * shaped
    result = tf.nn.conv1d(x, tensor(kernel), hop, "VALID")
    batch, frames, _ = dims(result)
    return reshaped(result, [batch, frames, bins, 2])


def mel_weight_matrix(node: Node, *inputs: Value) -> Value:
    """Translate MelWeightMatrix, which is a constant: triangles over mel bins."""
    names = ("num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz")
    bins, length, rate, low, high = (float(known(node, v, n)) for v, n in zip(inputs, names, strict=True))
    first_mel, last_mel = (2595 * np.log10(1 + hertz / 700) for hertz in (low, high))
    mels = np.arange(int(bins) + 2) * (last_mel - first_mel) / (bins + 2) + first_mel
    places = np.floor((length + 1) * (700 * (10 ** (mels / 2595) - 1)) / rate).astype(int)
    matrix = np.zeros((int(length) // 2 + 1, int(bins)))
    for i in range(int(bins)):
        first, middle, last = places[i : i + 3]
        rising = middle - first
        if rising == 0:
            matrix[middle, i] = 1
        else:
            matrix[first : middle + 1, i] = (np.arange(first, middle + 1) - first) / rising
        if last > middle:
            matrix[middle:last, i] = (last - np.arange(middle, last)) / (last - middle)
    return matrix.astype(dtype_of_tensor_type(node.get("output_datatype", 1)))
