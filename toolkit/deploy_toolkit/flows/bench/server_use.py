"""What a server of ours uses of the machine: all its processes, in a container, too. Linux only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy_core import state, usage
from deploy_core.process import Process, group_of
from deploy_latency.workers import Progress
from deploy_servers import engines
from deploy_servers.launch import Running


@dataclass(frozen=True)
class Use:
    """Bytes of memory now, and CPU seconds since the start of its processes."""

    memory: int
    cpu: float


@dataclass(frozen=True)
class Used:
    """What a server used in a turn: bytes of memory in the end, and CPU seconds for so many requests."""

    memory: int
    cpu: float
    requests: int


class Watch:
    """Two looks at what a server uses: when the warm-up is over, and when all is."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._before: Use | None = None
        self._ended = 0

    def hear(self, progress: Progress) -> None:
        """Look, if this is the first word of the measured part."""
        if self._before is None and progress.elapsed >= 0:
            self._before, self._ended = use_of(self._running), progress.ended

    def used(self, requests: int) -> Used | None:
        """Look again, after so many requests since the warm-up; None where it cannot be seen."""
        before, after = self._before, use_of(self._running)
        if after is None:
            return None
        cpu = after.cpu - before.cpu if before else 0.0
        return Used(after.memory, cpu, requests - self._ended if before else 0)


def use_of(running: Running) -> Use | None:
    """Look at all processes of a server; None where that cannot be seen."""
    memory, cpu, seen = 0, 0.0, False
    for pid in _pids(running) if sys.platform == "linux" else ():
        with suppress(FileNotFoundError, ProcessLookupError):  # one that ends meanwhile
            memory, cpu, seen = memory + usage.memory(pid), cpu + usage.cpu_seconds(pid), True
    return Use(memory, cpu) if seen else None


def _pids(running: Running) -> Iterator[int]:
    if running.launch.engine:
        yield from _contained(engines.main_pid(running.launch.engine, running.launch.folder.name))
        return
    pid = running.process.pid
    started = state.start_time(pid)
    if started is not None:
        yield from (process.pid for process in group_of(Process(pid, started)))


def _contained(main: int) -> list[int]:
    """Give a container's first process and all below it; those whose parents have ended are its own.

    A control group says the same only where each container has one of its own.
    """
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            below.setdefault(int(usage.stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [main] if main else []
    for pid in found:  # which grows meanwhile
        found += below.get(pid, ())
    return found
