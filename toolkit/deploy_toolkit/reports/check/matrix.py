"""Every subject by everything that it was asked, as one table of words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deploy_toolkit.reports.check import figures, wrong

if TYPE_CHECKING:
    from deploy_agreement import Agreement, Check, OutputAgreement, Problem, Report

GOLDEN, SIZES, SEARCH = "golden", "sizes", "search"
AGREE, DISAGREE, TOLD, SKIPPED = "agree", "disagree", "told", "skipped"
FAILED, NOT_ASKED, ABSENT = "failed", "not asked", "absent"
GLYPHS = {AGREE: "✓", DISAGREE: "✗", TOLD: "≈", SKIPPED: "–", FAILED: "✗", NOT_ASKED: "?", ABSENT: ""}
WORDS = {
    AGREE: "agrees", DISAGREE: "DISAGREES", TOLD: "differs where nobody is sure", SKIPPED: "skipped",
    FAILED: "FAILED", NOT_ASKED: "NOT ASKED", ABSENT: "not asked for",
}  # fmt: skip
_WORST_FIRST = (DISAGREE, TOLD, AGREE, SKIPPED)


@dataclass(frozen=True)
class Cell:
    """What one subject made of one check: `outputs` are those of it, of all sizes where there are several.

    `searched` is how many times its tolerance the worst input is off that a search found. `wrong` says in a word or two what
    is wrong where no figure does: what agrees beside a missing output tells nothing of that.
    """

    check: str
    verdict: str
    said: str = ""
    outputs: tuple[OutputAgreement, ...] = ()
    searched: float | None = None
    wrong: str = ""

    @property
    def over(self) -> float | None:
        """Its worst deviation in units of the tolerance; None if nothing was compared, or not all that had to be."""
        over = None if self.wrong else _over((self.searched, *map(figures.over, self.outputs)))
        return None if self.verdict == DISAGREE and over is not None and over <= 1 else over

    @property
    def loud(self) -> float | None:
        """How bad it is, as a deviation; what is wrong with its form is worse than any."""
        return math.inf if self.wrong else self.over

    @property
    def figure(self) -> str:
        """What stands beside its sign."""
        return self.wrong or ("" if self.over is None else figures.times(self.over))

    @property
    def glyph(self) -> str:
        """One sign for it."""
        return GLYPHS[self.verdict]

    @property
    def told(self) -> str:
        """Say it in words, for whoever cannot see the sign."""
        parts = [f"{self.check}: {WORDS[self.verdict]}"]
        parts += [self.wrong] if self.wrong else []
        parts += [f"{figures.times(self.over)} its tolerance"] if self.over is not None else []
        return ", ".join(parts) + (f"; {self.said}" if self.said else "")


@dataclass(frozen=True)
class Matrix:
    """The checks in the order in which they were made, and a row of cells for each subject."""

    checks: tuple[str, ...]
    rows: tuple[tuple[Agreement, tuple[Cell, ...]], ...]


def matrix(report: Report) -> Matrix:
    """Put everything into one table; the several sizes of a dimension share a column."""
    worst = {one.subject: one.over for one in report.worst}
    found = [(row, _searched(_cells(row), worst.get(row.subject))) for row in report.rows]
    names = dict.fromkeys(name for _, cells in found for name in cells)
    rows = [(row, tuple(cells.get(name, Cell(name, ABSENT)) for name in names)) for row, cells in found]
    return Matrix(tuple(names), tuple(rows))


def signs(found: Matrix) -> list[str]:
    """Give the verdicts that have a sign in it, in the order in which they are met."""
    return list(dict.fromkeys(cell.verdict for _, cells in found.rows for cell in cells if cell.glyph))


def column(name: str) -> str:
    """Give the column that a check belongs to."""
    return SIZES if " = " in name else name


def verdict(row: Agreement) -> str:
    """Give the word for a row as a whole."""
    return NOT_ASKED if row.unavailable else row.verdict


def _cells(row: Agreement) -> dict[str, Cell]:
    if row.error:
        return {GOLDEN: Cell(GOLDEN, verdict(row), row.error)}
    by: dict[str, list[Check]] = {}
    for check in row.checks:
        by.setdefault(column(check.name), []).append(check)
    own = {} if GOLDEN in by else {GOLDEN: _golden(row)}
    found = own | {name: _joined(name, checks) for name, checks in by.items()}
    if not row.ok and all(cell.verdict != DISAGREE for cell in found.values()):
        told = wrong.form(row.problems) or found[GOLDEN].wrong
        found[GOLDEN] = replace(found[GOLDEN], verdict=DISAGREE, said=row.why, wrong=told)  # a damaged file, say
    return found


def _searched(cells: dict[str, Cell], over: float | None) -> dict[str, Cell]:
    return {name: replace(cell, searched=over) if name == SEARCH else cell for name, cell in cells.items()}


def _golden(row: Agreement) -> Cell:
    fine = row.outputs and not row.problems and all(output.ok for output in row.outputs)
    said = "" if fine else "; ".join(problem.message for problem in row.problems)
    return Cell(GOLDEN, AGREE if fine else DISAGREE, said, row.outputs, wrong=_wrong(row.outputs, row.problems))


def _joined(name: str, checks: Sequence[Check]) -> Cell:
    worst = min(checks, key=lambda check: _WORST_FIRST.index(check.verdict))
    said = worst.said if len(checks) == 1 or not worst.said else f"{worst.name}: {worst.said}"
    outputs = tuple(output for check in checks for output in check.outputs)
    told = _wrong(worst.outputs, worst.problems) if worst.verdict == DISAGREE else ""
    return Cell(name, worst.verdict, said, outputs, wrong=told)


def _wrong(outputs: Sequence[OutputAgreement], problems: Sequence[Problem]) -> str:
    """What no figure tells, or no figure beyond its tolerance does."""
    over = _over(map(figures.over, outputs))
    if over is not None and over > 1:
        return wrong.form(problems)
    return wrong.form(problems) or next(map(wrong.word, problems), "")


def _over(known: Iterable[float | None]) -> float | None:
    return max((off for off in known if off is not None), default=None)
