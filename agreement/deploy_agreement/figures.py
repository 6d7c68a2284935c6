"""The error figures of one output: how far two arrays lie apart, absolutely, relatively and in units in the last place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deploy_agreement.blocks import MOST, blocks
from deploy_agreement.scales import scales, wide
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array
from deploy_core.strings import string_array

_EPS = {
    "float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52,
    "complex64": 2.0**-23, "complex128": 2.0**-52,
}  # fmt: skip
_TINY = {
    "float16": 2.0**-14, "bfloat16": 2.0**-126, "float32": 2.0**-126,
    "float64": 2.0**-1022, "complex64": 2.0**-126, "complex128": 2.0**-1022,
}  # fmt: skip
_EXPONENT = np.int64(0x7FF0000000000000)  # the bits of a float64 that make it a power of two


@dataclass(frozen=True)
class Figures:
    """The greatest errors over all elements; `max_rel` leaves out where the wanted value is 0."""

    max_abs: float
    max_rel: float
    max_ulp: float


def eps(dtype: str) -> float:
    """Give the distance from 1 to the next number; 0 for what is not a float."""
    return _EPS.get(dtype, 0.0)


def tiny(dtype: str) -> float:
    """Give the least number that a dtype holds with all its digits: some runtimes flush to 0 what is below."""
    return _TINY.get(dtype, 0.0)


def spread(want: Array) -> float:
    """Give the standard deviation of the finite values; 0 for what is not a number."""
    return float(scales(want, range(want.ndim)).spread.max(initial=0.0))


def comparable(want: Array, got: Array) -> bool:
    """Tell whether `deviation` has a meaning: the same shape, and numbers with numbers, text with text."""
    kinds = [k if (k := dtype_name(array.dtype)) in ("string", "bool") else "number" for array in (want, got)]
    return want.shape == got.shape and kinds[0] == kinds[1]


def deviation(want: Array, got: Array, *, nan_agrees: bool = False) -> Array:
    """Give |want − got| per element in float64.

    Equal infinities lie 0 apart, NaN lies infinitely far from everything, but with `nan_agrees` 0 from NaN. Strings and booleans are 0 or 1 apart;
    unequal integers at least 1, even where float64 cannot tell them from each other.
    """
    if want.size <= MOST:
        return _deviation(want, got, nan_agrees=nan_agrees)
    apart = np.empty(want.shape)
    for block in blocks(want.shape):
        apart[block] = _deviation(want[block], got[block], nan_agrees=nan_agrees)
    return apart


def figures(want: Array, apart: Array, scale: float) -> Figures:
    """Give the error figures of deviations; ULPs are counted at max(|want|, `scale`), `scale` being the output's spread."""
    return Figures(
        max_abs=_greatest(apart), max_rel=_greatest(relative(want, apart)), max_ulp=_greatest(ulps(want, apart, scale))
    )


def relative(want: Array, apart: Array) -> Array:
    """Give the deviations divided by |want|; 0 where that is 0, not finite or not a number at all."""
    size = magnitude(want)
    fits = (size > 0) & (size < np.inf)
    with np.errstate(over="ignore"):
        if fits.all():
            return np.asarray(apart / size)
        return np.where(fits, apart / np.where(fits, size, 1.0), 0.0)


def ulps(want: Array, apart: Array, scale: float) -> Array:
    """Give the deviations in units in the last place of max(|want|, `scale`); 0 for what is not a float."""
    kind = dtype_name(want.dtype)
    if not is_float(kind):
        return np.zeros(want.shape)
    size = np.asarray(np.maximum(magnitude(want), max(scale, _TINY[kind])))
    size[~np.isfinite(size)] = 1.0
    power = (size.view(np.int64) & _EXPONENT).view(np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(apart / (power * eps(kind)))


def magnitude(want: Array) -> Array:
    """Give |want| in float64; 0 for strings and booleans."""
    if dtype_name(want.dtype) in ("string", "bool"):
        return np.zeros(want.shape)
    return np.abs(wide(want))


def nan_count(array: Array) -> int:
    """Count the NaNs."""
    if not is_float(dtype_name(array.dtype)):
        return 0
    return sum(int(np.count_nonzero(np.isnan(array[block]))) for block in blocks(array.shape))


def is_text(array: Array) -> bool:
    """Tell whether the elements are text."""
    return dtype_name(array.dtype) == "string"


def encoded(array: Array) -> Array:
    """Give text as bytes, so that `str` and `bytes` of the same text are equal; anything else as it is."""
    if not is_text(array):
        return array
    return string_array([v.encode() if isinstance(v, str) else v for v in array.ravel().tolist()], array.shape)


def in_json(value: float | None) -> float | str | None:
    """Give a figure as JSON has it, which knows neither infinities nor NaN."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _deviation(want: Array, got: Array, *, nan_agrees: bool) -> Array:
    kind = dtype_name(want.dtype)
    if kind in ("string", "bool"):
        return np.asarray(encoded(want) != encoded(got), np.float64)
    if want.dtype == got.dtype and want.dtype in (np.int64, np.uint64):
        return _between(want, got)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.asarray(np.abs(wide(want) - wide(got)))
        if is_float(kind) and math.isfinite(apart.max(initial=0.0)):
            return apart  # there is neither NaN nor an infinity, so equal values are 0 apart
        equal = np.asarray(want == got)
    if nan_agrees and is_float(kind):
        equal |= np.isnan(want) & np.isnan(got)
    if not is_float(kind):
        apart = np.asarray(np.maximum(apart, 1.0))
    apart[np.isnan(apart)] = np.inf
    apart[equal] = 0.0
    return apart


def _between(want: Array, got: Array) -> Array:
    """Give how far integers lie apart that float64 does not hold: modulo 2^64, the greater minus the less is right."""
    return np.asarray(np.maximum(want, got).astype(np.uint64) - np.minimum(want, got).astype(np.uint64), np.float64)


def _greatest(values: Array) -> float:
    return float(values.max()) if values.size else 0.0
