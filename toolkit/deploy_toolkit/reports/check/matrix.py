"""Every subject by everything that it was asked, as one table of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deploy_toolkit.reports.check import figures

if TYPE_CHECKING:
    from deploy_agreement import Agreement, Check, OutputAgreement, Report

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

    `searched` is how many times its tolerance the worst input is off that a search found.
    """

    check: str
    verdict: str
    said: str = ""
    outputs: tuple[OutputAgreement, ...] = ()
    searched: float | None = None

    @property
    def over(self) -> float | None:
        """Its worst deviation in units of the tolerance; None if nothing was compared."""
        known = (self.searched, *(figures.over(output) for output in self.outputs))
        return max((off for off in known if off is not None), default=None)

    @property
    def glyph(self) -> str:
        """One sign for it."""
        return GLYPHS[self.verdict]

    @property
    def told(self) -> str:
        """Say it in words, for whoever cannot see the sign."""
        parts = [f"{self.check}: {WORDS[self.verdict]}"]
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
        found[GOLDEN] = replace(found[GOLDEN], verdict=DISAGREE, said=row.why)  # a damaged file, say
    return found


def _searched(cells: dict[str, Cell], over: float | None) -> dict[str, Cell]:
    return {name: replace(cell, searched=over) if name == SEARCH else cell for name, cell in cells.items()}


def _golden(row: Agreement) -> Cell:
    fine = row.outputs and not row.problems and all(output.ok for output in row.outputs)
    said = "" if fine else "; ".join(problem.message for problem in row.problems)
    return Cell(GOLDEN, AGREE if fine else DISAGREE, said, row.outputs)


def _joined(name: str, checks: Sequence[Check]) -> Cell:
    worst = min(checks, key=lambda check: _WORST_FIRST.index(check.verdict))
    said = worst.said if len(checks) == 1 or not worst.said else f"{worst.name}: {worst.said}"
    return Cell(name, worst.verdict, said, tuple(output for check in checks for output in check.outputs))
