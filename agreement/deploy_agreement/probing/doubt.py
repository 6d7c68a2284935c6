"""How unsure a reference is of its own answer, element by element, from other answers that are as right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deploy_agreement.blocks import blocks
from deploy_agreement.figures import deviation, spread
from deploy_agreement.scales import wide
from deploy_agreement.tolerances.limits import NOISE_FACTOR
from deploy_agreement.tolerances.rounding import Noise
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array, Tensors

_JUMP = 1e-2  # of an output's spread: no smooth output moves so far with its inputs moved so little

# How unsure a reference is of an element: not at all; whatever it is; of its value, but it is a number; of its value for
# inputs a little away, but it is a number, and the same one in float64.
SURE, UNSURE, NUMBER, CLEAR = range(4)


def unsure(want: Array, others: Sequence[Array]) -> Array:
    """Mark the elements that another answer has otherwise: with another finiteness, as another integer, or by a jump."""
    doubt = np.zeros(want.shape, np.bool_)
    least = spread(want)
    for block in blocks(want.shape):
        for other in others:
            doubt[block] |= _jumps(want[block], other[block], least)
    return doubt


def graded(doubt: Array, want: Array, others: Sequence[Tensors], name: str, exact: Tensors | None) -> Array:
    """Say how unsure, where there is doubt; `exact` is the answer in float64, which is one of the others."""
    if not is_float(dtype_name(want.dtype)):
        return np.where(doubt, np.uint8(UNSURE), np.uint8(SURE))
    number = finite(want)
    for other in others:
        number &= finite(other[name])
    grade = np.where(number, np.uint8(NUMBER), np.uint8(UNSURE))
    if exact is not None:
        grade[number & ~unsure(want, [exact[name]])] = CLEAR
    grade[~doubt] = SURE
    return grade


def shaky(noise: Noise, want: Tensors, moved: Sequence[Tensors], unsure: Tensors) -> dict[str, Array]:
    """Give how far elements move with inputs moved by units in the last place, where that is more than is tolerated."""
    found = {}
    for name, array in want.items() if moved else ():
        apart = np.zeros(array.shape)
        for other in moved:
            np.maximum(apart, _apart(array, other[name], unsure[name]), out=apart)
        apart[apart <= NOISE_FACTOR * noise.values[name]] = 0.0
        if apart.any():
            found[name] = apart
    return found


def _jumps(want: Array, other: Array, least: float) -> Array:
    if not is_float(dtype_name(want.dtype)):
        return np.asarray(want != other)
    same = finite(want) & finite(other)
    apart = np.where(same, deviation(want, np.where(same, other, want)), 0.0)
    far = apart > _JUMP * np.maximum(_size(want), least)
    return ~same & ~_same_infinity(want, other) | (same & far)


def _same_infinity(left: Array, right: Array) -> Array:
    return np.asarray((nan(left) & nan(right)) | (left == right))


def all_apart(want: Tensors, other: Tensors, unsure: Tensors) -> dict[str, Array]:
    """Give how far another answer lies from what is wanted, 0 where that is unsure."""
    return {name: _apart(array, other[name], unsure[name]) for name, array in want.items()}


def _apart(want: Array, other: Array, unsure: Array) -> Array:
    if not is_float(dtype_name(want.dtype)):
        return np.zeros(want.shape)
    apart = np.empty(want.shape)
    for block in blocks(want.shape):
        sure = ~unsure[block] & finite(want[block]) & finite(other[block])
        there = np.where(sure, other[block], want[block])
        apart[block] = np.where(sure, deviation(want[block], there), 0.0)
    return apart


def finite(array: Array) -> Array:
    """Mark what is a number; text and integers always are."""
    return np.isfinite(wide(array)) if is_float(dtype_name(array.dtype)) else np.ones(array.shape, np.bool_)


def nan(array: Array) -> Array:
    """Mark what is NaN."""
    return np.isnan(wide(array)) if is_float(dtype_name(array.dtype)) else np.zeros(array.shape, np.bool_)


def _size(array: Array) -> Array:
    size = np.abs(wide(array))
    return np.where(np.isfinite(size), size, 0.0)
