"""Starts, and rounds in which everybody has a turn with everything, in an order that is drawn anew each time."""

from __future__ import annotations

import math
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.serving import tools
from benchmarks.serving.environments import python_of
from benchmarks.serving.peers import Peer
from benchmarks.serving.records import Records
from benchmarks.serving.running import Asked, Up, up
from deploy_core.errors import DeployError
from deploy_latency import measuring
from deploy_latency.load import Load
from deploy_latency.percentiles import felt, rate
from deploy_latency.schedules import Poisson

OPEN = 0  # as a concurrency: an open loop
OURS = "ours"
_BUSY = 0.85  # of a core
_SHARE = 0.5  # of what the slowest answers in a closed loop of 8: what all can hold
_PROBE = 1.0  # seconds
_KEEP = 40  # answers of each run that are looked at


@dataclass(frozen=True)
class Plan:
    """How much is measured: each of `concurrencies` by each tool, and an open loop, in so many rounds of `seconds`."""

    models: tuple[str, ...]
    concurrencies: tuple[int, ...]
    rounds: int
    seconds: int
    starts: int

    def settings(self, peers: Iterable[Peer]) -> dict[str, Any]:
        """Give what a run that goes on has to have in common with its beginning."""
        sizes = {"concurrencies": list(self.concurrencies), "rounds": self.rounds, "seconds": self.seconds}
        return {**sizes, "starts": self.starts, "models": list(self.models), "peers": [peer.name for peer in peers]}


@dataclass(frozen=True)
class Step:
    """One turn."""

    model: str
    peer: str
    way: str
    tool: str
    concurrency: int
    round: int

    def key(self) -> dict[str, Any]:
        """Give what tells it from others."""
        return {"kind": "run", **self.__dict__}


def steps(
    model: str, peers: Iterable[Peer], plan: Plan, number: int, tool_of: Callable[[str], str | None]
) -> list[Step]:
    """Give the turns of a round, in a random order that is the same for the same round."""
    found = []
    for peer in peers:
        for way in peer.ways:
            tool = tool_of("grpc" if way == "gRPC" else "rest")
            for concurrency in plan.concurrencies:
                by = (OURS, tool) if tool else (OURS,)
                found += [Step(model, peer.name, way, each, concurrency, number) for each in by]
            found.append(Step(model, peer.name, way, OURS, OPEN, number))
    order = np.random.default_rng(number).permutation(len(found))
    return [found[at] for at in order]


def measure(model: str, peers: Sequence[Peer], plan: Plan, records: Records, store: Path, environments: Path) -> None:
    """Measure everything of one model that is not in the records yet; a server that does not start is told there."""
    waiting = [
        step
        for number in range(plan.rounds)
        for step in steps(model, peers, plan, number, tools.tool_for)
        if not records.has(step.key())
    ]
    if not waiting:
        return
    for peer in peers:  # before anybody runs, whom an installation would slow down
        if peer.packages:
            python_of(peer.name, peer.packages, environments)
    _starts(model, peers, plan, records, store, environments)
    with ExitStack() as stack:
        found = dict(_all_up(stack, model, peers, store, environments, records))
        speed = _speed(model, found, records)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deploy-")))
        for at, step in enumerate(waiting):
            if step.peer in found:
                _say(f"{at + 1} of {len(waiting)}: {' '.join(map(str, step.__dict__.values()))}")
                records.add({**step.key(), **_turn(found[step.peer], step, plan, speed, folder)})


def _starts(model: str, peers: Sequence[Peer], plan: Plan, records: Records, store: Path, environments: Path) -> None:
    """Start everybody a few times, one at a time, and note how long it took. The last start is the one that stays up."""
    for number in range(1, plan.starts):
        for at in np.random.default_rng(number).permutation(len(peers)):
            key = {"kind": "start", "model": model, "peer": peers[at].name, "round": number}
            if not records.has(key):
                _say(f"start {number} of {peers[at].name}")
                records.add({**key, **_start(peers[at], model, store, environments)})


def _start(peer: Peer, model: str, store: Path, environments: Path) -> dict[str, Any]:
    """Start a server and stop it."""
    try:
        with up(peer, model, store, environments) as running:
            return {"seconds": running.start}
    except DeployError as error:
        return {"error": str(error)}


