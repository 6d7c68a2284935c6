"""The processes of the generator: started together, told when to begin, followed to the end, gone whatever happens."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from deploy_core import messages, state
from deploy_core.child import Child
from deploy_core.errors import DeployError
from deploy_core.signals import postponed
from deploy_latency.load import Load, Target, arrivals
from deploy_latency.samples import Seconds
from deploy_latency.schedules import parted
from deploy_latency.worker import MOMENT, Done, Job, Part, Ready, Refused

_TOLD = 0.25  # seconds between two calls of `on_progress`
_LEAD = 0.1  # seconds between telling the beginning and the beginning
_PATIENCE = 60.0  # seconds for a process to do what takes no time
_STUCK = "is the machine overloaded, or was it asleep?"
_ENV = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Progress:
    """How far a run is; requests of the warm-up do not count.

    `elapsed` seconds have been measured, while it warms up it is negative. `recent` has the latencies of the good answers of
    the last `over` seconds.
    """

    elapsed: float
    seconds: float
    sent: int
    ended: int
    failed: int
    recent: Seconds
    over: float

    @property
    def waiting(self) -> int:
        """How many requests are under way."""
        return self.sent - self.ended


def run(target: Target, load: Load, on_progress: Callable[[Progress], None]) -> list[Done]:
    """Send a load by `load.workers` processes. Raises EndpointError, and DeployError for a process that died."""
    with _crew(target, load) as crew:
        for _ in crew.heard(_PATIENCE + load.timeout, Ready):
            pass
        zero = perf_counter() + _LEAD + load.warmup
        crew.begin(zero)
        following = _Following(load, zero, on_progress)
        for member, word in crew.heard(_LEAD + load.warmup + load.seconds + load.timeout + _PATIENCE, Done):
            following.take(member, word)
        return [following.done[member] for member in crew.members]


@dataclass
class _Member:
    child: Child
    connection: socket.socket
    blamed: bool = False

    def __hash__(self) -> int:
        return self.child.pid


class _Crew:
    def __init__(self, members: list[_Member]) -> None:
        self.members = members

    def employ(self, target: Target, load: Load) -> None:
        scheduled = load.schedule is not None
        times = parted(arrivals(load), load.workers) if scheduled else [None] * load.workers
        for part, (member, its) in enumerate(zip(self.members, times, strict=True)):
            self._say(member, messages.pack(Job(target, replace(load, schedule=None), part, its)))

    def begin(self, zero: float) -> None:
        for member in self.members:
            self._say(member, MOMENT.pack(zero))

    def _say(self, member: _Member, packed: bytes) -> None:
        try:
            messages.send(member.connection, packed, seconds=_PATIENCE)
        except OSError:
            raise self._dead(member) from None

    def heard(self, seconds: float, last: type) -> Iterator[tuple[_Member, Any]]:
        """Give what they say until each has said a word of kind `last`."""
        end = perf_counter() + seconds
        with selectors.DefaultSelector() as selector:
            for member in self.members:
                selector.register(member.connection, selectors.EVENT_READ, member)
            while selector.get_map():
                ready = [key.data for key, _ in selector.select(_TOLD)]
                words = [(member, self._word(member)) for member in ready]
                for member in (member for member, word in words if isinstance(word, last)):
                    selector.unregister(member.connection)
                yield from words
                if perf_counter() > end:
                    raise DeployError(f"the load generator has not ended within {seconds:g} s", hint=_STUCK)

    def _word(self, member: _Member) -> Any:
        try:
            word = messages.receive(member.connection, seconds=_PATIENCE)
        except (EOFError, ConnectionError):
            raise self._dead(member) from None
        if isinstance(word, Refused):
            raise word.error
        return word

    def _dead(self, member: _Member) -> DeployError:
        member.blamed = True
        member.child.wait(5)
        last = [line.strip() for line in member.child.log_tail(5).splitlines() if line.strip()][-1:]
        said = f"ends with: {last[0][:300]}" if last else "is empty"
        return DeployError(
            f"a process of the load generator {member.child.death()}", hint=f"its log {member.child.log} {said}"
        )

    def end(self) -> None:
        for member in self.members:
            member.connection.close()
            member.child.stop(grace=0.5)
            if not member.blamed:
                member.child.log.unlink(missing_ok=True)


@contextmanager
def _crew(target: Target, load: Load) -> Generator[_Crew]:
    logs, crew = state.logs(), _Crew([])
    try:
        with postponed():
            for part in range(load.workers):
                log = logs / f"generator-{os.getpid()}-{part}.log"
                child, connection = messages.worker("load generator", "deploy_latency.worker", log=log, env=_ENV)
                crew.members.append(_Member(child, connection))
        crew.employ(target, load)
        yield crew
    finally:
        with postponed():
            crew.end()


@dataclass
class _Following:
    """Puts together what the processes say of how far they are."""

    load: Load
    zero: float
    on_progress: Callable[[Progress], None]
    done: dict[_Member, Done] = field(default_factory=dict)
    _parts: dict[_Member, Part] = field(default_factory=dict)
    _recent: list[Seconds] = field(default_factory=list)
    _told: float = 0.0

    def take(self, member: _Member, word: Part | Done) -> None:
        if isinstance(word, Done):
            self.done[member] = word
        else:
            self._parts[member] = word
            self._recent.append(word.recent)
        now = perf_counter()
        if self._recent and (now - self._told >= _TOLD / 2 or len(self.done) == self.load.workers):
            self._tell(now)

    def _tell(self, now: float) -> None:
        parts = self._parts.values()
        over = now - (self._told or self.zero - self.load.warmup)
        counts = (
            sum(part.sent for part in parts),
            sum(part.ended for part in parts),
            sum(part.failed for part in parts),
        )
        recent = np.concatenate(self._recent)
        self._recent, self._told = [], now
        self.on_progress(Progress(now - self.zero, self.load.seconds, *counts, recent, over))
