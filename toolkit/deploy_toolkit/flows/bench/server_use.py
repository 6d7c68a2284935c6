"""What a server of ours uses of the machine: all its processes, in a container, too. Linux only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy_core import state, usage
from deploy_core.process import Process, group_of
from deploy_servers import engines
from deploy_servers.launch import Running


@dataclass(frozen=True)
class Use:
    """Bytes of memory now, and CPU seconds since the start of its processes."""

    memory: int
    cpu: float


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


def _contained(main: int) -> Iterator[int]:
    """Give the processes that share the control group of a container's first one."""
    group = _group(main)
    for entry in Path("/proc").glob("[0-9]*"):
        if group and _group(int(entry.name)) == group:
            yield int(entry.name)


def _group(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""
