"""Everything against everything: one reference, the same inputs, a row for every other predictor."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from deploy_agreement import Agreement, Report, unproved
from deploy_core import state
from deploy_core.errors import UsageError
from deploy_exporters.worker import Workers
from deploy_model_store import Store, Version
from deploy_toolkit.flows import serve, subjects
from deploy_toolkit.flows.access import Access
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.rows import row_of
from deploy_toolkit.flows.check.wanted import Wanted, wanted
from deploy_toolkit.flows.subjects import Named, Subject
from deploy_toolkit.output import OnEvent, silent


def check(request: Request, *, store: Path, on_event: OnEvent = silent) -> Report:
    """Compare every subject with the reference. Raises UsageError if there is nothing to compare with or to compare."""
    shelf = Store(store)
    named = [subjects.find(text, shelf) for text in request.subjects]
    if request.servers and not any(isinstance(one, Version) for one in named):
        raise UsageError(
            f"nothing is named that {request.servers[0]} could serve", hint="name a stored model beside the files"
        )
    request.access.require_fit(subjects.endpoints(named))
    with ExitStack() as stack:
        workers = stack.enter_context(Workers(state.logs()))
        right = wanted(request, named, shelf, workers)
        found = [subject for one in named for subject in _expanded(one, workers, request)]
        todo = [subject for subject in found if subject.name != right.by]
        for server in request.servers:
            todo += stack.enter_context(_served(server, named, request.access.ours, store, on_event))
        if not todo:
            raise UsageError("there is nothing to compare", hint="name a second file or endpoint")
        return Report(tuple(_rows(todo, right, request, on_event)))


def _expanded(named: Named, workers: Workers, request: Request) -> Iterator[Subject]:
    return subjects.expand(named, workers, trust=request.trust, access=request.access)


def _rows(todo: list[Subject], right: Wanted, request: Request, on_event: OnEvent) -> Iterator[Agreement]:
    for subject in todo:
        on_event(f"checking {subject.name}")
        row = row_of(subject, right, request)
        yield unproved(row) if subject.unproved else row


@contextmanager
def _served(
    server: str, named: list[Named], access: Access, store: Path, on_event: OnEvent
) -> Generator[list[Subject]]:
    names = tuple(str(one) for one in named if isinstance(one, Version))
    with serve.serving(serve.Request(names, server), store=store, on_event=on_event) as running:
        yield [Subject(str(endpoint), partial(access.client, endpoint)) for endpoint in running.endpoints]
