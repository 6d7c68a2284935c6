"""Endpoints as subjects: of servers that are started for them, and which variant one is known to serve.

A variant is held to what was measured of it, so an endpoint counts as one only where somebody said so: who named the
artifact, or who started the server. Answers that look like a variant's are no proof.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from deploy_core.endpoint import Endpoint
from deploy_core.errors import UsageError
from deploy_model_store import Version
from deploy_servers import SERVERS
from deploy_servers.runs import RUNNING, read
from deploy_toolkit.flows import serve
from deploy_toolkit.flows.access import Access
from deploy_toolkit.flows.degradation import is_coarse
from deploy_toolkit.flows.subjects import Chosen, Named, Subject
from deploy_toolkit.output import OnEvent

_HERE = ("127.0.0.1", "localhost", "0.0.0.0")  # one machine, as clients and servers call it


@contextmanager
def started(
    server: str, named: Iterable[Named], access: Access, store: Path, on_event: OnEvent
) -> Generator[list[Subject]]:
    """Start a server with the versions that are named, and one for each artifact that is, and give their endpoints."""
    with ExitStack() as stack:
        found = []
        for artifact, versions in _by_artifact(named).items():
            request = serve.Request(tuple(map(str, versions)), server, options=_options(server, artifact))
            running = stack.enter_context(serve.serving(request, store=store, on_event=on_event))
            called = f"{server} with {artifact}" if artifact else server
            for endpoint in running.endpoints:
                subject = Subject(str(endpoint), partial(access.client, endpoint), endpoint=endpoint, server=called)
                version = next(one for one in versions if one.name == endpoint.model)
                found.append(_serving(subject, version, artifact))
        yield found


def known(subject: Subject, named: Iterable[Named], wanted: Version | None, on_event: OnEvent) -> Subject:
    """Say which variant an endpoint serves, where the first name that is stored says so, or a server of ours does.

    `wanted` is the version whose answers are, where none is named.
    """
    first = next((one for one in named if isinstance(one, Version | Chosen)), wanted)
    if subject.endpoint is None or subject.server or first is None:
        return subject
    if isinstance(first, Chosen):
        return _serving(subject, first.version, first.artifact.name)
    artifact = _run_with(subject.endpoint) if subject.endpoint.model == first.name else ""
    if artifact not in {one.name for one in first.artifacts}:
        return subject
    on_event(f"{subject.name} serves {artifact}: it was started with --set artifact={artifact}")
    return _serving(subject, first, artifact)


def _serving(subject: Subject, version: Version, artifact: str) -> Subject:
    """Hold an endpoint to a variant; of float artifacts all are held to the same."""
    found = next((one for one in version.artifacts if one.name == artifact), None)
    return replace(subject, version=version, artifact=found) if found is not None and is_coarse(found) else subject


def _by_artifact(named: Iterable[Named]) -> dict[str, list[Version]]:
    """Give the versions to serve by the artifact that is to be served of them, empty for the server's own choice."""
    found: dict[str, list[Version]] = {}
    for one in named:
        if isinstance(one, Version):
            found.setdefault("", []).append(one)
        elif isinstance(one, Chosen):
            found.setdefault(one.artifact.name, []).append(one.version)
    return found


def _options(server: str, artifact: str) -> Mapping[str, str]:
    module = SERVERS.load(server)
    if not artifact or "artifact" in module.OPTIONS:
        return {"artifact": artifact} if artifact else {}
    if artifact not in module.SERVES:
        raise UsageError(
            f"{server} serves {', '.join(module.SERVES)}, and not {artifact}", hint="name another --server"
        )
    return {}


def _run_with(endpoint: Endpoint) -> str:
    """Give the artifact that the server behind an endpoint was told to serve; empty if none, or if it is none of ours."""
    for run in read()[0]:
        if run.artifact and run.state == RUNNING and any(_is_at(endpoint, url) for url in run.endpoints):
            return run.artifact
    return ""


def _is_at(endpoint: Endpoint, url: str) -> bool:
    other = Endpoint.parse(url)
    same_host = endpoint.host == other.host or {endpoint.host, other.host} <= set(_HERE)
    return same_host and not endpoint.tls and (endpoint.port, endpoint.model) == (other.port, other.model)
