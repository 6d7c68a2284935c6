"""What the generator says of itself: who was limited, it or the server."""

from __future__ import annotations

import numpy as np
import pytest
import simulated
from simulated import Serve

from deploy_core.endpoint import Endpoint
from deploy_core.errors import UsageError
from deploy_dialects.wire import RpcRequest
from deploy_latency import measuring
from deploy_latency.load import Load, Target
from deploy_latency.measuring import Run, generator, planned
from deploy_latency.samples import Samples
from deploy_latency.schedules import Constant, Poisson, Ramp, Schedule

REST = Target(Endpoint.parse("oip+rest://127.0.0.1:1/m"), (RpcRequest("/x", b""),))
GRPC = Target(Endpoint.parse("oip+grpc://127.0.0.1:1/m"), (RpcRequest("/x", b""),))


def _run(load: Load, serve: Serve, *, connections: float, cpu: float = 1.0) -> Run:
    found = simulated.recorded(load, serve, connections=connections)
    return Run(load, found.samples, found.kept, found.alone, (cpu, 0.2), (load.seconds, load.seconds))


def test_a_run_that_went_well_is_not_limited() -> None:
    load = Load(Poisson(100), seconds=10)
    said = generator(_run(load, simulated.constant(0.01), connections=64))
    assert said.limited == ""
    assert said.workers == 2
    assert said.cpu == pytest.approx(0.1)
    assert said.cpu_per_request == pytest.approx(1.2 / 1000, rel=0.15)
    assert said.lateness_p99 == said.queueing_p99 == 0


def test_a_busy_process_limits() -> None:
    said = generator(_run(Load(Poisson(100), seconds=10), simulated.constant(0.01), connections=64, cpu=9.3))
    assert "busiest process used 93% of a core" in said.limited


@pytest.mark.parametrize(("late", "delay", "limited"), [(3e-3, 5e-3, True), (3e-3, 0.1, False), (0.5e-3, 1e-3, False)])
def test_late_requests_limit_if_they_matter(late: float, delay: float, limited: bool) -> None:
    run = _run(Load(Poisson(100), seconds=10), simulated.constant(delay), connections=64)
    was = run.samples
    moved = Samples(was.intended, was.fired + late, was.sent + late, was.done + late, was.failure, was.request)
    said = generator(Run(run.load, moved, (), run.alone, run.cpu, run.wall))
    assert said.lateness_p99 == pytest.approx(late)
    assert ("left 3.0 ms late at p99" in said.limited) is limited


def test_too_few_connections_limit() -> None:
    # 4 connections carry 40 requests a second of this server, which could take any number.
    load = Load(Poisson(60), seconds=10, warmup=1, timeout=100, connections=4)
    said = generator(_run(load, simulated.constant(0.1), connections=4))
    assert "for one of 4 connections" in said.limited


@pytest.mark.parametrize(
    "serve",
    [simulated.queueing(0.02, 0), simulated.stalling((0.005, 0.005), 2, 10, 0)],
    ids=["one after the other", "stall"],
)
def test_a_server_that_is_slow_itself_limits_nobody_but_itself(serve: Serve) -> None:
    load = Load(Poisson(60), seconds=20, warmup=1, timeout=100, connections=4)
    said = generator(_run(load, serve, connections=4))
    assert said.queueing_p99 > 0.1
    assert said.limited == ""


def test_requests_that_were_never_sent_limit_nobody_where_the_server_is_dead() -> None:
    load = Load(Poisson(60), seconds=5, warmup=1, timeout=1, connections=4)
    said = generator(_run(load, lambda now: np.inf, connections=4))
    assert said.limited == ""


def test_no_requests_at_all_are_no_division_by_zero() -> None:
    said = generator(_run(Load(Poisson(1e-9), warmup=0), simulated.constant(0.1), connections=4))
    assert said.limited == ""


@pytest.mark.parametrize(
    ("target", "schedule", "cores", "workers"),
    [
        (REST, Poisson(1000), 8, 1),
        (REST, Constant(20_000), 8, 3),
        (GRPC, Constant(10_000), 8, 4),
        (GRPC, Constant(10_000), 3, 2),  # a core is left to the server
        (GRPC, Constant(10_000), 1, 1),
        (REST, Ramp(1, 20_000), 8, 3),
    ],
)
def test_the_number_of_workers_follows_from_rate_and_cores(
    target: Target, schedule: Schedule, cores: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "cores", lambda: cores)
    assert planned(target, Load(schedule, workers=0)).workers == workers


def test_each_worker_has_something_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "cores", lambda: 16)
    assert planned(REST, Load(concurrency=2, workers=8)).workers == 2
    assert planned(REST, Load(Poisson(9), workers=8, connections=3)).workers == 3
    assert planned(REST, Load(concurrency=200, connections=200, workers=0)).workers == 4


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (Load(), "either a schedule or a concurrency"),
        (Load(Poisson(1), concurrency=1), "either a schedule or a concurrency"),
        (Load(Poisson(1), seconds=0), "seconds is 0"),
        (Load(Poisson(1), timeout=-1), "timeout is -1"),
        (Load(Poisson(1), connections=-1), "connections -1"),
        (Load(Poisson(1), warmup=-1), "warmup -1"),
    ],
)
def test_loads_that_are_none_are_refused(load: Load, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        planned(REST, load)
    with pytest.raises(UsageError, match="no requests for"):
        planned(Target(REST.endpoint, ()), Load(Poisson(1)))
