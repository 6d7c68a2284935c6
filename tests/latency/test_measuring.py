"""Real runs: real processes, real connections, a real server with planted delays."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from random import Random

import numpy as np
import planted
import psutil
import pytest
from planted import Delay, Planted

from deploy_core.endpoint import Endpoint
from deploy_core.errors import DeployError, EndpointError
from deploy_dialects.wire import HttpRequest, RpcRequest
from deploy_latency.load import Load, Target
from deploy_latency.measuring import Progress, generator, measure
from deploy_latency.percentiles import felt
from deploy_latency.schedules import Constant, Poisson

FAST, SLOW = 0.1, 0.4
BODY = b'{"inputs":[]}'


def _rest(port: int) -> Target:
    request = HttpRequest("POST", "/v2/models/m/infer", {"content-type": "application/json"}, BODY)
    return Target(Endpoint.parse(f"oip+rest://127.0.0.1:{port}/m"), (request,) * 3)


def _rpc(port: int) -> Target:
    request = RpcRequest("/inference.GRPCInferenceService/ModelInfer", b"\x0a\x01m")
    return Target(Endpoint.parse(f"oip+grpc://127.0.0.1:{port}/m"), (request,) * 3)


@pytest.fixture
def quick() -> Iterator[Target]:
    with planted.rest(lambda now: 0.001) as server:
        yield _rest(server.http)


@pytest.mark.parametrize(
    ("serving", "target"),
    [
        pytest.param(planted.rest, lambda server: _rest(server.http), id="rest"),
        pytest.param(planted.rpc, lambda server: _rpc(server.grpc), id="grpc"),
    ],
)
def test_planted_delays_are_measured(
    serving: Callable[[Delay], AbstractContextManager[Planted]], target: Callable[[Planted], Target]
) -> None:
    draw = Random(1)
    with serving(lambda now: SLOW if draw.random() < 0.2 else FAST) as server:
        load = Load(Poisson(100), seconds=3, warmup=0.5, workers=2, keep=50, connections=64)
        told: list[Progress] = []
        run = measure(target(server), load, on_progress=told.append)
    samples = run.samples
    assert samples.ok.all(), samples.failures
    assert len(samples) == pytest.approx(300, abs=90)
    for q in (0.5, 0.9):
        truth = np.quantile(server.took, q)
        assert np.quantile(felt(samples), q) == pytest.approx(truth, rel=0.06)
    assert np.quantile(samples.latency, 0.5) == pytest.approx(FAST, rel=0.1)
    assert np.quantile(samples.latency, 0.95) == pytest.approx(SLOW, rel=0.06)
    assert len(run.kept) == 50
    assert {one.body for one in run.kept} <= {b"{}", b"\x0a\x01m"}
    assert len(run.cpu) == len(run.wall) == 2
    assert all(2.9 < wall < 4 for wall in run.wall)
    assert 0 < generator(run).cpu < 0.5
    assert told[0].elapsed < 0 < told[-1].elapsed
    assert told[-1].ended == len(samples)
    assert sum(len(one.recent) for one in told) == len(samples)


def test_a_real_stall_is_measured_as_its_callers_feel_it() -> None:
    """A server that is deaf for the first of every three seconds."""
    with planted.rest(lambda now: max(0.0, 1.0 - now % 3.0) + 0.01) as server:
        opened = measure(_rest(server.http), Load(Constant(100), seconds=3, warmup=0, connections=8)).samples
        closed = measure(_rest(server.http), Load(concurrency=1, seconds=3, warmup=0, connections=1)).samples
    # Whoever comes t after the stall began waits 1 - t: p80 is 0.4 s; what waited goes through 8 connections then.
    assert 0.38 < np.quantile(felt(opened), 0.8) < 0.65
    assert np.quantile(felt(closed), 0.95) < 0.1
    assert felt(closed).max() > 0.3


def test_a_closed_loop_is_measured(quick: Target) -> None:
    run = measure(quick, Load(concurrency=4, seconds=1, warmup=0.2, workers=2))
    samples = run.samples
    assert samples.ok.all()
    assert len(samples) > 100
    assert samples.intended[0] >= 0
    assert samples.intended[-1] < 1
    assert set(samples.request) == {0, 1, 2}


def _processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "deploy_latency.worker" in child.cmdline()]


def test_a_worker_that_dies_is_told_and_the_others_end(quick: Target) -> None:
    def kill(progress: Progress) -> None:
        found = _processes()
        assert len(found) == 2
        found[0].kill()

    with pytest.raises(DeployError, match="a process of the load generator was killed by SIGKILL"):
        measure(quick, Load(Constant(50), seconds=30, workers=2), on_progress=kill)
    assert not _processes()


def test_ctrl_c_leaves_nothing(quick: Target) -> None:
    def press(progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        measure(quick, Load(Constant(50), seconds=30, workers=2), on_progress=press)
    assert not _processes()


def test_a_server_that_is_not_there_is_told() -> None:
    with planted.rest(lambda now: 0.0) as server:
        port = server.http
    with pytest.raises(EndpointError, match=rf"127\.0\.0\.1:{port}"):
        measure(_rest(port), Load(Constant(50), seconds=1, workers=2))
    assert not _processes()


class Own:
    """A schedule of a user's own, which no other process can import."""

    def times(self, seconds: float, seed: int) -> np.ndarray:
        return np.arange(0, seconds, 0.02)


def test_a_schedule_of_ones_own(quick: Target) -> None:
    samples = measure(quick, Load(Own(), seconds=0.5, warmup=0, workers=2)).samples
    assert samples.intended == pytest.approx(np.arange(0, 0.5, 0.02))


def test_a_worker_with_nothing_to_do_is_at_rest(quick: Target) -> None:
    run = measure(quick, Load(Constant(2), seconds=0.4, warmup=0, workers=3))
    assert len(run.samples) == 1
    assert generator(run).cpu < 0.5
