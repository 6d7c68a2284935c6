"""One process of the generator: opens its connections, waits for the common beginning, sends, and hands over what it saw.

It says `Ready`, then `Part` a few times a second, then `Done`; or `Refused` at any time. Run by `workers`.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

from deploy_core import messages
from deploy_core.errors import DeployError
from deploy_core.table import require
from deploy_latency.calls import Call, Wire
from deploy_latency.clock import be_punctual, clock
from deploy_latency.load import Load, Target
from deploy_latency.loops import ClosedLoop, Flight, OpenLoop, turns
from deploy_latency.recording import Recorded, Recording
from deploy_latency.samples import Seconds
from deploy_latency.wires import WIRES

MOMENT = struct.Struct("d")  # how the common beginning is told
_TOLD = 0.25  # seconds between two words of how far we are


@dataclass(frozen=True)
class Job:
    """The share of one process: `part` of `load.workers`; its `times` from the beginning of the measured part, if it has any.

    The load has no schedule any more: a user's own may be of a class that no other process knows.
    """

    target: Target
    load: Load
    part: int
    times: Seconds | None


@dataclass(frozen=True)
class Ready:
    """Its connections are open."""


@dataclass(frozen=True)
class Part:
    """How far it is; `recent` are the latencies of good answers since the last word."""

    sent: int
    ended: int
    failed: int
    recent: Seconds


@dataclass(frozen=True)
class Done:
    """What it saw, and the CPU and wall seconds of the measured part."""

    recorded: Recorded
    cpu: float
    wall: float


@dataclass(frozen=True)
class Refused:
    """It could not begin."""

    error: DeployError


def main(number: int) -> None:
    """Do one job that comes over the inherited socket of that number."""
    with socket.socket(fileno=number) as connection:
        try:
            job: Job = messages.receive(connection)
            require("the load generator", ("uvloop",), "bench")
            import uvloop

            be_punctual()
            uvloop.run(_work(job, connection))
        except DeployError as error:
            traceback.print_exc()
            messages.send(connection, messages.pack(Refused(error)))
        except (EOFError, ConnectionError):
            sys.exit("whoever started this has gone")


def share(whole: int, part: int, parts: int) -> int:
    """Give how many of `whole` things that part has if they are dealt out in turn."""
    return (whole - part - 1) // parts + 1


async def _work(job: Job, connection: socket.socket) -> None:
    target, load = job.target, job.load
    events = asyncio.get_running_loop()
    timer = clock(events)
    seat = _Seat()
    module = WIRES.load(target.endpoint.transport)
    wire: Wire = module.wire(target.endpoint, target.headers, target.tls, target.requests, timer, seat.landed)
    try:
        await wire.open(share(load.connections, job.part, load.workers), load.timeout)
        connection.settimeout(0)
        await events.sock_sendall(connection, messages.pack(Ready()))
        zero = await _agreed(connection)
        recording = Recording(zero, share(load.keep, job.part, load.workers), load.seed + job.part)
        flight = Flight(timer, wire, recording, turns(len(target.requests), job.part, load.workers), load.timeout)
        used = await _sent(job, seat, flight, recording, connection)
    finally:
        await wire.close()
        timer.close()
    await events.sock_sendall(connection, messages.pack(Done(recording.recorded(), *used)))


class _Seat:
    """Where answers go: the wire has to know that before there is a loop to take them."""

    def __init__(self) -> None:
        self.loop: OpenLoop | ClosedLoop | None = None

    def landed(self, call: Call) -> None:
        if self.loop is not None:
            self.loop.landed(call)


async def _agreed(connection: socket.socket) -> float:
    """Hear from when on requests are measured."""
    events, told = asyncio.get_running_loop(), b""
    while len(told) < MOMENT.size:
        more = await events.sock_recv(connection, MOMENT.size - len(told))
        if not more:
            raise EOFError
        told += more
    (zero,) = MOMENT.unpack(told)
    return float(zero)


async def _sent(
    job: Job, seat: _Seat, flight: Flight, recording: Recording, connection: socket.socket
) -> tuple[float, float]:
    """Send all requests; give the CPU and wall seconds of the measured part."""
    events, zero, load = asyncio.get_running_loop(), recording.zero, job.load
    ended: asyncio.Future[None] = events.create_future()
    events.set_exception_handler(partial(_broken, ended))
    seat.loop = _loop(job, flight, zero, partial(_set, ended))
    gc.collect()
    gc.freeze()  # what is there now stays; to look through it again and again would make requests late
    effort = _Effort()
    events.call_later(zero - flight.clock.now(), effort.begin)
    events.call_later(zero + load.seconds - flight.clock.now(), effort.end)
    flight.clock.at(zero - load.warmup, seat.loop.start)
    await _told(ended, recording, connection)
    return effort.used(load.seconds)


def _loop(job: Job, flight: Flight, zero: float, on_end: Callable[[], None]) -> OpenLoop | ClosedLoop:
    load = job.load
    if job.times is None:
        return ClosedLoop(flight, share(load.concurrency, job.part, load.workers), zero + load.seconds, on_end)
    return OpenLoop(flight, job.times + zero, on_end)


async def _told(ended: asyncio.Future[None], recording: Recording, connection: socket.socket) -> None:
    """Wait for the end, and say now and then how far it is."""
    events, since = asyncio.get_running_loop(), 0
    while not ended.done():
        await asyncio.wait([ended], timeout=_TOLD)
        part = Part(recording.launched, recording.ended, recording.failed, recording.latencies(since))
        since = part.ended
        await events.sock_sendall(connection, messages.pack(part))
    ended.result()


def _set(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _broken(ended: asyncio.Future[None], loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # What goes wrong in a callback would only be printed, and the answers waited for for ever.
    if not ended.done():
        ended.set_exception(context.get("exception") or RuntimeError(context["message"]))


class _Effort:
    """CPU and wall seconds between two moments."""

    def __init__(self) -> None:
        self._begin = self._end = (0.0, 0.0)

    def begin(self) -> None:
        self._begin = _effort()

    def end(self) -> None:
        self._end = _effort()

    def used(self, seconds: float) -> tuple[float, float]:
        """Give those of so many seconds, at least: one that has been answered everything before their end is at rest."""
        begin, end = self._begin, self._end if self._end > self._begin else _effort()
        return (end[0] - begin[0], max(end[1] - begin[1], seconds)) if begin[1] else (0.0, seconds)


def _effort() -> tuple[float, float]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, perf_counter()