def _all_up(
    stack: ExitStack, model: str, peers: Sequence[Peer], store: Path, environments: Path, records: Records
) -> Iterator[tuple[str, Up]]:
    for peer in peers:
        key = {"kind": "start", "model": model, "peer": peer.name, "round": 0}
        _say(f"starting {peer.name}")
        try:
            running = stack.enter_context(up(peer, model, store, environments))
        except DeployError as error:
            _say(f"{peer.name} is left out: {error} – {error.hint}")
            records.add({**key, "error": str(error)})
            continue
        if not records.has(key):
            records.add({**key, "seconds": running.start})
        yield peer.name, running


def _speed(model: str, found: Mapping[str, Up], records: Records) -> float:
    """Give the rate of the open loop: what all can hold. Everybody is warm after it."""
    rates = []
    for running in found.values():
        for asked in running.asked.values():
            run = measuring.measure(
                asked.target, Load(concurrency=8, connections=8, seconds=_PROBE, warmup=0.2, keep=0)
            )
            rates.append(rate(run.samples, _PROBE).value or 0.0)
    if known := records.of(kind="speed", model=model):
        return float(known[0]["rate"])
    speed = rounded(min(rates, default=1.0) * _SHARE)
    records.add({"kind": "speed", "model": model, "rate": speed})
    return speed


def rounded(value: float) -> float:
    """Round down to one digit or 1.5, 2.5: nobody needs to remember 173."""
    if value < 1:
        return 1.0
    scale = 10 ** math.floor(math.log10(value))
    return float(max(step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9) if step * scale <= value) * scale)


def _turn(running: Up, step: Step, plan: Plan, speed: float, folder: Path) -> dict[str, Any]:
    asked = running.asked[step.way]
    before = running.use()
    figures = _by_us(asked, step, plan, speed) if step.tool == OURS else _by_tool(asked, step, plan, folder)
    after = running.use()
    requests = figures["requests"]
    figures["server_cpu"] = (after.cpu - before.cpu) / requests if requests else None
    return {**figures, "memory": after.memory}


def _by_us(asked: Asked, step: Step, plan: Plan, speed: float) -> dict[str, Any]:
    """Measure by our generator, without a warm-up: the server's CPU is counted, too."""
    schedule = Poisson(speed) if step.concurrency == OPEN else None
    load = Load(
        schedule,
        step.concurrency,
        seconds=float(plan.seconds),
        warmup=0.0,
        connections=step.concurrency or 64,
        keep=_KEEP,
        seed=step.round,
    )
    run = measuring.measure(asked.target, load)
    values = felt(run.samples)
    generator = measuring.generator(run)
    wrong = [why for kept in run.kept if (why := asked.wrong(kept))]
    return {
        "requests": len(run.samples),
        "failed": int((~run.samples.ok).sum()),
        "checked": len(run.kept),
        "wrong": len(wrong),
        "why": wrong[0][:200] if wrong else _first_failure(run.samples),
        "rate": rate(run.samples, plan.seconds).value,
        "p50": _at(values, 0.5),
        "p99": _at(values, 0.99),
        "limited": generator.limited,
        "generator_cpu": generator.cpu_per_request,
    }


def _first_failure(samples: Any) -> str:
    return next((text for text in samples.failures if text), "")


def _by_tool(asked: Asked, step: Step, plan: Plan, folder: Path) -> dict[str, Any]:
    began, before = time.monotonic(), _children_cpu()
    try:
        told = tools.run(asked.target, step.concurrency, plan.seconds, folder)
    except tools.UnreadableError as error:  # a figure is missing, and the page says so; the others go on
        return {"requests": 0, "failed": 1, "why": str(error), "rate": None, "p50": None, "p99": None}
    used = (_children_cpu() - before) / (time.monotonic() - began)
    limited = f"{step.tool} used {used:.0%} of a core" if used > _BUSY else ""
    return {**told.__dict__, "limited": limited}


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _at(values: Any, q: float) -> float | None:
    found = float(np.quantile(values, q, method="inverted_cdf")) if len(values) else math.inf
    return found if math.isfinite(found) else None


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
