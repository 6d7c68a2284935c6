"""The runs that the state folder tells of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_core import state, usage
from deploy_core.errors import UsageError
from deploy_core.process import Process, group_of

RUNNING, STARTING, STOPPING, LEFT_OVER = "running", "starting", "stopping", "left over"


@dataclass(frozen=True)
class Run:
    """One record; `owner` is the process that started it, `leader` the server's own, if it got that far.

    `is_command` says that the owner is a `deploy serve` and nothing else, so that it may be asked to end.
    """

    id: str
    record: Path
    what: str
    command: tuple[str, ...]
    server: str
    name: str
    endpoints: tuple[str, ...]
    management: tuple[str, ...]
    owner: Process | None
    leader: Process | None
    folder: Path | None
    engine: str
    container: str
    log: Path
    created: float
    ready: bool
    stopping: bool
    is_command: bool
    boot: str
    artifact: str  # which one it was told to serve; empty where it chose itself

    def __str__(self) -> str:
        return f"{self.id} ({self.server or self.what}{f' with {self.name}' if self.name else ''})"

    @property
    def is_owned(self) -> bool:
        """Whether the process that started it is there to end it."""
        return self._here and self.owner is not None and self.owner.is_alive

    @property
    def state(self) -> str:
        """How far it is; left over if nobody is there to end it."""
        if not self.is_owned:
            return LEFT_OVER
        if self.stopping:
            return STOPPING
        return RUNNING if self.ready else STARTING

    @property
    def processes(self) -> tuple[Process, ...]:
        """What runs of it: the server, and whatever it started."""
        return group_of(self.leader) if self._here and self.leader else ()

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return max(0.0, time.time() - self.created)

    @property
    def memory(self) -> int | None:
        """Bytes that its processes have for themselves; None where none runs, or they run in a container."""
        sizes = []
        for process in self.processes if not self.container else ():
            with suppress(FileNotFoundError, ProcessLookupError):
                sizes.append(usage.memory(process.pid))
        return sum(sizes) if sizes else None

    @property
    def _here(self) -> bool:
        return self.boot == state.boot()


@dataclass(frozen=True)
class Damaged:
    """Something in the folder of records that is none."""

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{self.path} is no record of a run: {self.why}"


def read() -> tuple[tuple[Run, ...], tuple[Damaged, ...]]:
    """Give all records, the oldest first, and what is there without being one."""
    runs, damaged = [], []
    for path in _entries():
        try:
            runs.append(_parse(path))
        except FileNotFoundError:  # its run has just ended
            continue
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            damaged.append(Damaged(path, why))
    return tuple(sorted(runs, key=lambda run: run.created)), tuple(damaged)


def listing() -> tuple[tuple[Run, ...], tuple[Damaged, ...]]:
    """Give what `servers` does, and what lies among the records without being one."""
    runs, damaged = read()
    return tuple(run for run in runs if run.server or _is_left(run)), damaged


def servers() -> tuple[Run, ...]:
    """Give the runs of servers, and whatever else was left over and is more than a record."""
    return listing()[0]


def find(text: str, among: Sequence[Run]) -> tuple[Run, ...]:
    """Give the run of an id or an id's beginning, else those that serve a model of that name. Raises UsageError."""
    exact = [run for run in among if run.id == text]
    begun = exact or [run for run in among if text and run.id.startswith(text)]
    if len(begun) == 1:
        return tuple(begun)
    named = [run for run in among if _serves(run, text)]
    if named:
        return tuple(named)
    if begun:
        raise UsageError(f"{text!r} is the beginning of {len(begun)} runs", hint=_listed(begun))
    raise UsageError(f"there is no run {text!r}", hint=_listed(among))


def _is_left(run: Run) -> bool:
    return run.state == LEFT_OVER and bool(run.processes or (run.folder and run.folder.exists()))


def _serves(run: Run, text: str) -> bool:
    versions = [part.strip() for part in run.name.split(",")]
    return any(text in (version, version.partition("@")[0]) for version in versions if version)


def _listed(runs: Iterable[Run]) -> str:
    shown = ", ".join(map(str, runs))
    return f"there is {shown}" if shown else "`deploy ps` lists them: nothing runs"


def _entries() -> list[Path]:
    folder = state.records()
    return sorted(path for path in folder.iterdir() if path.suffix != ".tmp") if folder.is_dir() else []


def _parse(path: Path) -> Run:
    data = json.loads(path.read_text(encoding="utf-8"))
    facts = data["facts"]
    folder = _text(facts, "folder")
    return Run(
        id=Path(folder).name.rpartition("-")[2] if folder else path.stem[:8],
        record=path,
        what=_text(data, "what"),
        command=tuple(map(str, data["command"])),
        server=_text(facts, "server"),
        name=_text(facts, "name"),
        endpoints=tuple(map(str, facts.get("endpoints", ()))),
        management=tuple(map(str, facts.get("management", ()))),
        owner=_process(data["parent"]),
        leader=_process(data["child"]),
        folder=Path(folder) if folder else None,
        engine=_text(facts, "engine"),
        container=_text(facts, "container"),
        log=Path(_text(data, "log")),
        created=float(data["created"]),
        ready=bool(facts.get("ready")),
        stopping=bool(facts.get("stopping")),
        is_command=bool(facts.get("is_command")),
        boot=_text(data, "boot"),
        artifact=_text(facts, "artifact"),
    )


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key, "")
    if not isinstance(value, str):
        raise TypeError(f"{key} is {value!r}, no text")
    return value


def _process(data: Mapping[str, Any] | None) -> Process | None:
    """Read a process; one that ended before its start time was seen is none."""
    if data is None or data["start"] is None:
        return None
    pid, start = data["pid"], data["start"]
    if not (type(pid) is int and type(start) is int and pid > 0 and start >= 0):
        raise ValueError(f"{pid!r}, started at {start!r}, is no process")
    return Process(pid, start)
