"""What `deploy check` found, as JUnit cases for CI: a suite for each subject, a case for each thing that it was asked.

A disagreement is a failure, a subject that could not be asked is an error, unless its version is stored unproved: then it is
skipped, as is a check that could not be made. What a search found is a case of its subject, and so is preprocessing of the
whole: what fails the report fails a case.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_toolkit.reports import junit
from deploy_toolkit.reports.check import figures, words
from deploy_toolkit.reports.check.matrix import FAILED, GOLDEN, NOT_ASKED, SEARCH, Cell, matrix
from deploy_toolkit.reports.writing import write as write_file

if TYPE_CHECKING:
    from deploy_agreement import Agreement, Report, Skew, Worst

PREPROCESSING = "preprocessing"


def write(report: Report, path: Path, command: str = "") -> None:
    """Write the cases. Raises UsageError for a place where that cannot be."""
    write_file(path, text(report))


def text(report: Report) -> bytes:
    """Give the cases as XML."""
    root = junit.suites("deploy check")
    for row, cells in matrix(report).rows:
        suite = junit.suite(root, row.subject)
        suite.extend(_case(row, cell) for cell in cells if cell.glyph)
        if all(cell.check != SEARCH for cell in cells):
            suite.extend(_worst(one) for one in report.worst if one.subject == row.subject)
    if report.skew is not None:
        junit.suite(root, PREPROCESSING).append(_skew(report.skew))
    if not report.rows:
        empty = junit.case("deploy check", GOLDEN, "")
        junit.add(empty, "error", "nothing was compared")
        junit.suite(root, "deploy check").append(empty)
    return junit.written(root)


def _case(row: Agreement, cell: Cell) -> junit.Element:
    case = junit.case(row.subject, cell.check, "\n".join(_figures(row, cell)) or cell.told)
    if cell.verdict in (FAILED, NOT_ASKED):
        junit.add(case, "skipped" if row.unproved else "error", cell.said)
    elif cell.verdict == "disagree":
        junit.add(case, "failure", cell.said or "; ".join(_beyond(row, cell)) or row.why)
    elif cell.verdict == "skipped":
        junit.add(case, "skipped", cell.said or "it could not be asked")
    return case


def _figures(row: Agreement, cell: Cell) -> Iterator[str]:
    """What was found of each output: the error, the tolerance and its rule, what a user would notice."""
    yield cell.told
    for output in cell.outputs:
        tolerated = f"tolerated is {figures.number(output.tolerance.value)} ({output.tolerance.origin})"
        needed = "" if output.ok else f", needed is {words.needed(output)}"
        yield f"{output.name}: off by {figures.number(output.max_abs)}, {tolerated}{needed}"
        if output.decisions is not None:
            yield f"{output.name}: {output.decisions.said}"


def _beyond(row: Agreement, cell: Cell) -> list[str]:
    return [output.beyond for output in cell.outputs if not output.ok and output.max_abs is not None]


def _worst(found: Worst) -> junit.Element:
    told = words.worst(found)
    case = junit.case(found.subject, f"worst input, {found.output}", told)
    if not found.ok:
        junit.add(case, "failure", told)
    return case


def _skew(found: Skew) -> junit.Element:
    told = words.skew(found)
    case = junit.case(PREPROCESSING, f"{found.files} files", told)
    if not found.ok:
        junit.add(case, "failure", told)
    return case
