from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from queues import queue, queue_percentile, samples

from deploy_latency import binomial
from deploy_latency.correlation import inflation, neighbours
from deploy_latency.over_time import joined
from deploy_latency.percentiles import errors, estimate, felt, figure, mean, needed, percentiles, rate
from deploy_latency.samples import Samples


@pytest.mark.parametrize(
    ("q", "confidence", "n"),
    [
        (50, 0.95, 6),
        (90, 0.95, 36),
        (95, 0.95, 72),
        (99, 0.95, 368),
        (99.9, 0.95, 3688),
        (99, 0.99, 528),
        (1, 0.95, 368),
    ],
)
def test_an_interval_takes_as_many_samples_as_the_formula_says(q: float, confidence: float, n: int) -> None:
    values = np.random.default_rng(1).permutation(n) / 1000
    assert needed(q, confidence) == n
    assert estimate(values, q, confidence=confidence).sure
    fewer = estimate(values[1:], q, confidence=confidence)
    assert not fewer.sure
    assert fewer.value is not None
    assert (fewer.n, fewer.needs) == (n - 1, n)


@pytest.mark.parametrize("n", [1, 6, 59, 368, 1000, 20_000])
@pytest.mark.parametrize("q", [1, 50, 90, 99, 99.9])
def test_ranks_are_those_of_the_binomial_distribution_summed_by_hand(n: int, q: float) -> None:
    p, tail = q / 100, 0.025
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(n + 1)]
    each = [math.exp(log + k * math.log(p) + (n - k) * math.log1p(-p)) for k, log in enumerate(logs)]
    below = np.cumsum(each)
    low, high = binomial.ranks(n, q, 0.95)
    assert low == 0 or below[low - 1] <= tail
    assert below[low] > tail
    assert below[high - 1] >= 1 - tail if high <= n else below[n - 1] < 1 - tail
    assert high < 2 or below[high - 2] < 1 - tail


def test_known_ranks_and_shares() -> None:
    # From tables: a median of 100 has the 40th and the 61st; 3 of 3,688 and 0 of 100 by Clopper and Pearson.
    assert binomial.ranks(100, 50, 0.95) == (40, 61)
    assert binomial.share(0, 100, 0.95) == pytest.approx((0, 1 - 0.025 ** (1 / 100)), abs=1e-12)
    assert binomial.share(10, 100, 0.95) == pytest.approx((0.0490047, 0.1762226), abs=1e-6)
    assert binomial.share(100, 100, 0.95) == pytest.approx((0.025 ** (1 / 100), 1), abs=1e-12)
    assert binomial.student(0.95, 19) == pytest.approx(2.0930, abs=1e-4)
    assert binomial.student(0.99, 9) == pytest.approx(3.2498, abs=1e-3)


def test_a_percentile_is_a_sample_not_a_value_between_two() -> None:
    values = np.random.default_rng(0).permutation(np.arange(1, 1001)) * 1.0
    assert [estimate(values, q).value for q in (0.1, 50, 99, 99.9)] == [1, 500, 990, 999]


@pytest.mark.parametrize("n", [400, 4000])
@pytest.mark.parametrize("q", [50, 90, 99])
def test_intervals_of_independent_requests_hold_the_truth(n: int, q: float) -> None:
    draw = np.random.default_rng([n, int(q)])
    found = [estimate(draw.exponential(size=n), q) for _ in range(300)]
    truth = -math.log(1 - q / 100)
    sure = [each for each in found if each.sure]
    assert len(sure) >= 290
    # 95 of 100, less three standard errors of 300 runs.
    assert np.mean([each.low <= truth <= each.high for each in sure]) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)


def test_independent_requests_are_not_taken_for_alike() -> None:
    draw = np.random.default_rng(3)
    assert np.mean([estimate(draw.exponential(size=368), 99).needs == 368 for _ in range(300)]) >= 0.95


