"""A running server that follows the store: what its names mean there is what it serves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy_core.errors import DeployError, UsageError
from deploy_model_store import Store
from deploy_servers import SERVERS
from deploy_servers.launch import Running
from deploy_servers.swapping import apply
from deploy_toolkit.flows import serve
from deploy_toolkit.flows.judge import Judge
from deploy_toolkit.output import OnEvent, silent

_PAUSE = 1.0  # seconds between looks at the store


@dataclass(frozen=True)
class _Wanted:
    """What the names of a request mean at some moment: versions, and the labels of their models."""

    versions: tuple[tuple[str, int], ...]
    labels: Mapping[str, Mapping[str, int]]

    def __str__(self) -> str:
        return ", ".join(f"{name}@{number}" for name, number in self.versions)


class Follower:
    """Looks at the store now and then, and has the server serve what is found there if it has changed."""

    def __init__(self, what: serve.Prepared, *, store: Path, on_event: OnEvent) -> None:
        self._module = SERVERS.load(what.request.server)
        if not hasattr(self._module, "swap"):
            raise UsageError(
                f"{what.request.server} cannot be given other versions while it runs", hint="leave out --follow"
            )
        # Nothing is to be swapped yet, but whether it could be is told now.
        self._module.swap(what.versions, what.versions, what.settings)
        self._what = what
        self._store = Store(store)
        self._on_event = on_event
        self._versions = what.versions
        self._wanted = self._find()
        self._refused: _Wanted | None = None
        self._said = ""
        self._next = 0.0

    def look(self, running: Running) -> None:
        """Swap if the store means something else than before; what the server cannot serve right is told, once."""
        if time.monotonic() < self._next:
            return
        try:
            wanted = self._find()
            if wanted not in (self._wanted, self._refused):
                self._swap(running, wanted)
            self._said = ""
        except DeployError as error:  # a store that cannot be read now can be later
            self._say(f"the store cannot be followed: {error}")
        self._next = time.monotonic() + _PAUSE

    def _swap(self, running: Running, wanted: _Wanted) -> None:
        new = tuple(self._store.version(name, number) for name, number in wanted.versions)
        try:
            swap = self._module.swap(self._versions, new, self._what.settings)
            self._on_event(f"{self._wanted} → {wanted}: loading")
            judge = Judge(new, self._what.request.options)
            apply(swap, running, judge, timeout=serve.START_SECONDS, on_event=silent)
        except DeployError as error:
            self._refused = wanted
            self._on_event(f"{wanted} is refused, {self._wanted} goes on: {error}")
            return
        self._versions, self._wanted, self._refused = new, wanted, None
        self._on_event(f"{wanted} is served: {', '.join(map(str, running.endpoints))}")

    def _find(self) -> _Wanted:
        references = self._what.request.names or tuple(self._store.names())
        found = tuple(dict.fromkeys(map(self._store.locate, references)))
        labels = getattr(self._module, "LABELS", False)
        return _Wanted(found, {name: self._store.aliases(name) for name, _ in found} if labels else {})

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._on_event(text)
