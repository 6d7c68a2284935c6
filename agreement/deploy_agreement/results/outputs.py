"""What was found of one output, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import Any

from deploy_agreement.figures import in_json
from deploy_agreement.results.decisions import Decisions
from deploy_agreement.tolerances.limits import Tolerance
from deploy_core.signature import Array

_LONG = 60  # characters of text that are told


@dataclass(frozen=True)
class Element:
    """One element of an output: its `place` in an answer, what was wanted there and what came.

    Of complex numbers it is their size; integers are as exact as they came, and text is text.
    """

    place: tuple[int, ...]
    want: float | str
    got: float | str
    limit: float

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        values = {"want": _in_json(self.want), "got": _in_json(self.got), "limit": in_json(self.limit)}
        return {"place": list(self.place), **values}


@dataclass(frozen=True)
class Points:
    """Some elements of an output for a picture: arrays of one length of what was wanted, what came and how much is tolerated."""

    want: Array
    got: Array
    limit: Array


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `kind` is a word for programs, `message` is for people."""

    kind: str
    message: str
    output: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {"kind": self.kind, "output": self.output, "message": self.message}


@dataclass(frozen=True)
class OutputAgreement:
    """One output over all batches; the figures are None if nothing of it could be compared.

    `tolerance` is that of all elements: its `value` is the greatest, its `origin` the rule at the worst. `needed` is the
    least single number that would have passed, `needed_times` the least factor of the derived tolerances: below 1 where it
    agrees. `worst_batch` and `worst_row` (of the golden inputs) say
    where the element lies that is furthest beyond, or nearest to, its tolerance, and `worst` is that element. `points` are
    for drawing, and in no document.
    """

    name: str
    dtype: str
    tolerance: Tolerance
    ok: bool
    compared: int = 0
    max_abs: float | None = None
    max_rel: float | None = None
    max_ulp: float | None = None
    needed: float | None = None
    needed_times: float | None = None
    worst_batch: int | None = None
    worst_row: int | None = None
    worst: Element | None = field(default=None, compare=False)  # it may hold NaN, which equals nothing
    decisions: Decisions | None = None
    points: Points | None = field(default=None, compare=False)

    @property
    def beyond(self) -> str:
        """Say by how much the output is off, at its worst element; of NaN and infinities, what is wanted in their place."""
        limit = self.worst.limit if self.worst else 0.0
        at = f" at {list(self.worst.place)}" if self.worst and self.tolerance.each is not None else ""
        if self.worst and _told_as_it_is(self.worst):
            told = f"{value(self.worst.got)} at {list(self.worst.place)} where {value(self.worst.want)} is wanted"
            return f"output {self.name!r} is {told}"
        if not limit or self.needed_times is None:
            return f"output {self.name!r} is off by {self.max_abs:.2g}, tolerated is {self.tolerance.value:.2g}"
        return f"output {self.name!r} is off by {self.needed_times * limit:.2g}{at}, tolerated is {limit:.2g}"

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "ok": self.ok,
            "compared": self.compared,
            "max_abs": in_json(self.max_abs),
            "max_rel": in_json(self.max_rel),
            "max_ulp": in_json(self.max_ulp),
            "tolerance": in_json(self.tolerance.value),
            "tolerance_rtol": in_json(self.tolerance.rtol),
            "tolerance_origin": self.tolerance.origin,
            "needed": in_json(self.needed),
            "needed_times": in_json(self.needed_times),
            "worst_batch": self.worst_batch,
            "worst_row": self.worst_row,
            "worst": self.worst.to_json() if self.worst else None,
            "decisions": self.decisions.to_json() if self.decisions else None,
        }


def value(given: float | str) -> str:
    """Give a value of an answer in a few digits, integers and text as they are, and in words what is no number."""
    if isinstance(given, str):
        return repr(given if len(given) <= _LONG else f"{given[:_LONG]}…")
    if isinstance(given, int):
        return str(given)
    if isnan(given):
        return "NaN"
    return f"{given:.3g}" if isfinite(given) else "infinity" if given > 0 else "minus infinity"


def _told_as_it_is(element: Element) -> bool:
    """Whether it says nothing how far the two lie apart: of text, of what must be equal, of NaN and infinities."""
    values = (element.want, element.got)
    if any(isinstance(one, str) for one in values) or (
        not element.limit and any(isinstance(one, int) for one in values)
    ):
        return True
    return not all(isfinite(one) for one in values if not isinstance(one, str))


def _in_json(given: float | str) -> float | str | None:
    return given if isinstance(given, str) else in_json(given)
