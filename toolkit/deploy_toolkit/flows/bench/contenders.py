"""Who is measured: endpoints that somebody runs, those of servers that are started for it, and files in their runtimes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from deploy_core.artifact import Artifact
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UsageError
from deploy_core.predictor import Predictor
from deploy_dialects.tables import DIALECTS
from deploy_latency.load import Target
from deploy_latency.stages import asking
from deploy_model_store import Store, Version
from deploy_servers.launch import Running
from deploy_toolkit.flows import serve, subjects
from deploy_toolkit.flows.access import Access
from deploy_toolkit.flows.bench import questions
from deploy_toolkit.flows.bench.questions import Questions
from deploy_toolkit.flows.bench.request import SERVER, Request
from deploy_toolkit.flows.bench.runtimes import runtime
from deploy_toolkit.flows.bench.ways import InProcess, OverWire, Way
from deploy_toolkit.flows.judge import Judge
from deploy_toolkit.flows.subjects import Chosen
from deploy_toolkit.output import OnEvent


@dataclass(frozen=True)
class Started:
    """A server of ours: `cold_start` is seconds from the start of its process to its first right answer."""

    running: Running
    cold_start: float


@dataclass(frozen=True)
class Contender:
    """One endpoint, or file in its runtime, with what it is asked; `server` is that of an endpoint of ours."""

    name: str
    questions: Questions
    way: Way
    server: Started | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def contenders(request: Request, store: Path, on_event: OnEvent) -> Generator[tuple[Contender, ...]]:
    """Start what has to be started, and give everything that is measured."""
    shelf = Store(store)
    named = [subjects.find(text, shelf) for text in request.subjects]
    request.access.require_fit(subjects.endpoints(named))
    if files := [one for one in named if isinstance(one, Path)]:
        raise UsageError(f"{files[0]} is a file", hint="deploy export stores it, then name it; or name an endpoint")
    if chosen := [one for one in named if isinstance(one, Chosen)]:
        raise UsageError(
            f"{chosen[0]} is one artifact",
            hint=f"{chosen[0].version} --set artifact={chosen[0].artifact.name} serves it",
        )
    servers = request.servers or (() if request.runtimes else (SERVER,))
    versions = [one for one in named if isinstance(one, Version)]
    with ExitStack() as stack:
        found = [each for one in named if isinstance(one, Endpoint) for each in _of_endpoint(one, shelf, request)]
        for version, server in product(versions, servers):
            started = stack.enter_context(_started(version, server, request, store, on_event))
            found += _of_server(version, server, started, request)
        for version, name in product(versions, request.runtimes):
            found += _of_runtime(version, version.artifact(name), request, stack)
        yield tuple(_told_apart(found))


def _told_apart(found: Iterable[Contender]) -> Iterator[Contender]:
    """Number those of the same name, such as a server that is measured against itself."""
    names: Counter[str] = Counter()
    for one in found:
        names[one.name] += 1
        number = names[one.name]
        yield one if number == 1 else replace(one, name=f"{one.name} ({number})")


@contextmanager
def _started(version: Version, server: str, request: Request, store: Path, on_event: OnEvent) -> Generator[Started]:
    prepared = serve.prepared(serve.Request((str(version),), server, options=request.options), store=store)
    judge = _FirstRight(Judge(prepared.versions, request.options))
    with serve.started(prepared, on_event=on_event, accept=judge) as running:
        yield Started(running, judge.at - running.started_at)


class _FirstRight:
    """A judge that notes when it first found nothing wrong."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self.at = float("nan")

    def __call__(self, predictor: Predictor) -> str | None:
        wrong = self._judge(predictor)
        if wrong is None and self.at != self.at:
            self.at = time.monotonic()
        return wrong


