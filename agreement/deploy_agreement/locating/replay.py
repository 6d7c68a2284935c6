"""What an operator may have done instead: its values made again by numpy, and compared with those that came."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from deploy_core.signature import Array

_ENOUGH = 3  # values of a channel: through two there is always a line
_SQRT_2 = math.sqrt(2.0)
_erf = np.frompyfunc(math.erf, 1, 1)


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _softmax(x: Array, axis: int) -> Array:
    raised = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis=axis, keepdims=True))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(0, x))


def _gelu(x: Array) -> Array:
    return np.asarray(x * 0.5 * (1 + np.asarray(_erf(x / _SQRT_2), np.float64)))


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _leaky(slope: float) -> Callable[[Array], Array]:
    return lambda x: np.where(x >= 0, x, slope * x)


_WAYS: dict[str, Callable[[Array], Array]] = {
    "its input as it is": lambda x: x,
    "a relu": lambda x: np.maximum(x, 0),
    "a gelu": _gelu,
    "a gelu approximated by tanh": _gelu_tanh,
    "a silu": lambda x: x * _sigmoid(x),
    "a sigmoid": _sigmoid,
    "a tanh": np.tanh,
    "a relu6": lambda x: np.clip(x, 0, 6),
    "a gelu approximated by a sigmoid": lambda x: x * _sigmoid(1.702 * x),
    **{f"a leaky relu of slope {slope:g}": _leaky(slope) for slope in (0.01, 0.1, 0.2, 0.3)},
    "an elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "a softplus": _softplus,
    "a mish": lambda x: x * np.tanh(_softplus(x)),
    "a hard sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "a hard swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
}


def ways(x: Array, got: Array, bound: float) -> Iterator[str]:
    """Give in words each function of `x` that makes `got` within `bound`."""
    wide = x.astype(np.float64)
    if wide.shape != got.shape or not wide.size:
        return
    with np.errstate(all="ignore"):
        for words, function in _WAYS.items():
            if _close(function(wide), got, bound):
                yield words
        for axis in range(wide.ndim):
            if wide.shape[axis] > 1 and _close(_softmax(wide, axis), got, bound):
                yield f"a softmax over axis {axis}"


def affine(x: Array, got: Array, axis: int, *, positive: bool) -> tuple[Array, Array, Array]:
    """Fit `got = slope · x + offset` for each channel of `axis`; give slopes, offsets and the greatest residual of each.

    With `positive`, values that a relu has cut off are left out; a channel with too few left is NaN.
    """
    mine = np.moveaxis(x.astype(np.float64), axis, 0).reshape(x.shape[axis], -1)
    theirs = np.moveaxis(got.astype(np.float64), axis, 0).reshape(x.shape[axis], -1)
    fitted = [_line(a[keep], b[keep]) for a, b in zip(mine, theirs, strict=True) for keep in [_kept(b, positive)]]
    slopes, offsets, residuals = (np.array(each) for each in zip(*fitted, strict=True))
    return slopes, offsets, residuals


def _kept(values: Array, positive: bool) -> Array:
    return values > 0 if positive else np.isfinite(values)


def _line(x: Array, y: Array) -> tuple[float, float, float]:
    if len(x) < _ENOUGH:
        return math.nan, math.nan, math.nan
    centred = x - x.mean()
    square = float((centred * centred).sum())
    slope = float((centred * (y - y.mean())).sum() / square) if square else 0.0
    offset = float(y.mean() - slope * x.mean())
    return slope, offset, float(np.abs(y - slope * x - offset).max())


def _close(want: Array, got: Array, bound: float) -> bool:
    return bool((np.abs(want - got) <= bound).all())
