"""A world whose time is simulated: a clock that is a heap of events, servers that are functions, and a wire between them."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random

from deploy_latency.calls import Call
from deploy_latency.load import Load, arrivals
from deploy_latency.loops import ClosedLoop, Flight, OpenLoop, turns
from deploy_latency.recording import Recorded, Recording

Serve = Callable[[float], float]  # when a request arrives → when its answer is there


class World:
    """A `Clock`; nothing takes any time in it but what is waited for."""

    def __init__(self) -> None:
        self._time = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._bell = -1

    def now(self) -> float:
        return self._time

    def at(self, when: float, act: Callable[[], None]) -> None:
        self._bell = bell = next(self._numbers)
        self.later(when, lambda: act() if self._bell == bell else None)

    def later(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(when, self._time), next(self._numbers), act))

    def run(self) -> None:
        still = 0
        while self._events:
            before = self._time
            self._time, _, act = heapq.heappop(self._events)
            act()
            still = still + 1 if self._time == before else 0
            assert still < 10_000, f"the world stands still at {self._time}"


class SimulatedWire:
    """A `Wire` over so many connections, each for one call at a time."""

    def __init__(self, world: World, serve: Serve, connections: float = math.inf) -> None:
        self.world = world
        self.serve = serve
        self.free = connections
        self.waiting: deque[Call] = deque()
        self.dropped: list[Call] = []
        self.on_done: Callable[[Call], None] = lambda call: None

    async def open(self, connections: int, timeout: float) -> None: ...

    def send(self, call: Call) -> None:
        if self.free:
            self._start(call)
        else:
            self.waiting.append(call)

    def drop(self, call: Call) -> None:
        self.dropped.append(call)
        call.wire = "dropped"
        if call in self.waiting:
            self.waiting.remove(call)
        else:
            self._release()  # as a connection that is closed, and opened again at once

    async def close(self) -> None: ...

    def _start(self, call: Call) -> None:
        self.free -= 1
        call.sent = self.world.now()
        done = self.serve(call.sent)
        if done < math.inf:
            self.world.later(done, lambda: self._answer(call))

    def _answer(self, call: Call) -> None:
        if call.wire == "dropped":
            return
        call.done = self.world.now()
        call.body = b"%d" % call.request
        self.on_done(call)
        self._release()

    def _release(self) -> None:
        self.free += 1
        if self.waiting and self.free:
            self._start(self.waiting.popleft())


def recorded(load: Load, serve: Serve, *, requests: int = 3, connections: float = math.inf) -> Recorded:
    """Send a load in a world of its own."""
    wire = SimulatedWire(World(), serve, connections)
    return through(wire, load, requests=requests)


def through(wire: SimulatedWire, load: Load, *, requests: int = 3) -> Recorded:
    """Send a load over a wire until nothing is under way, and make sure that this was said once."""
    zero = load.warmup
    recording = Recording(zero, load.keep, load.seed)
    flight = Flight(wire.world, wire, recording, turns(requests, 0, 1), load.timeout)
    ended: list[float] = []

    def on_end() -> None:
        ended.append(wire.world.now())

    loop: OpenLoop | ClosedLoop
    if load.schedule is None:
        loop = ClosedLoop(flight, load.concurrency, zero + load.seconds, on_end)
    else:
        loop = OpenLoop(flight, arrivals(load) + zero, on_end)
    wire.on_done = loop.landed
    wire.world.at(0.0, loop.start)
    wire.world.run()
    assert len(ended) == 1
    assert ended[0] <= zero + load.seconds + load.timeout
    return recording.recorded()


# Servers.


def constant(delay: float) -> Serve:
    return lambda now: now + delay


def two_kinds(share: float, fast: tuple[float, float], slow: tuple[float, float], seed: int) -> Serve:
    """Answers are fast or slow, by chance, and evenly spread within either."""
    draw = Random(seed)
    return lambda now: now + draw.uniform(*(slow if draw.random() < share else fast))


def stalling(delay: tuple[float, float], stall: float, period: float, seed: int) -> Serve:
    """Nothing is answered in the first `stall` seconds of each `period`."""
    draw = Random(seed)
    return lambda now: max(now, now // period * period + stall) + draw.uniform(*delay)


def queueing(mean: float, seed: int) -> Serve:
    """One request after the other, each an exponential time."""
    draw, free = Random(seed), 0.0

    def serve(now: float) -> float:
        nonlocal free
        free = max(now, free) + draw.expovariate(1 / mean)
        return free

    return serve