@pytest.mark.parametrize(("busy", "n", "q"), [(0.5, 5000, 50), (0.5, 20_000, 99), (0.8, 10_000, 50), (0.8, 10_000, 90)])
def test_intervals_hold_the_truth_of_a_queue_where_plain_ones_do_not(busy: float, n: int, q: float) -> None:
    draw, truth, runs = np.random.default_rng(4), queue_percentile(q, busy), 120
    held = plain = wrong = 0
    low, high = binomial.ranks(n, q, 0.95)
    for _ in range(runs):
        values = felt(queue(n, busy, draw))
        ordered, found = np.sort(values), estimate(values, q)
        plain += ordered[low - 1] <= truth <= ordered[high - 1]
        held += found.sure and found.low <= truth <= found.high
        wrong += found.sure and not found.low <= truth <= found.high
        assert found.needs > needed(q)
    assert held >= 0.9 * runs
    assert wrong <= 0.11 * runs  # 5 in 100, and three standard errors
    assert plain < 0.75 * runs


def test_neighbours_of_a_queue_leave_too_little_for_a_high_percentile() -> None:
    busy = percentiles(queue(2000, 0.9, np.random.default_rng(5)))
    assert busy["p50"].sure
    assert not busy["p99"].sure
    assert busy["p99"].needs > 2000


def test_slow_drift_is_seen_though_neighbours_differ() -> None:
    draw = np.random.default_rng(6)
    drifting = draw.exponential(size=5000) * np.repeat(draw.uniform(0.7, 1.3, 20), 250)
    assert neighbours(drifting) < 2 / math.sqrt(5000)
    assert estimate(drifting, 50).needs > 2 * needed(50)


def test_inflation_is_that_of_a_process_whose_own_is_known() -> None:
    # Runs of ten equal requests: a share of them varies ten times as much.
    draw = np.random.default_rng(7)
    found = [
        inflation(runs, neighbours(runs * 1.0), 0.95) for runs in np.repeat(draw.random((60, 1000)) < 0.3, 10, axis=1)
    ]
    assert 10 <= np.median(found) <= 20
    assert inflation(np.zeros(100, bool), 0.0, 0.95) == 1


def test_equal_values_are_no_trend() -> None:
    assert neighbours(np.full(1000, 0.001)) == 0
    steady = estimate(np.full(1000, 0.001), 99)
    assert (steady.low, steady.value, steady.high) == (0.001, 0.001, 0.001)


@pytest.mark.parametrize(("failed", "infinite"), [(0, False), (5, False), (50, True)])
def test_requests_that_failed_count_as_infinite(failed: int, infinite: bool) -> None:
    latency = np.full(1000, 0.001)
    latency[np.random.default_rng(8).choice(1000, failed, replace=False)] = math.inf
    found = percentiles(samples(latency))
    assert (found["p99"].value == math.inf) is infinite
    assert found["p50"].value == pytest.approx(0.001)
    assert (found["p99"].high == math.inf) is (failed > 0)
    assert found["p99"].n == 1000


def test_a_fast_refusal_is_no_fast_answer() -> None:
    fast = samples(np.full(500, 0.001))
    refused = replace(fast, failure=np.ones(500, np.int16))
    assert percentiles(refused)["p50"].value == math.inf
    assert mean(refused).value == math.inf


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 19, 39, 41])
def test_few_requests_are_no_error(n: int) -> None:
    few = samples(np.random.default_rng(n).exponential(size=n))
    found = percentiles(few)
    assert list(found) == ["p50", "p90", "p95", "p99", "p99.9"]
    assert all((each.value is None) == (n == 0) and each.n == n for each in found.values())
    assert found["p50"].sure is (n >= 6)
    assert not mean(few).sure or n >= 40
    assert errors(few).n == n
    assert not rate(few, 1.0).sure or n >= 20


def test_the_mean_has_an_interval_that_holds_for_a_queue() -> None:
    draw = np.random.default_rng(9)
    found = [mean(queue(5000, 0.7, draw)) for _ in range(150)]
    truth = 0.001 / 0.3
    assert np.mean([each.low <= truth <= each.high for each in found]) >= 0.9


