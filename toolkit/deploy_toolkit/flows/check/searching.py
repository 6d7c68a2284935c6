"""A search of every subject for its worst input; of a server once, through the first way to it that is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deploy_agreement import Agreement, Check, Problem, Worst
from deploy_agreement.probing.asking import skipped
from deploy_agreement.probing.transports import NAME as TRANSPORTS
from deploy_agreement.results.outputs import value
from deploy_agreement.results.report import AGREE, DISAGREE, TOLD
from deploy_agreement.worst.judging import number
from deploy_core.errors import EndpointError, ExportError, UnavailableError
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.worst import worst
from deploy_toolkit.flows.subjects import Subject
from deploy_toolkit.output import OnEvent

_NAME = "search"


class Searches:
    """Searches subjects one after the other, and remembers what it found of each."""

    def __init__(self, inquiry: Inquiry, on_event: OnEvent) -> None:
        self._inquiry = inquiry
        self._on_event = on_event
        self._found: dict[str, Worst] = {}

    def of(self, subject: Subject, row: Agreement) -> tuple[Agreement, Worst | None]:
        """Give the row of a subject with the check `search`, and the worst input, if it was asked for that itself.

        Ways that surely lead to one server, between which there is no difference, ask the same model. So one is searched
        through. Has that a fault, then any other is asked for the input that shows it, and searched if it does not there.
        """
        if silent := [output.name for output in row.outputs if not output.compared]:
            return _with(row, skipped(_NAME, f"nothing of output {silent[0]!r} can be compared")), None
        try:
            if through := self._through_another(subject, row):
                return _with(row, through[0]), through[1]
            found = self._worst(subject)
        except (UnavailableError, ExportError) as error:  # it answered a moment ago
            problem = Problem("error", f"it does not answer any more: {error}")
            return replace(row, problems=(*row.problems, problem)), None
        if found is None:
            return row, None
        self._found[subject.name] = found
        return _with(row, _check(found)), found

    def _worst(self, subject: Subject) -> Worst | None:
        predictor = subject.open()
        try:
            return worst(subject, predictor, self._inquiry, self._on_event)
        finally:
            predictor.close()

    def _through_another(self, subject: Subject, row: Agreement) -> tuple[Check, Worst | None] | None:
        mate = self._inquiry.mates.get(subject.name)
        if mate is None or not mate.surely_one or not _carries_the_same(row) or mate.name not in self._found:
            return None
        found = self._found[mate.name]
        if found.ok:
            return skipped(_NAME, f"it was searched through {mate.name}, another way to the same server"), None
        if not _answers_so(subject, found):
            return None
        said = f"{_said(found)}, searched through {mate.name}, and answers that input as it does there"
        return Check(_NAME, DISAGREE, said, 1), replace(found, subject=subject.name)


def _carries_the_same(row: Agreement) -> bool:
    """Whether there is no difference to another way: what is told of one server was refused by one way, or not asked in time."""
    found = next((check.verdict for check in row.checks if check.name == TRANSPORTS), "")
    return found == AGREE or (found == TOLD and row.ok)


def _answers_so(subject: Subject, found: Worst) -> bool:
    """Whether a subject answers the worst input of another as that does; of text nobody can tell by its figures."""
    predictor = subject.open()
    try:
        got = predictor.predict(found.inputs)[found.output][found.place]
    except EndpointError:
        return False
    finally:
        predictor.close()
    alike = not np.ndim(got) and not isinstance(got, bytes | str)
    return alike and bool(np.array_equal(number(got), found.got, equal_nan=True))


def _with(row: Agreement, check: Check) -> Agreement:
    return replace(row, checks=(*row.checks, check))


def _check(found: Worst) -> Check:
    """An input that was searched for counts as one that was drawn."""
    verdict = DISAGREE if not found.ok else AGREE if found.over <= 1 else TOLD
    return Check(_NAME, verdict, _said(found), found.tried)


def _said(found: Worst) -> str:
    among = f"at the worst of {found.tried:,} inputs"
    if np.isnan(found.want):
        return f"answered otherwise, or not at all, {among}"
    if not (np.isfinite(found.want) and np.isfinite(found.got)):
        return f"{value(found.got)} where {value(found.want)} is wanted {among}"
    over = f"{found.over:,.0f}" if found.over >= 100 else f"{found.over:.2g}"
    return f"off by {over} tolerances {among}"
