"""What a user would notice: other classes, other sides of a threshold, other detections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy_agreement.figures import in_json


@dataclass(frozen=True)
class Decisions:
    """The decisions that follow from one output, compared: `kind` is `class`, `threshold` or `detections`.

    `flips` counts `rows` that are decided otherwise, `flipped` are the first of them. `margin` is how clear the clearest of
    these decisions was in the wanted output, in its own unit: the distance of the best class from the next, or from the
    threshold; None if there are no flips. `top_k` is the share of rows whose `k` best classes are the same set.
    """

    kind: str
    rows: int
    flips: int
    flipped: tuple[int, ...] = ()
    margin: float | None = None
    k: int | None = None
    top_k: float | None = None
    said: str = ""  # in words that lead a report: "2 of 64 rows get another class; the clearest by a margin of 0.01"

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {
            "kind": self.kind,
            "rows": self.rows,
            "flips": self.flips,
            "flipped": list(self.flipped),
            "margin": in_json(self.margin),
            "k": self.k,
            "top_k": self.top_k,
            "said": self.said,
        }
