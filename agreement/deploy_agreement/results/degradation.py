"""What a variant lost against its source, in units of the output's own spread, as plain data.

A quantised model is meant to predict something else, by a little, so no tolerance tells right from wrong. Three words do:

    collapsed   more than half of what varies from row to row is gone (`lost` > 0.5), or all rows get one answer. A model
                that always answers the mean has lost 1; at 0.5 the correlation with the source is down to about 0.87
    degraded    the error (rms) is above 5 % of the spread, or more than 5 % of the rows get another top class. Rounding
                a range of eight standard deviations to 8 bits costs 8 / 255 / √12 = 0.9 %; 5 % is thirty of those
    ok          anything below
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy_agreement.figures import in_json

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
