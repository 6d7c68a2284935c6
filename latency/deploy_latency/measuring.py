"""Sends a load to a target, and says how well it was sent: a run that the generator itself limited is called that."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from deploy_core.errors import UsageError
from deploy_latency import recording, workers
from deploy_latency.load import Load, Target, arrivals
from deploy_latency.recording import Kept
from deploy_latency.report import Generator
from deploy_latency.samples import Samples, Seconds
from deploy_latency.schedules import peak
from deploy_latency.workers import Progress

BUSY = 0.85  # of a core: beyond, a process has no time left to be punctual
LATE = 1e-3  # seconds: less is nobody's concern …
SHARE = 0.1  # … and so is less than this share of the median latency
HELD = 2.0  # a server that holds connections longer than so many times what it does alone is busy itself
_COST = {"rest": 60e-6, "grpc": 200e-6}  # CPU seconds a request
_LOADED = 0.5  # of a core, that one process is planned to use
_CONNECTIONS = 64
_MULTIPLEXED = 8  # connections of gRPC, each of which carries many calls at once
_EACH = 64  # calls under way for each process of a closed loop


@dataclass(frozen=True)
class Run:
    """What was measured, warm-up apart: samples, some whole answers, and the CPU and wall seconds of each process.

    `alone` has the seconds from sending to answer of calls that found none other under way, those of the warm-up, too.
    `timed` are answers, without bodies, that tell the server's own times.
    """

    load: Load
    samples: Samples
    kept: tuple[Kept, ...]
    alone: Seconds
    cpu: tuple[float, ...]
    wall: tuple[float, ...]
    timed: tuple[Kept, ...] = ()


def measure(target: Target, load: Load, *, on_progress: Callable[[Progress], None] = lambda progress: None) -> Run:
    """Send a load and wait for its end; `on_progress` is called a few times a second.

    With `load.workers` 0 their number follows from the load and this machine's cores. Raises UsageError for a load that is
    none, EndpointError for a server that cannot be reached, DeployError if a process of the generator died.
    """
    load = planned(target, load)
    done = workers.run(target, load, on_progress)
    whole = recording.joined([one.recorded for one in done])
    cpu, wall = tuple(one.cpu for one in done), tuple(one.wall for one in done)
    return Run(load, whole.samples, whole.kept, whole.alone, cpu, wall, whole.timed)


def planned(target: Target, load: Load) -> Load:
    """Give the load as it will be sent: with numbers of connections and workers, where these are 0. Raises UsageError."""
    _check(target, load)
    load = replace(load, connections=load.connections or _connections(target, load))
    wanted = load.workers or min(_wanted(target, load), max(1, cores() - 1))
    return replace(load, workers=min(wanted, load.connections, load.concurrency or wanted))


def cores() -> int:
    """Give how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _connections(target: Target, load: Load) -> int:
    return _MULTIPLEXED if target.endpoint.transport == "grpc" else max(_CONNECTIONS, load.concurrency)


def _wanted(target: Target, load: Load) -> int:
    if load.schedule is None:
        return math.ceil(load.concurrency / _EACH)
    return math.ceil(peak(arrivals(load)) * _COST[target.endpoint.transport] / _LOADED) or 1


def _check(target: Target, load: Load) -> None:
    if (load.schedule is None) == (load.concurrency < 1):
        raise UsageError("a load has either a schedule or a concurrency", hint="give one of them")
    numbers = {"seconds": load.seconds, "timeout": load.timeout}
    for name, value in numbers.items():
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"{name} is {value:g}", hint="it has to be more than 0")
    counts = {name: getattr(load, name) for name in ("warmup", "connections", "workers", "keep")}
    if min(counts.values()) < 0:
        told = ", ".join(f"{name} {value:g}" for name, value in counts.items())
        raise UsageError(told, hint="none may be negative")
    if not target.requests:
        raise UsageError(f"no requests for {target.endpoint}", hint="give at least one")


def generator(run: Run) -> Generator:
    """Say how the generator did.

    `limited` names each of these that holds: a process used more than 85 % of a core; requests left late, by more than 1 ms
    and a tenth of the median latency at p99; requests waited that long for a connection although the server answered those
    that held one about as fast as a request that it has to itself, and so was not what they waited for.
    """
    samples = run.samples
    busiest = max(cpu / wall if wall > 0 else 0.0 for cpu, wall in zip(run.cpu, run.wall, strict=True))
    late, queued = _p99(samples.fired - samples.intended), _p99(_queueing(samples))
    good = samples.latency[samples.ok]
    matters = max(LATE, SHARE * float(np.median(good))) if len(good) else LATE
    reasons = []
    if busiest > BUSY:
        reasons.append(f"its busiest process used {busiest:.0%} of a core (more workers may help)")
    if late > matters:
        reasons.append(f"requests left {_ms(late)} late at p99")
    if queued > matters and _idle(run):
        reasons.append(
            f"requests waited {_ms(queued)} at p99 for one of {run.load.connections} connections, while the server answered "
            f"as fast as ever (more connections may help)"
        )
    limited = f"limited by the generator: {'; '.join(reasons)}" if reasons else ""
    each = sum(run.cpu) / len(samples) if len(samples) else 0.0
    return Generator(len(run.cpu), each, busiest, late, queued, limited)


def _queueing(samples: Samples) -> Seconds:
    # One that was never sent has waited until it was given up; when that was is as good as for ever.
    return samples.sent - samples.fired


def _p99(values: Seconds) -> float:
    return float(np.quantile(values, 0.99, method="inverted_cdf")) if len(values) else 0.0


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if math.isfinite(seconds) else "for ever"


def _idle(run: Run) -> bool:
    """Tell whether the calls that held the connections, whenever one had to wait, took hardly longer than one alone."""
    samples = run.samples
    waited = samples.fired[_queueing(samples) > LATE]
    held = np.isfinite(samples.sent) & np.isfinite(samples.done)
    if not len(waited) or not len(run.alone):
        return False
    sent, done, service = samples.sent[held], samples.done[held], (samples.done - samples.sent)[held]
    total = _until(sent, service, waited) - _until(done, service, waited)
    count = _until(sent, np.ones_like(sent), waited) - _until(done, np.ones_like(done), waited)
    busy = count > 0
    return bool(busy.any() and np.mean(total[busy] / count[busy]) <= HELD * float(np.median(run.alone)))


def _until(times: Seconds, values: Seconds, moments: Seconds) -> Seconds:
    """Give for each moment the sum of the values whose time has come."""
    order = np.argsort(times)
    sums: Seconds = np.concatenate([[0.0], np.cumsum(values[order])])
    return sums[np.searchsorted(times[order], moments, side="right")]
