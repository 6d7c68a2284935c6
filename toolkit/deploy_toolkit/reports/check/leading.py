"""The figures that say most of a subject: of each output those of the check in which it is worst."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from deploy_agreement import Element, Points
from deploy_toolkit.reports.check import figures, wrong
from deploy_toolkit.reports.check.matrix import DISAGREE, GOLDEN, SEARCH

if TYPE_CHECKING:
    from deploy_agreement import Agreement, OutputAgreement, Problem, Report, Worst

_RULE = "at the worst input"


@dataclass(frozen=True)
class Shown:
    """One output, as it was found by one check; `wrong` says in a word or two why there are no figures.

    With `below` it stands below the name of its check.
    """

    check: str
    output: OutputAgreement
    wrong: str = ""
    below: bool = False

    @property
    def label(self) -> str:
        """The output, with the check if that is another than the golden inputs, and what is wrong."""
        name = self.output.name if self.check == GOLDEN or self.below else f"{self.output.name} ({self.check})"
        return f"{name}: {self.wrong}" if self.wrong else name

    @property
    def where(self) -> str:
        """Where its worst element lies: of a check all rows are judged together, in whatever batches they were asked."""
        size, row = self.output.worst_batch, self.output.worst_row
        if size is None:
            return ""
        if self.check == GOLDEN:
            return f"at batch size {size:,}" + ("" if row is None else f", row {row:,}")
        return "" if row is None else f"row {row:,} of {size:,}"


def leading(row: Agreement, report: Report) -> list[Shown]:
    """Give each output once: as golden inputs show it, or, where these agree, as the check does that finds it worst.

    What disagrees is the first.
    """
    found = list(_disagreeing(row, report))
    shown = [
        max(
            (one for one in found if output.ok and one.output.name == output.name),
            key=_over,
            default=_golden(row, output),
        )
        for output in row.outputs
    ]
    return sorted(shown, key=lambda one: one.output.ok)


def beside(row: Agreement, report: Report) -> list[str]:
    """Say what else is wrong, of which no output has figures: an answer of another form, a check that has none."""
    shown = {one.output.name for one in leading(row, report) if not one.output.ok}
    told = wrong.words(problem for problem in row.problems if _untold(problem, shown))
    for check in row.checks:
        figured = any(not output.ok for output in check.outputs) or (check.name == SEARCH and shown)
        if check.verdict == DISAGREE and not figured:
            told += [f"{check.name}: {one}" for one in wrong.words(check.problems) or ["disagrees"]]
    return told


def plain(check: str, outputs: Sequence[OutputAgreement]) -> list[Shown]:
    """Give outputs below the name of their check."""
    return [Shown(check, output, below=True) for output in outputs]


def _untold(problem: Problem, shown: set[str]) -> bool:
    """Whether no output that is shown is the one that this is about; what explains figures stands below them."""
    if problem.output:
        return problem.output not in shown
    return not shown or bool(wrong.form([problem]))


def _golden(row: Agreement, output: OutputAgreement) -> Shown:
    return Shown(GOLDEN, output, _why(output, row.problems))


def _disagreeing(row: Agreement, report: Report) -> Iterator[Shown]:
    for check in row.checks:
        if check.verdict == DISAGREE:
            yield from (Shown(check.name, one, _why(one, check.problems)) for one in check.outputs if not one.ok)
    for worst in report.worst:
        golden = next((one for one in row.outputs if one.name == worst.output), None)
        if worst.subject == row.subject and not worst.ok and golden is not None:
            yield Shown(SEARCH, _searched(golden, worst))


def _why(output: OutputAgreement, problems: Sequence[Problem]) -> str:
    own = [problem for problem in problems if problem.output == output.name]
    return "" if output.compared else wrong.form(own) or wrong.form(problems)


def _searched(golden: OutputAgreement, worst: Worst) -> OutputAgreement:
    """Give the worst input that was found as an output of one element."""
    off = figures.apart(worst.want, worst.got)
    off = math.inf if math.isnan(off) else off
    return replace(
        golden,
        tolerance=replace(golden.tolerance, value=worst.limit, origin=_RULE, rtol=0.0, each=None),
        ok=False,
        compared=1,
        max_abs=off,
        max_rel=off / abs(worst.want) if worst.want else 0.0,
        max_ulp=None,
        needed=off,
        needed_times=worst.over,
        worst_batch=None,
        worst_row=None,
        worst=Element(worst.place, worst.want, worst.got, worst.limit),
        decisions=None,
        points=_with(golden.points, worst),
    )


def _with(points: Points | None, worst: Worst) -> Points | None:
    """Give the elements of the golden inputs and that one."""
    if points is None:
        return None
    return Points(
        *(
            np.append(values, one)
            for values, one in ((points.want, worst.want), (points.got, worst.got), (points.limit, worst.limit))
        )
    )


def _over(one: Shown) -> float:
    over = figures.over(one.output)
    return math.inf if over is None else over
