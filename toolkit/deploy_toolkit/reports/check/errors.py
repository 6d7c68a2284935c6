"""How far the elements of an output are off, in units of their tolerance, and how many how far."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy_agreement.figures import deviation
from deploy_toolkit.reports.check import figures

if TYPE_CHECKING:
    from deploy_agreement import Points

_LEAST, _MOST = -4, 8  # powers of ten; what is less is as good as nothing, what is more as bad as anything
_EACH = 4  # bars for a power of ten


@dataclass(frozen=True)
class Errors:
    """Elements as float64: what was wanted, what came, and the deviation in units of the tolerance."""

    want: Any
    got: Any
    times: Any

    @property
    def over(self) -> Any:
        """Which are beyond their tolerance."""
        return self.times > 1


@dataclass(frozen=True)
class Bar:
    """How many elements are off between two powers of ten times their tolerance."""

    low: float
    high: float
    count: int

    @property
    def said(self) -> str:
        """Say it."""
        elements = "element is" if self.count == 1 else "elements are"
        return f"{self.count:,} {elements} off by {_told(self.low)} to {_told(self.high)} the tolerance"


def errors(points: Points) -> Errors:
    """Compare elements; of complex numbers, their size. NaN that is wanted and comes is right, infinities likewise."""
    want, got = (_real(values) for values in (points.want, points.got))
    exact = points.want.dtype.kind in "iu"  # integers may be unequal where float64 cannot tell
    unequal = np.ravel(points.want != points.got) if exact else want != got
    limit = np.broadcast_to(np.asarray(points.limit, np.float64).ravel(), want.shape)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        apart = np.ravel(deviation(points.want, points.got)) if exact else np.abs(want - got)
        times = np.where(limit > 0, apart / limit, np.where(apart > 0, np.inf, 0.0))
    equal = ~unequal | (np.isnan(want) & np.isnan(got))
    return Errors(want, got, np.where(equal, 0.0, np.where(np.isnan(times), np.inf, times)))


def counted(found: Errors) -> list[Bar]:
    """Count elements by their deviation, from a ten thousandth of the tolerance to the greatest there is."""
    with np.errstate(divide="ignore"):
        powers = np.clip(np.log10(found.times), _LEAST, _MOST)
    greatest = max(1, math.floor(float(powers.max(initial=0.0))) + 1)
    edges = np.arange(_LEAST * _EACH, min(greatest, _MOST) * _EACH + 1) / _EACH
    # What is at its tolerance exactly is within it.
    counts = np.bincount(np.clip(np.ceil(powers * _EACH).astype(int) - _LEAST * _EACH - 1, 0, edges.size - 2))
    padded = np.pad(counts, (0, edges.size - 1 - counts.size))
    return [Bar(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], padded, strict=True)]


def _real(values: Any) -> Any:
    flat = np.asarray(values).ravel()
    return np.abs(flat) if flat.dtype.kind == "c" else flat.astype(np.float64)


def _told(power: float) -> str:
    return figures.times(0.0 if power <= _LEAST else math.inf if power >= _MOST else 10.0**power)