def _of_server(version: Version, server: str, started: Started, request: Request) -> Iterator[Contender]:
    for endpoint in _wanted(server, started.running.endpoints, request):
        for batch in request.batches:
            if request.inputs is None:
                asked = questions.of_version(version, batch, request.options.get("artifact", ""))
            else:
                asked = _of_users(endpoint, request, request.access.ours, batch)
            name = f"{version} {server} {endpoint.dialect}+{endpoint.transport}"
            facts = {"server": server, "model": str(version)}
            yield _contender(name, endpoint, asked, batch, request, facts, started)


def _of_runtime(version: Version, artifact: Artifact, request: Request, stack: ExitStack) -> Iterator[Contender]:
    version.require_intact(artifact)
    for threads, batch in product(request.threads, request.batches):
        asked = questions.of_version(version, batch, artifact.name)
        loaded = stack.enter_context(runtime(artifact, threads, asked.inputs))
        parts = (f"{version} {artifact.name} in process", _many("thread", threads, request.threads))
        facts = {"model": str(version), "artifact": artifact.name, "batch": batch, "threads": threads}
        yield Contender(_name(*parts, _many("batch", batch, request.batches)), asked, InProcess(loaded), None, facts)


def _of_endpoint(endpoint: Endpoint, shelf: Store, request: Request) -> Iterator[Contender]:
    for batch in request.batches:
        if request.inputs is None:
            asked = questions.of_version(_behind(endpoint, shelf), batch, request.options.get("artifact", ""))
        else:
            asked = _of_users(endpoint, request, request.access, batch)
        yield _contender(str(endpoint), endpoint, asked, batch, request, {}, None)


def _contender(
    name: str,
    endpoint: Endpoint,
    asked: Questions,
    batch: int,
    request: Request,
    facts: Mapping[str, Any],
    started: Started | None,
) -> Contender:
    dialect = DIALECTS.load(f"{endpoint.dialect}+{endpoint.transport}")
    requests = tuple(dialect.encode(endpoint, asked.signature, each, binary=request.binary) for each in asked.inputs)
    told = {"dialect": endpoint.dialect, "transport": endpoint.transport, "batch": batch, "binary": request.binary}
    access = request.access.ours if started else request.access
    target = Target(endpoint, asking(requests), access.headers, access.tls if endpoint.tls else None)
    full = _name(name, "binary" if request.binary else "", _many("batch", batch, request.batches))
    return Contender(full, asked, OverWire(target), started, {**facts, **told})


def _name(*parts: str) -> str:
    return " ".join(filter(None, parts))


def _many(word: str, value: int, values: tuple[int, ...]) -> str:
    """Name what several contenders differ in."""
    return f"{word} {value}" if len(values) > 1 else ""


def _of_users(endpoint: Endpoint, request: Request, access: Access, batch: int) -> Questions:
    assert request.inputs is not None
    with access.client(endpoint) as client:
        return questions.of_inputs(client, request.inputs, batch)


def _behind(endpoint: Endpoint, shelf: Store) -> Version:
    """Give the stored version that an endpoint serves, as far as its URL says. Raises UsageError if none is stored."""
    if endpoint.model not in shelf.names():
        raise UsageError(
            f"nothing is known to ask {endpoint}: the store {shelf.root} has no {endpoint.model!r}",
            hint="give --inputs FILE.npz, or the --store that it is served from",
        )
    return shelf.resolve(f"{endpoint.model}@{endpoint.version}" if endpoint.version else endpoint.model)


def _wanted(server: str, endpoints: Iterable[Endpoint], request: Request) -> list[Endpoint]:
    known = list(endpoints)
    dialects = request.dialects or (known[0].dialect,)
    found = [
        endpoint
        for transport in request.transports
        for endpoint in known
        if endpoint.transport == transport and endpoint.dialect in dialects
    ]
    if not found:
        raise UsageError(
            f"{server} speaks no {' or '.join(dialects)} over {' or '.join(request.transports)}",
            hint=f"it answers at {', '.join(map(str, known))}",
        )
    return found
