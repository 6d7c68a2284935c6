"""Limits that a run has to hold, as users write them: `p99<20ms,errors<0.1%`, `p99<=1.05x`, `rate>=500`, `mean<2ms`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from deploy_core.errors import UsageError
from deploy_latency.binomial import needed
from deploy_latency.estimate import Estimate
from deploy_latency.report import Judged

HELD, BROKEN, UNDECIDED = "held", "broken", "undecided"
RIGHT = "answers are right"  # which nobody has to ask for

_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_UNITS = {
    "percentile": {**_TIMES, "x": 1.0},
    "mean": {**_TIMES, "x": 1.0},
    "errors": {"%": 0.01},
    "rate": {"": 1.0, "x": 1.0},
}
_FORM = re.compile(
    r"([A-Za-z]+[\d.]*)\s*(<=|>=|<|>)\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)\s*([A-Za-zµμ%/]*)", re.ASCII
)
_ALLOWED = (
    "write limits as p99<20ms, p99.9<=1.05x (times the baseline), mean<2ms, errors<0.1% or rate>=500, several by comma; "
    "times in us, ms or s"
)


@dataclass(frozen=True)
class Limit:
    """One limit, in the words it was written in; `str` gives them back in one spelling."""

    figure: str  # p50 … p99.9, mean, errors, rate
    sign: str  # < <= > >=
    number: float
    unit: str  # us ms s x % or nothing

    @property
    def bound(self) -> float:
        """Seconds, a share, answers a second, or a ratio."""
        return self.number * _UNITS[_kind(self.figure)][self.unit]

    @property
    def relative(self) -> bool:
        """Whether it bounds the ratio to a baseline."""
        return self.unit == "x"

    def __str__(self) -> str:
        return f"{self.figure}{self.sign}{repr(self.number).removesuffix('.0')}{self.unit}"


def parse(text: str) -> tuple[Limit, ...]:
    """Read limits, several by comma. Raises UsageError, which says what is allowed."""
    return tuple(_read(part.strip()) for part in text.split(","))


def judge(limit: Limit, figure: Estimate, subject: str = "") -> Judged:
    """Say whether the whole interval is on the right side of the bound, on the wrong one, or neither.

    `figure` is what the limit names, as `percentiles.figure` gives it; for a relative limit the ratio to the baseline.
    """
    verdict = UNDECIDED
    if _within(limit, _worst(limit, figure)):
        verdict = HELD
    elif _beyond(limit, _best(limit, figure)):
        verdict = BROKEN
    if limit.figure == "errors" and verdict == UNDECIDED and 0 < limit.bound < 1:
        # Even without a single failure, fewer requests could not show this.
        figure = replace(figure, needs=max(figure.needs, needed(100 * (1 - limit.bound), figure.confidence)))
    return Judged(str(limit), subject, figure, limit.bound, verdict)


def judge_share(limit: Limit, figure: Estimate, beyond: Estimate, subject: str = "") -> Judged:
    """Judge the limit of a percentile by the share of requests beyond its bound, as `percentiles.slower` gives it.

    For requests that have nothing to do with each other it is the same question. Where neighbours are alike, an interval of
    p99 takes many of them however far below the bound they all are; that none is beyond it takes no more than ever.
    """
    most = 1 - float(limit.figure.removeprefix("p")) / 100
    verdict = UNDECIDED
    if beyond.high is not None and beyond.high < most:
        verdict = HELD
    elif beyond.low is not None and beyond.low > most:
        verdict = BROKEN
    return Judged(str(limit), subject, figure, limit.bound, verdict)


def _read(part: str) -> Limit:
    found = _FORM.fullmatch(part)
    if not found:
        raise UsageError(f"{part!r} is not a limit", hint=_ALLOWED)
    name, sign, number, unit = found[1].lower(), found[2], float(found[3]), _unit(found[4])
    units = _UNITS.get(_kind(name), {})
    if not units:
        raise UsageError(f"{part!r}: there is no figure {found[1]!r} to limit", hint=_ALLOWED)
    if unit not in units:
        told = " or ".join(each or "nothing" for each in units)
        raise UsageError(f"{part!r}: the unit of {name} is {told}, not {found[4] or 'nothing'}", hint=_ALLOWED)
    if (sign[0] == ">") != (name == "rate"):
        better = (
            "rate is limited from below, by > or >=" if name == "rate" else f"{name} is limited from above, by < or <="
        )
        raise UsageError(f"{part!r}: {better}", hint=_ALLOWED)
    limit = Limit(_spelt(name), sign, number, unit)
    _require_sensible(limit, part)
    return limit


def _require_sensible(limit: Limit, part: str) -> None:
    if not math.isfinite(limit.bound):
        raise UsageError(f"{part!r}: the bound is not a finite number", hint=_ALLOWED)
    if limit.bound == 0 and limit.sign in {"<", ">="}:
        raise UsageError(f"{part!r} can {'never' if limit.sign == '<' else 'only'} be held", hint=_ALLOWED)
    if limit.figure == "errors" and limit.bound > 1:
        raise UsageError(f"{part!r}: no more than 100% of requests can fail", hint=_ALLOWED)


def _unit(text: str) -> str:
    return text.lower().replace("µ", "u").replace("μ", "u").removesuffix("/s")


def _kind(name: str) -> str:
    """Give the row of `_UNITS` for a figure; nothing if there is no such figure."""
    if name in {"mean", "errors", "rate"}:
        return name
    if re.fullmatch(r"p\d{1,2}(\.\d+)?", name) and 0 < float(name[1:]) < 100:
        return "percentile"
    return ""


def _spelt(name: str) -> str:
    return f"p{float(name[1:]):.12g}" if _kind(name) == "percentile" else name


def _worst(limit: Limit, figure: Estimate) -> float | None:
    return figure.low if limit.sign[0] == ">" else figure.high


def _best(limit: Limit, figure: Estimate) -> float | None:
    return figure.high if limit.sign[0] == ">" else figure.low


def _within(limit: Limit, value: float | None) -> bool:
    if value is None:
        return False
    return {"<": value < limit.bound, "<=": value <= limit.bound, ">": value > limit.bound, ">=": value >= limit.bound}[
        limit.sign
    ]


def _beyond(limit: Limit, value: float | None) -> bool:
    return value is not None and not _within(limit, value)
