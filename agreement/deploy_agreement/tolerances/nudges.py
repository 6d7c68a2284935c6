"""Inputs moved to the next float, and how much smaller a step of the dtype is that a model computes in."""

from __future__ import annotations

import numpy as np

from deploy_agreement.figures import eps
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array, Tensors

_SINGLE = "float32"


def movable(array: Array) -> bool:
    """Tell whether there is a next float to each value."""
    return is_float(dtype_name(array.dtype)) and array.dtype.kind != "c"


def nudged(array: Array, random: np.random.Generator, *, narrow: bool) -> Array:
    """Move every value to the next float, up or down at random; with `narrow` no step is smaller than one of float32."""
    if not movable(array):
        return array
    # A model with float64 inputs and float32 outputs computes in float32: it would not see a step of float64.
    dtype = np.dtype(np.float32) if narrow and array.dtype == np.float64 else array.dtype
    away = np.where(random.random(array.shape) < 0.5, -np.inf, np.inf).astype(dtype)
    with np.errstate(over="ignore"):
        moved = np.nextafter(array.astype(dtype), away).astype(array.dtype)
    return np.where(np.isfinite(array) & np.isfinite(moved), moved, array)


def part(array: Array, outputs: Tensors) -> float:
    """Give what part of a step of an input's dtype a step of the dtype is that the model computes in.

    It is 1, but for an input in half precision to a model with an output that no half holds: this one computes in float32,
    to which its inputs are exact. None of them can be moved by as little as its roundings are; but what is moved by so
    many times as much moves the answer by so many times as much.
    """
    kind = dtype_name(array.dtype)
    if not movable(array) or eps(kind) <= eps(_SINGLE):
        return 1.0
    finer = any(movable(output) and not _holds(array.dtype, output) for output in outputs.values())
    return eps(_SINGLE) / eps(kind) if finer else 1.0


def by_part(inputs: Tensors, outputs: Tensors) -> dict[float, tuple[str, ...]]:
    """Give the names of the inputs that can be moved by the part that `part` gives them."""
    parts = {name: part(array, outputs) for name, array in inputs.items() if movable(array)}
    return {one: tuple(name for name, own in parts.items() if own == one) for one in dict.fromkeys(parts.values())}


def _holds(dtype: np.dtype[np.generic], array: Array) -> bool:
    """Whether a dtype has a place for every value."""
    with np.errstate(over="ignore"):
        return bool((np.isnan(array) | (array.astype(dtype).astype(array.dtype) == array)).all())
