"""One model computed in several ways that are all right: sums in other orders, fused, blocked, by Winograd's transform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deploy_core.signature import Array

Dot = Callable[[Array, Array], Array]


def _plain(x: Array, w: Array) -> Array:
    return np.asarray(x @ w)


def _reversed(x: Array, w: Array) -> Array:
    return np.asarray(np.ascontiguousarray(x[..., ::-1]) @ np.ascontiguousarray(w[::-1]))


def _sequential(x: Array, w: Array) -> Array:
    total = np.zeros((*x.shape[:-1], w.shape[1]), x.dtype)
    for k in range(len(w)):
        total += x[..., k : k + 1] * w[k]
    return total


def _fused(x: Array, w: Array) -> Array:
    """Multiply and add with one rounding, as FMA instructions do."""
    total = np.zeros((*x.shape[:-1], w.shape[1]), x.dtype)
    for k in range(len(w)):
        total = (total.astype(np.float64) + x[..., k : k + 1].astype(np.float64) * w[k]).astype(x.dtype)
    return total


def _blocked(x: Array, w: Array, block: int = 8) -> Array:
    parts = [_sequential(x[..., k : k + block], w[k : k + block]) for k in range(0, len(w), block)]
    while len(parts) > 1:
        parts = [parts[i] + parts[i + 1] if i + 1 < len(parts) else parts[i] for i in range(0, len(parts), 2)]
    return parts[0]


def _lanes(x: Array, w: Array, lanes: int = 16) -> Array:
    """Sum in so many lanes, as a vector unit does, and those in the end."""
    return np.asarray(sum(_sequential(x[..., k::lanes], w[k::lanes]) for k in range(min(lanes, len(w)))))


def _exact(x: Array, w: Array) -> Array:
    return np.asarray((x.astype(np.float64) @ w.astype(np.float64)).astype(x.dtype))


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-x)))


def _sigmoid_by_tanh(x: Array) -> Array:
    half = x.dtype.type(0.5)
    return np.asarray(half * np.tanh(half * x) + half)


@dataclass(frozen=True)
class Arithmetic:
    """A way to compute: how sums are made, a convolution's tile of outputs (0: none, by windows), and a sigmoid.

    With `bias_first` a dense layer's sums begin with the bias, as XNNPACK's do, so that each addition rounds at its size.
    """

    name: str
    dot: Dot = _plain
    tile: int = 0
    sigmoid: Callable[[Array], Array] = _sigmoid
    dtype: type = np.float32
    bias_first: bool = False

    def dense(self, x: Array, w: Array, b: Array) -> Array:
        """Multiply with a matrix and add a bias."""
        if not self.bias_first:
            return np.asarray(self.dot(x, w) + b)
        ones = np.ones((*x.shape[:-1], 1), x.dtype)
        return self.dot(np.concatenate([ones, x], axis=-1), np.concatenate([b[None], w]))

    def conv(self, image: Array, kernel: Array) -> Array:
        """Convolve `[n, c, h, w]` with `[o, c, 3, 3]`, one zero around."""
        padded = np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1)))
        return _winograd(padded, kernel, self) if self.tile else _windows(padded, kernel, self)


HONEST = (
    Arithmetic("reversed", _reversed),
    Arithmetic("sequential", _sequential, sigmoid=_sigmoid_by_tanh),
    Arithmetic("fused, from the bias", _fused, bias_first=True),
    Arithmetic("blocked", _blocked, sigmoid=_sigmoid_by_tanh),
    Arithmetic("lanes", _lanes),
    Arithmetic("float64 sums", _exact),
    Arithmetic("Winograd 2×2", _blocked, tile=2),
    Arithmetic("Winograd 4×4", _plain, tile=4, sigmoid=_sigmoid_by_tanh),
)
REFERENCE = Arithmetic("as numpy does")
FLOAT64 = Arithmetic("float64", dtype=np.float64)


def _windows(padded: Array, kernel: Array, how: Arithmetic) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    n, c, h, w = windows.shape[:4]
    columns = np.ascontiguousarray(windows.transpose(0, 2, 3, 1, 4, 5).reshape(n, h * w, c * 9))
    summed = how.dot(columns, np.ascontiguousarray(kernel.reshape(len(kernel), -1).T))
    return np.asarray(summed.reshape(n, h, w, -1).transpose(0, 3, 1, 2))


_TRANSFORMS = {
    2: (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
        [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, -1]],
    ),
    4: (
        [
            [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
        ],
        [
            [1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1],
        ],
        [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    ),
}  # fmt: skip


def _winograd(padded: Array, kernel: Array, how: Arithmetic) -> Array:
    """Convolve by Winograd's F(tile × tile, 3 × 3), which multiplies less and rounds more."""
    m = how.tile
    data, weights, back = (np.array(matrix, padded.dtype) for matrix in _TRANSFORMS[m])
    n, _, h, w = padded.shape
    tall, wide = -(-(h - 2) // m), -(-(w - 2) // m)
    full = np.pad(padded, ((0, 0), (0, 0), (0, tall * m + 2 - h), (0, wide * m + 2 - w)))
    tiles = np.lib.stride_tricks.sliding_window_view(full, (m + 2, m + 2), axis=(2, 3))[:, :, ::m, ::m]
    u = weights @ kernel @ weights.T  # [o, c, m+2, m+2]
    v = data @ tiles @ data.T  # [n, c, tall, wide, m+2, m+2]
    product = np.empty((n, tall, wide, len(kernel), m + 2, m + 2), padded.dtype)
    for i in range(m + 2):
        for j in range(m + 2):
            product[..., i, j] = how.dot(np.ascontiguousarray(v[..., i, j].transpose(0, 2, 3, 1)), u[:, :, i, j].T)
    out = back @ product @ back.T  # [n, tall, wide, o, m, m]
    joined = out.transpose(0, 3, 1, 4, 2, 5).reshape(n, len(kernel), tall * m, wide * m)
    return np.asarray(joined[:, :, : h - 2, : w - 2])
