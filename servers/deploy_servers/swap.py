"""How a running server comes to serve other versions without a request failing, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy_core.endpoint import Endpoint
from deploy_model_store import Version
from deploy_servers.launch import Launch


@dataclass(frozen=True)
class Call:
    """One request to a server's management address; it has been heard when the answer's status is below 300.

    With `may_be_absent` a 404 has been heard, too: what is to be taken away need not be there any more. `key` is where a key that the server made for itself lies: a JSON file in the run's folder and the members below it,
    e.g. `("key_file.json", "management", "key")`; it is sent as a bearer token.
    """

    method: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    may_be_absent: bool = False


@dataclass(frozen=True)
class Swap:
    """First `links` and `files` go into the server's folder and `load` is called; then all of `endpoints` must answer right.

    Where a server must be told which version answers those who name none, `trial` must answer right before `promote` is
    called, and `endpoints` after it. Only then `files_after` go there, `unload` is called, and `unlinks` are taken away. If an endpoint does not answer
    right, `files_before` and `undo` bring back what was. `launch` is what a restart starts from then on.
    """

    launch: Launch
    endpoints: tuple[Endpoint, ...]
    links: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    load: tuple[Call, ...] = ()
    trial: tuple[Endpoint, ...] = ()
    promote: tuple[Call, ...] = ()
    files_after: Mapping[str, str | bytes] = field(default_factory=dict)
    unload: tuple[Call, ...] = ()
    unlinks: tuple[str, ...] = ()
    files_before: Mapping[str, str | bytes] = field(default_factory=dict)
    undo: tuple[Call, ...] = ()


def without(versions: Iterable[Version], others: Iterable[Version]) -> list[Version]:
    """Give those versions that are not among the others."""
    known = set(map(str, others))
    return [version for version in versions if str(version) not in known]
