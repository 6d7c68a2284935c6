"""Processes that may not be our children: a process id alone says little, since the kernel gives it again."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from deploy_core import state, usage


@dataclass(frozen=True)
class Process:
    """A process id and the kernel's start time for it (clock ticks since boot), which together name one process."""

    pid: int
    start: int

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs, not another one with its id."""
        return state.start_time(self.pid) == self.start

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; tell whether it was there. Raises PermissionError for another user's."""
        if sys.platform != "linux":  # no start times are known there, and what is not known is not signalled
            return False
        with suppress(ProcessLookupError), closing(_Handle(self.pid)) as handle:
            # The handle came first: what it holds cannot become another process any more.
            if self.is_alive:
                signal.pidfd_send_signal(handle.fd, number)
                return True
        return False

    def wait(self, timeout: float) -> bool:
        """Wait for its end at most `timeout` seconds; tell whether it has come."""
        if sys.platform == "linux" and self.is_alive:
            with suppress(ProcessLookupError), closing(_Handle(self.pid)) as handle:
                if self.is_alive:
                    select.select([handle.fd], [], [], max(0.0, timeout))
        return not self.is_alive


class _Handle:
    def __init__(self, pid: int) -> None:
        self.fd = os.pidfd_open(pid)

    def close(self) -> None:
        os.close(self.fd)


def group_of(leader: Process) -> tuple[Process, ...]:
    """Give what runs of the group and session that `leader` began, the leader among them if it still runs.

    A process that has the leader's id and another start time began a group of its own: then nothing is left of this one,
    since the kernel gives no id again that a group still has.
    """
    now = state.start_time(leader.pid)
    if now is not None and now != leader.start:
        return ()
    found = (_member(int(entry.name), leader) for entry in Path("/proc").glob("[0-9]*"))
    return tuple(process for process in found if process is not None)


def end_all(processes: Iterable[Process], number: signal.Signals, timeout: float) -> bool:
    """Signal each, wait for the end of all at most `timeout` seconds; tell whether it has come."""
    waiting = [process for process in processes if process.signal(number)]
    end = monotonic() + timeout
    return all(process.wait(end - monotonic()) for process in waiting)


def _member(pid: int, leader: Process) -> Process | None:
    try:
        fields = usage.stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    group, session, start = int(fields[2]), int(fields[3]), int(fields[19])
    belongs = leader.pid in (group, session) and start >= leader.start
    return Process(pid, start) if belongs and fields[0] not in "ZX" else None
