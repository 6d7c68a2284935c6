"""Everything against everything: one reference, the same inputs, a row for every other predictor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_agreement import Agreement, Located, Report, Skew, Worst, unproved
from deploy_core import state
from deploy_core.errors import UsageError
from deploy_exporters.worker import Workers
from deploy_model_store import Store
from deploy_toolkit.flows import subjects
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.mates import doubted, mates
from deploy_toolkit.flows.check.probing import probes_of
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.rows import row_of
from deploy_toolkit.flows.check.served import known, started
from deploy_toolkit.flows.check.trained import answers_of, source_of
from deploy_toolkit.flows.check.wanted import GOLDEN, Wanted, wanted
from deploy_toolkit.flows.raw import keeps_raw
from deploy_toolkit.flows.subjects import Named, Subject
from deploy_toolkit.output import OnEvent, silent

if TYPE_CHECKING:
    from deploy_toolkit.flows.check.searching import Searches


def check(request: Request, *, store: Path, on_event: OnEvent = silent) -> Report:
    """Compare every subject with the reference. Raises UsageError if there is nothing to compare with or to compare."""
    shelf = Store(store)
    named = subjects.distinct(subjects.find(text, shelf) for text in request.subjects)
    if not named:
        raise UsageError("there is nothing to compare", hint="name a stored model, a file or an endpoint")
    if request.servers and not subjects.versions(named):
        raise UsageError(
            f"nothing is named that {request.servers[0]} could serve", hint="name a stored model beside the files"
        )
    if request.seed < 0:
        raise UsageError(f"the seed {request.seed} is negative", hint="give 0 or more")
    request.access.require_fit(subjects.endpoints(named))
    with ExitStack() as stack:
        workers = stack.enter_context(Workers(state.logs()))
        trained = source_of(request.against, shelf)
        right = answers_of(trained, request, workers) if trained else wanted(request, named, shelf, workers)
        found = {subject.name: subject for one in named for subject in _expanded(one, workers, request, right)}
        others = [subject for subject in found.values() if subject.name != right.by]
        todo = [known(subject, named, right.version, on_event) for subject in others]
        for server in dict.fromkeys(request.servers):
            todo += stack.enter_context(started(server, named, request.access.ours, store, on_event))
        if not todo:
            raise UsageError("there is nothing to compare", hint="name a second file or endpoint")
        _require_searchable(right, request)
        skew = _skew(right, todo, request, workers, on_event)  # first: a mistake of the user's shows here
        rows = _rows(todo, right, request, workers, on_event)
        return Report(
            tuple(one.row for one in rows),
            by=_by(right),
            worst=tuple(one.worst for one in rows if one.worst),
            located=tuple(one.located for one in rows if one.located),
            skew=_of_those_asked(skew, rows),
        )


def _expanded(named: Named, workers: Workers, request: Request, right: Wanted) -> Iterator[Subject]:
    like = right.version.signature if right.version else None
    return subjects.expand(named, workers, trust=request.trust, access=request.access, like=like)


def _require_searchable(right: Wanted, request: Request) -> None:
    if request.search and right.reference is None:
        raise UsageError(
            f"{right.version or right.by} keeps no reference that answers for other inputs",
            hint="check it without --search",
        )


def _by(right: Wanted) -> str:
    return f"{right.by} of {right.version}" if right.by == GOLDEN else right.by


@dataclass(frozen=True)
class _Row:
    row: Agreement
    worst: Worst | None = None
    located: Located | None = None


def _rows(todo: list[Subject], right: Wanted, request: Request, workers: Workers, on_event: OnEvent) -> list[_Row]:
    on_event("asking for the right answers")
    inquiry = Inquiry(request, right, probes_of(right, request), mates(todo))
    searches = _searches(inquiry, on_event)
    found = []
    for subject in todo:
        on_event(f"checking {subject.name}")
        row = row_of(subject, inquiry)
        inquiry = replace(inquiry, mates=doubted(inquiry.mates, row))
        found.append(_with_finds(subject, row, inquiry, workers, on_event, searches))
    return found


def _with_finds(
    subject: Subject, row: Agreement, inquiry: Inquiry, workers: Workers, on_event: OnEvent, searches: Searches | None
) -> _Row:
    row = unproved(row) if subject.unproved else row
    if row.error:
        return _Row(row)
    row, worst = searches.of(subject, row) if searches else (row, None)
    located = None
    if inquiry.request.localise and not row.ok:
        from deploy_toolkit.flows.check.locating import located as parting

        located = parting(subject, row, inquiry, workers, on_event, worst=worst)
    return _Row(row, worst, located)


def _searches(inquiry: Inquiry, on_event: OnEvent) -> Searches | None:
    if not inquiry.request.search:
        return None
    from deploy_toolkit.flows.check.searching import Searches

    return Searches(inquiry, on_event)


def _skew(right: Wanted, todo: list[Subject], request: Request, workers: Workers, on_event: OnEvent) -> Skew | None:
    if not request.raw and not request.preprocess and not keeps_raw(right.version):
        return None
    if right.version is None:
        raise UsageError("--raw needs a model that is stored with its preprocessing", hint="name one")
    from deploy_toolkit.flows.check.skew import skew

    return skew(right.version, todo, request, workers, on_event)


def _of_those_asked(skew: Skew | None, rows: list[_Row]) -> Skew | None:
    silent = [one.row.subject for one in rows if one.row.unavailable]
    if skew is None or not silent:
        return skew
    from deploy_toolkit.flows.check.skew import of_those_asked

    return of_those_asked(skew, silent)
