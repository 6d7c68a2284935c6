"""What coarser numbers cost: how far a quantised model is from its source, in units of the output's own spread.

A quantised model is meant to predict something else, by a little, so no tolerance tells right from wrong. Three words do:

    collapsed   more than half of what varies from row to row is gone (`lost` > 0.5), or all rows get one answer. A model
                that always answers the mean has lost 1; at 0.5 the correlation with the source is down to about 0.87
    degraded    the error (rms) is above 5 % of the spread, or more than 5 % of the rows get another top class. Rounding
                a range of eight standard deviations to 8 bits costs 8 / 255 / √12 = 0.9 %; 5 % is thirty of those
    ok          anything below
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deploy_agreement.figures import deviation, in_json, magnitude, spread
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array, Tensors

LOST = 0.5
WORST = 0.05
OK, DEGRADED, COLLAPSED = "ok", "degraded", "collapsed"
_WORDS = (OK, DEGRADED, COLLAPSED)


@dataclass(frozen=True)
class OutputDegradation:
    """One output: `max_error` and `rms_error` in units of its spread, `lost` in units of what varies from row to row.

    `flips` counts rows, of `rows`, whose top class is another one; for what is not a float, rows with another answer.
    None is what has no meaning for this output: a top class of an image, the spread of text.
    """

    name: str
    rows: int
    max_error: float | None = None
    rms_error: float | None = None
    lost: float | None = None
    flips: int | None = None
    constant: bool = False

    @property
    def flipped(self) -> float:
        """The share of rows with another top class."""
        return self.flips / self.rows if self.flips and self.rows else 0.0

    @property
    def worst(self) -> float:
        """What a limit is held against: the rms error, or the share of flips, whichever is greater."""
        return max(self.rms_error or 0.0, self.flipped)

    @property
    def verdict(self) -> str:
        """`ok`, `degraded` or `collapsed`."""
        if self.constant or (self.lost or 0.0) > LOST:
            return COLLAPSED
        return DEGRADED if self.worst > WORST else OK

    def __str__(self) -> str:
        told = [] if self.rms_error is None else [f"off by {self.rms_error:.1%} of its spread (rms)"]
        told += [] if self.flips is None else [f"{self.flips} of {self.rows} rows with another top answer"]
        told += ["one answer for all rows"] if self.constant else []
        return f"output {self.name!r}: {', '.join(told)}"

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "rows": self.rows,
            "max_error": in_json(self.max_error),
            "rms_error": in_json(self.rms_error),
            "lost": in_json(self.lost),
            "flips": self.flips,
        }


@dataclass(frozen=True)
class Degradation:
    """What a variant lost against the source; `size_ratio` is its bytes by those of the float file, if there is one."""

    outputs: tuple[OutputDegradation, ...]
    size_ratio: float | None = None

    @property
    def verdict(self) -> str:
        """The worst of the outputs' verdicts."""
        return max((output.verdict for output in self.outputs), key=_WORDS.index, default=OK)

    def beyond(self, limit: float) -> str:
        """Say which outputs are further off than `limit` (a share), or have collapsed; empty if none is."""
        return "; ".join(str(o) for o in self.outputs if o.worst > limit or o.verdict == COLLAPSED)

    @property
    def why(self) -> str:
        """Say which outputs are not ok, empty if all are."""
        return "; ".join(str(output) for output in self.outputs if output.verdict != OK)

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {
            "verdict": self.verdict,
            "size_ratio": self.size_ratio,
            "outputs": [output.to_json() for output in self.outputs],
        }


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
