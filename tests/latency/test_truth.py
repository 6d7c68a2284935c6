"""The generator measures right: servers whose percentiles are known by analysis, a hundred runs each, in simulated time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import simulated
from simulated import Serve

from deploy_latency.load import Load
from deploy_latency.percentiles import felt, percentiles
from deploy_latency.samples import Samples
from deploy_latency.schedules import Constant, Poisson

RUNS = 100
STALL, PERIOD, DELAY = 2.0, 10.0, 0.01


@dataclass(frozen=True)
class Case:
    serve: Callable[[int], Serve]  # seed → server
    rate: float
    seconds: float
    truth: Mapping[float, float]


def _even(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


SERVICE = 0.005
_SPARE = 1 / SERVICE - 100  # the sojourn time of an M/M/1 queue is exponential at this rate
CASES = {
    "constant to a microsecond": Case(
        lambda seed: simulated.two_kinds(0.0, (DELAY, DELAY + 1e-6), (0, 0), seed),
        100,
        10,
        {q: _even(DELAY, DELAY + 1e-6, q / 100) for q in (50, 90, 99)},
    ),
    "bimodal": Case(
        lambda seed: simulated.two_kinds(0.2, (0.004, 0.006), (0.04, 0.06), seed),
        150,
        10,
        {50: _even(0.004, 0.006, 0.5 / 0.8), 90: _even(0.04, 0.06, 0.1 / 0.2), 99: _even(0.04, 0.06, 0.19 / 0.2)},
    ),
    "one slow in a thousand": Case(
        lambda seed: simulated.two_kinds(0.001, (0.004, 0.006), (0.4, 0.6), seed),
        600,
        10,
        {50: _even(0.004, 0.006, 0.5 / 0.999), 99: _even(0.004, 0.006, 0.99 / 0.999), 99.9: 0.006},
    ),
    "a stall of 2 s each 10 s": Case(
        lambda seed: simulated.stalling((DELAY - 1e-3, DELAY + 1e-3), STALL, PERIOD, seed),
        20,
        200,
        # Whoever comes t seconds after a stall began waits 2 - t: a fifth of all, evenly; the rest is the delay.
        {50: _even(DELAY - 1e-3, DELAY + 1e-3, 0.5 / 0.8), 90: DELAY + STALL / 2, 99: DELAY + 0.95 * STALL},
    ),
    "one after the other": Case(
        lambda seed: simulated.queueing(SERVICE, seed),
        100,
        30,
        {q: -math.log(1 - q / 100) / _SPARE for q in (50, 90, 99)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_percentiles_lie_in_their_intervals(name: str) -> None:
    case = CASES[name]
    held, told = dict.fromkeys(case.truth, 0), 0
    for seed in range(RUNS):
        load = Load(Poisson(case.rate), seconds=case.seconds, warmup=1.0, seed=seed)
        found = percentiles(simulated.recorded(load, case.serve(seed)).samples, tuple(case.truth), confidence=0.99)
        for (q, truth), estimate in zip(case.truth.items(), found.values(), strict=True):
            low, high = estimate.low or 0.0, math.inf if estimate.high is None else estimate.high
            held[q] += low <= truth <= high
            told += q <= 90 and high - low < truth
    assert min(held.values()) >= 95, held
    assert told >= 0.95 * RUNS * sum(q <= 90 for q in case.truth), "intervals so wide that they tell nothing"


def test_a_stall_is_in_the_open_loop_and_vanishes_from_the_closed_one() -> None:
    """What docs/latency.md shows: 100 requests a second against a single caller who waits, 100 s of the same server."""
    server = simulated.stalling((0.002, 0.002), STALL, PERIOD, 0)
    opened = simulated.recorded(Load(Constant(100), seconds=100), server).samples
    closed = simulated.recorded(Load(concurrency=1, seconds=100), server).samples
    shown = {name: _shown(samples) for name, samples in {"open": opened, "closed": closed}.items()}
    assert shown["open"] == pytest.approx([0.002, 1.002, 1.902, 1.992], abs=0.02)
    assert shown["closed"] == pytest.approx([0.002] * 4, abs=0.0001)
    assert (felt(closed) > 1).sum() == 10  # each stall once


def _shown(samples: Samples) -> list[float]:
    return [float(np.quantile(felt(samples), q, method="inverted_cdf")) for q in (0.5, 0.9, 0.99, 0.999)]


def test_a_stall_is_seen_through_few_connections_too() -> None:
    load = Load(Constant(100), seconds=100, connections=8)
    samples = simulated.recorded(load, simulated.stalling((DELAY, DELAY), STALL, PERIOD, 0), connections=8).samples
    assert np.quantile(samples.latency, 0.9) == pytest.approx(
        1.1, abs=0.1
    )  # what waited then comes through eight at once
    sent = samples.done - samples.sent  # what a tool says that counts from the sending
    assert np.quantile(sent, 0.9) == pytest.approx(DELAY)