def test_errors_are_a_share_with_an_interval() -> None:
    draw = np.random.default_rng(10)
    found = [errors(samples(np.where(draw.random(3000) < 0.01, math.inf, 0.001))) for _ in range(300)]
    assert np.mean([each.low <= 0.01 <= each.high for each in found]) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 300)
    none = errors(samples(np.full(3688, 0.001)))
    assert none.value == none.low == 0
    assert none.high == pytest.approx(0.001, rel=1e-3)


def test_failures_in_a_row_say_less_than_failures_here_and_there() -> None:
    row, scattered = np.full(10_000, 0.001), np.full(10_000, 0.001)
    row[4000:4100] = math.inf
    scattered[np.random.default_rng(11).choice(10_000, 100, replace=False)] = math.inf
    assert errors(samples(row)).high > 1.5 * errors(samples(scattered)).high


def _constant(per_second: float, seconds: float, latency: float) -> Samples:
    at = np.arange(int(per_second * seconds)) / per_second
    return samples(np.full(len(at), latency), at)


@pytest.mark.parametrize("latency", [0.0001, 0.01, 0.5])
def test_the_rate_of_a_server_that_keeps_up_is_what_was_offered(latency: float) -> None:
    found = rate(_constant(500, 20, latency), 20)
    assert found.value == pytest.approx(500, rel=2e-3)
    assert found.low <= 500 <= found.high
    assert found.high - found.low < 5


def test_the_rate_of_an_overloaded_server_is_its_own() -> None:
    at = np.arange(10_000) / 500  # 20 s at 500, and it does 400
    assert rate(samples((np.arange(10_000) + 1) / 400 - at, at), 20).value == pytest.approx(400, rel=2e-3)


def test_what_an_overloaded_server_answers_after_a_round_is_not_of_the_next() -> None:
    at = np.arange(2000) / 500  # 4 s at 500, and it does 250
    each = samples((np.arange(2000) + 1) / 250 - at, at)
    assert figure(joined([each] * 5, 4), "rate", 20, rounds=5).value == pytest.approx(250, rel=5e-3)


def test_a_slow_server_has_the_same_rate_in_rounds() -> None:
    each = _constant(500, 2, 0.5)
    found = rate(joined([each] * 10, 2), 20, rounds=10)
    assert found.value == pytest.approx(500, rel=5e-3)
    assert found.high - found.low < 20


def test_a_server_that_falls_silent_has_half_the_rate() -> None:
    half = _constant(500, 20, 0.001)
    latency = np.where(half.intended < 10, 0.001, math.inf)
    found = rate(samples(latency, half.intended), 20)
    assert found.value == pytest.approx(250, rel=5e-3)
    assert rate(samples(np.full(10, math.inf)), 1.0).value == 0


def test_the_rate_of_independent_users_has_an_interval_that_holds() -> None:
    draw, held = np.random.default_rng(12), 0
    for _ in range(200):
        at = np.sort(draw.uniform(0, 20, draw.poisson(4000)))
        found = rate(samples(np.full(len(at), 0.002), at), 20)
        held += found.low <= 200 <= found.high
    assert held >= 0.9 * 200


def test_figures_are_had_by_the_names_of_limits() -> None:
    run = _constant(1000, 4, 0.002)
    assert figure(run, "p99.9", 4) == percentiles(run)["p99.9"]
    assert figure(run, "mean", 4) == mean(run)
    assert figure(run, "errors", 4) == errors(run)
    assert figure(run, "rate", 4) == rate(run, 4)
    assert figure(run, "p97.5", 4).value == pytest.approx(0.002)


def test_the_page_has_the_numbers_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "latency.md").read_text()
    rows = re.findall(r"^\| p([\d.]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", page, re.MULTILINE)
    assert [float(row[0]) for row in rows] == [50, 90, 95, 99, 99.9]
    for q, *numbers in rows:
        at_95, at_99, narrow = (int(number.replace(",", "")) for number in numbers)
        assert (at_95, at_99) == (needed(float(q), 0.95), needed(float(q), 0.99))
        p = float(q) / 100
        assert narrow == pytest.approx(2.5758293**2 * p * (1 - p) / ((1 - p) / 20) ** 2, abs=0.6)
