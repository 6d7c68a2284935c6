"""How far two ways from raw bytes to inputs lie apart, and how far they may: what the rounding of pixels accounts for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deploy_core.preprocessing import running
from deploy_core.signature import Array

DECODERS = 16.0  # how far fast decoders of JPEG, such as TensorFlow's default, are off from exact ones
EPS = 8 * float(np.finfo(np.float32).eps)
_GAIN = {"bicubic": 1.5, "lanczos": 1.5, "lanczos3": 1.5, "lanczos5": 1.5}
_JPEG = b"\xff\xd8"
_ON_AVERAGE = 8.0  # times less than at the worst pixel


@dataclass(frozen=True)
class Distance:
    """The greatest and the mean deviation, and the limits that it is held to; of several files, `each` of them, too."""

    off: float | None  # None: of different shapes
    mean: float | None
    limit: float
    loose: float = 0.0  # the limit if the two sides decode JPEG by other libraries
    each: tuple[Distance, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether rounding accounts for it, in every file."""
        if self.each:
            return all(one.ok for one in self.each)
        return self.off is not None and self.off <= self.limit

    @property
    def share(self) -> float:
        """How much of its limit it takes."""
        if self.off is None or not self.limit:
            return float("inf") if self.off != 0 else 0.0
        return self.off / self.limit

    def within(self, rounding: float, share: float) -> bool:
        """Tell whether every file is off by no more than `rounding`, or that share of its limit."""
        return all(one.off is not None and one.off <= max(rounding, share * one.limit) for one in self.each or (self,))

    @property
    def nearly(self) -> bool:
        """Whether decoders of JPEG may be all that differs, in every file: of a PNG nothing is theirs."""
        if self.each:
            return all(one.nearly for one in self.each)
        if self.off is None or self.mean is None:
            return False
        return self.ok or (self.off <= self.loose and self.mean <= self.loose / _ON_AVERAGE)


def limits(
    steps: Sequence[Mapping[str, Any]], data: bytes, stages: Sequence[Array], decoders: float = 1.0
) -> list[float]:
    """Give how far each stage may be off by the rounding of pixels: decoders and resizes may each be off by one."""
    limit, found = 0.0, []
    for step, array in zip(steps, stages, strict=True):
        kind = step["step"]
        if kind == "decode":
            limit = decoders if data[:2] == _JPEG else 0.0
        elif kind == "resize":
            limit = limit * _GAIN.get(step["filter"], 1.0) + 1.0
        elif kind == "color" and step["to"] == "grey":
            limit += 1.0
        elif kind == "scale":
            over, under = running.factor(step["by"])
            limit *= abs(over / under)
        elif kind == "normalize":
            limit /= float(np.abs(step["std"]).min())
        scale = float(np.abs(array.astype(np.float64)).max(initial=0)) if array.dtype.kind == "f" else 0.0
        found.append(limit + EPS * scale)
    return found


def distance(one: Array, other: Array, limit: float, loose: float = 0.0) -> Distance:
    """Compare two arrays, of which one may have a first axis of 1 more."""
    one, other = (array[0] if array.ndim == 4 and len(array) == 1 else array for array in (one, other))
    if one.shape != other.shape:
        return Distance(None, None, limit, loose)
    apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
    if np.isnan(apart).any():
        return Distance(float("inf"), float("inf"), limit, loose)
    return Distance(float(apart.max(initial=0.0)), float(apart.mean()) if apart.size else 0.0, limit, loose)


def worst(distances: Iterator[Distance]) -> Distance:
    """Join the distances of several files: the deviation that takes most of its limit, and the mean over all.

    Each is held to its own limit: what a JPEG is excused for is none of a PNG's.
    """
    many = list(distances)
    for one in many:
        if one.off is None:
            return one
    furthest = max(many, key=lambda one: one.share)
    mean = float(np.mean([one.mean for one in many]))
    return Distance(furthest.off, mean, furthest.limit, furthest.loose, tuple(many))
