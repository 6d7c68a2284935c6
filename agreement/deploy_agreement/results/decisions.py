"""What a user would notice: other classes, other sides of a threshold, other detections, other pixels of a map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deploy_agreement.figures import in_json

CLASS, THRESHOLD, DETECTIONS = "class", "threshold", "detections"
TOKENS, PIXELS = "tokens", "pixels"
SHOWN = 12  # flips that are told one by one


@dataclass(frozen=True)
class Flip:
    """One thing decided otherwise: in which golden row, what was wanted and what came, in words.

    `place` is where in the row, for a pixel or a token. `margin` is as in `Decisions`; `close` says that it lies within the
    tolerance, so that rounding decides there.
    """

    row: int
    want: str
    got: str
    margin: float | None = None
    close: bool = False
    place: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        plain = {"row": self.row, "place": list(self.place), "want": self.want, "got": self.got}
        return plain | {"margin": in_json(self.margin), "close": self.close}


@dataclass(frozen=True)
class Decisions:
    """The decisions that follow from one output, compared: `kind` is `class`, `tokens`, `pixels`, `threshold` or `detections`.

    `rows` counts what is decided: rows, or the pixels, tokens or detections in all of them; `flips` those that are decided
    otherwise, `flipped` are the first rows that have one and `shown` the clearest of them. `margin` is how clear the clearest
    was in the wanted output, in its own unit: how far the wanted class lies above the one that came, or the distance
    from the threshold; None if there are no flips, or they have none. `close` are the flips whose margin lies within the
    tolerance: rounding decides there. `top_k` is the share of rows whose `k` best classes are the same set, ties
    within the tolerance left out.
    """

    kind: str
    rows: int
    flips: int
    flipped: tuple[int, ...] = ()
    margin: float | None = None
    k: int | None = None
    top_k: float | None = None
    said: str = ""  # in words that lead a report: "2 of 64 rows get another class; the clearest by a margin of 0.01"
    close: int = 0
    shown: tuple[Flip, ...] = ()

    @property
    def clear(self) -> int:
        """How many flips are more than rounding."""
        return self.flips - self.close

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {
            "kind": self.kind,
            "rows": self.rows,
            "flips": self.flips,
            "close": self.close,
            "flipped": list(self.flipped),
            "margin": in_json(self.margin),
            "k": self.k,
            "top_k": self.top_k,
            "said": self.said,
            "shown": [flip.to_json() for flip in self.shown],
        }


def told(noun: str, count: int, flips: int, verb: str, *, close: int, margin: float | None) -> str:
    """Say in one sentence how many flips there are, how clear they are, and whether it is only rounding that decides."""
    if not flips:
        alone = f"the same is decided of the only {noun.removesuffix('s')}"
        return alone if count == 1 else f"all {count:,} {noun} {verb}" if count else ""
    said = f"{flips:,} of {count:,} {noun} {verb}"
    if close == flips:
        return f"{said}, where rounding decides: {'it is' if flips == 1 else 'all are'} within the tolerance"
    clearest = f", the clearest by a margin of {margin:.2g}" if margin is not None else ""
    return said + clearest + (f"; in {close:,} of them rounding decides" if close else "")
