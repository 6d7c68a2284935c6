"""What coarser numbers cost: how far a quantised model is from its source."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from deploy_agreement.figures import deviation, magnitude, spread
from deploy_agreement.results.degradation import Degradation, OutputDegradation
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array, Tensors


def degradation(want: Tensors, got: Tensors, axes: Mapping[str, int]) -> Degradation:
    """Compare answers for the same rows; `axes` says which axis of an output holds the rows."""
    fitting = [name for name, array in want.items() if name in got and got[name].shape == array.shape and array.size]
    return Degradation(tuple(_output(name, want[name], got[name], axes.get(name)) for name in fitting))


def _output(name: str, want: Array, got: Array, axis: int | None) -> OutputDegradation:
    if axis is not None:
        want, got = np.moveaxis(want, axis, 0), np.moveaxis(got, axis, 0)
    rows = len(want) if axis is not None else 1
    constant = rows > 1 and not _varies(got) and _varies(want)
    if not is_float(dtype_name(want.dtype)):
        apart = deviation(want, got).reshape(rows, -1)
        return OutputDegradation(name, rows, flips=int(apart.any(axis=1).sum()), constant=constant)
    apart = deviation(want, got)
    scale = spread(want) or float(_finite(magnitude(want)).max(initial=0.0)) or 1.0
    rms = _rms(apart)
    return OutputDegradation(
        name,
        rows,
        max_error=float(apart.max()) / scale,
        rms_error=rms / scale,
        lost=_lost(want, rms) if rows > 1 else None,
        flips=_flips(want, got) if axis == 0 else None,
        constant=constant,
    )


def _lost(want: Array, rms: float) -> float | None:
    """Give the error in units of what varies from row to row; None if the source's own answers do not vary."""
    finite = np.isfinite(want)
    values = np.where(finite, want, 0.0).astype(np.complex128 if want.dtype.kind == "c" else np.float64)
    mean = values.sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    variation = _rms(np.abs(values - mean)[finite])
    return rms / variation if variation else None


def _flips(want: Array, got: Array) -> int | None:
    """Count rows with another top class, for what looks like scores of classes: two dimensions, several columns."""
    if want.ndim != 2 or want.shape[1] < 2 or want.dtype.kind == "c":
        return None
    return int((want.argmax(axis=1) != got.argmax(axis=1)).sum())


def _varies(array: Array) -> bool:
    return bool((deviation(array[1:], np.broadcast_to(array[:1], array[1:].shape)) > 0).any())


def _rms(apart: Array) -> float:
    with np.errstate(over="ignore"):
        return math.sqrt(float(np.mean(np.square(apart)))) if apart.size else 0.0


def _finite(array: Array) -> Array:
    return array[np.isfinite(array)]
