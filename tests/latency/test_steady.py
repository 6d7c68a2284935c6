from __future__ import annotations

import math

import numpy as np
import pytest
from queues import queue, samples

from deploy_latency.steady import growing, steady_from


def test_a_warm_up_is_cut_off_where_it_ends() -> None:
    draw, found = np.random.default_rng(0), []
    for _ in range(50):
        latency = draw.exponential(0.001, 5000) * np.where(np.arange(5000) < 1000, 3, 1)
        found.append(steady_from(samples(latency)))
    assert None not in found
    assert np.percentile(np.array(found, float), [5, 95]) == pytest.approx([1.0, 1.0], abs=0.05)


def test_a_warm_up_that_fades_is_cut_off_when_little_is_left() -> None:
    draw = np.random.default_rng(1)
    fading = 5 * np.exp(-np.arange(10_000) / 500)
    found = [steady_from(samples(draw.exponential(1, 10_000) + fading)) for _ in range(30)]
    assert all(each is not None and 0.9 < each < 2 for each in found)


@pytest.mark.parametrize("busy", [0.1, 0.5, 0.8])
def test_a_queue_that_keeps_up_is_steady_from_near_the_start(busy: float) -> None:
    draw = np.random.default_rng(2)
    runs = [queue(10_000, busy, draw) for _ in range(40)]
    shares = [(steady_from(run), run.intended[-1]) for run in runs]
    assert sum(begin is not None and begin < 0.2 * end for begin, end in shares) >= 34
    assert not any(growing(run) for run in runs)


@pytest.mark.parametrize("busy", [1.1, 1.5, 3])
def test_a_queue_that_does_not_keep_up_grows_and_is_never_steady(busy: float) -> None:
    draw = np.random.default_rng(3)
    runs = [queue(5000, busy, draw) for _ in range(30)]
    assert sum(growing(run) for run in runs) >= 29
    assert sum(steady_from(run) is None for run in runs) >= 29


def test_an_overload_that_ends_in_timeouts_grows() -> None:
    latency = 0.001 + np.arange(10_000) * 0.002
    latency[latency > 10] = math.inf
    assert growing(samples(latency))
    assert steady_from(samples(latency)) is None


def test_a_stall_or_a_dead_server_is_no_trend() -> None:
    latency = np.random.default_rng(4).exponential(0.001, 10_000)
    latency[7000:7200] += 2.0
    assert not growing(samples(latency))
    assert steady_from(samples(latency)) == 0
    assert not growing(samples(np.full(1000, math.inf)))
    assert not growing(samples(np.full(1000, 0.001)))
    assert steady_from(samples(np.full(1000, 0.001))) == 0


def test_a_small_slope_is_no_overload() -> None:
    # It warms: 10 % over the run, and perfectly in order.
    assert not growing(samples(np.linspace(0.001, 0.0011, 5000)))


def test_what_changes_in_the_last_half_was_never_steady() -> None:
    draw = np.random.default_rng(5)
    latency = draw.exponential(0.001, 5000) * np.where(np.arange(5000) < 3500, 1, 30)
    assert steady_from(samples(latency)) is None


@pytest.mark.parametrize("n", [0, 1, 5, 49])
def test_too_few_requests_tell_nothing(n: int) -> None:
    assert steady_from(samples(np.full(n, 0.001))) is None
    assert not growing(samples(np.full(n, 0.001)))
