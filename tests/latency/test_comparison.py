from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from queues import queue, samples

from deploy_core.errors import UsageError
from deploy_latency import baseline, histogram
from deploy_latency.baseline import Baseline
from deploy_latency.comparison import against_baseline, by_round, compared, rounds_needed, verdict
from deploy_latency.estimate import Estimate
from deploy_latency.over_time import joined
from deploy_latency.percentiles import percentiles, rate
from deploy_latency.report import Checked, Generator, Measured
from deploy_latency.samples import Samples

_SECONDS = 1.0


def _rounds(count: int, draw: np.random.Generator, slower: float = 1.0, n: int = 200) -> list[Samples]:
    return [samples(slower * draw.gamma(4, 0.001, n)) for _ in range(count)]


def _pairs(
    count: int, draw: np.random.Generator, slower: float = 1.0, n: int = 200
) -> tuple[list[Samples], list[Samples]]:
    """Rounds of equal servers on a machine that is now faster, now slower by a tenth, for both alike."""
    machine = np.exp(draw.normal(0, 0.1, count))
    return tuple([samples(by * speed * draw.gamma(4, 0.001, n)) for speed in machine] for by in (slower, 1.0))  # type: ignore[return-value]


def test_how_many_rounds_say_anything() -> None:
    # All five on one side happen by chance 2 times in 32, all six 2 in 64.
    assert rounds_needed() == 6
    assert rounds_needed(0.99) == 8
    assert rounds_needed(0.9) == 5


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_rounds_show_no_difference_however_large(count: int) -> None:
    found = compared(*_pairs(count, np.random.default_rng(0), slower=10), "p50", _SECONDS, subject="a", base="b")
    assert found.verdict == "no difference shown"
    assert not found.ratio.sure
    assert (found.ratio.n, found.ratio.needs) == (count, 6)
    assert (found.ratio.value is None) == (count == 0)


@pytest.mark.parametrize(("count", "name"), [(6, "p50"), (10, "p99"), (20, "mean")])
def test_equal_servers_differ_no_more_often_than_said(count: int, name: str) -> None:
    draw = np.random.default_rng([count])
    runs = 200
    told = [compared(*_pairs(count, draw, n=100), name, _SECONDS, seed=seed).verdict for seed in range(runs)]
    wrong = sum(each != "no difference shown" for each in told)
    assert wrong / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


def test_a_difference_of_a_twentieth_is_seen() -> None:
    draw = np.random.default_rng(1)
    slower = [compared(*_pairs(10, draw, 1.05, 1000), "p50", _SECONDS, seed=seed) for seed in range(60)]
    assert sum(each.verdict == "slower" for each in slower) >= 48
    assert not any(each.verdict == "faster" for each in slower)
    assert np.mean([each.ratio.low <= 1.05 <= each.ratio.high for each in slower]) >= 0.9
    faster = compared(*_pairs(10, draw, 1 / 1.2, 1000), "p50", _SECONDS)
    assert faster.verdict == "faster"
    assert faster.ratio.value == pytest.approx(1 / 1.2, rel=0.03)


def test_six_rounds_are_sure_of_no_more_than_what_all_six_say() -> None:
    # Were pairs swapped by coins, the least and the greatest of six are the 95 % interval.
    rounds, base = _pairs(6, np.random.default_rng(16))
    each = [a / b for a, b in zip(*(by_round(side, ("p50",), _SECONDS)["p50"] for side in (rounds, base)), strict=True)]
    found = compared(rounds, base, "p50", _SECONDS).ratio
    assert found.low <= min(each) * (1 + 1e-12)
    assert found.high >= max(each) * (1 - 1e-12)


def test_pairs_take_out_what_the_machine_did() -> None:
    rounds, base = _pairs(10, np.random.default_rng(2), 1.05, 1000)
    paired = compared(rounds, base, "p50", _SECONDS).ratio
    shuffled = compared(rounds, base[3:] + base[:3], "p50", _SECONDS).ratio
    assert paired.high - paired.low < (shuffled.high - shuffled.low) / 2


def test_the_same_seed_says_the_same() -> None:
    rounds = _pairs(20, np.random.default_rng(3))
    first, again, other = (compared(*rounds, "p90", _SECONDS, seed=seed).ratio for seed in (5, 5, 6))
    assert first == again != other
    assert first.low == pytest.approx(other.low, rel=0.01)


def test_a_higher_rate_is_faster() -> None:
    assert verdict("rate", Estimate(1.2, 1.1, 1.3, 8)) == "faster"
    assert verdict("rate", Estimate(0.8, 0.7, 0.9, 8)) == "slower"
    assert verdict("p99", Estimate(1.2, 1.1, 1.3, 8)) == "slower"
    assert verdict("p99", Estimate(1.0, 1.0, 1.0, 8)) == "no difference shown"
    at = [np.arange(n) / n for n in (500, 400)]
    fast, slow = ([samples(np.full(len(each), 0.001), each)] * 6 for each in at)
    assert compared(fast, slow, "rate", _SECONDS).verdict == "faster"


def test_identical_rounds_have_a_ratio_of_one() -> None:
    rounds = _rounds(6, np.random.default_rng(4))
    ratio = compared(rounds, rounds, "p50", _SECONDS).ratio
    assert (ratio.low, ratio.value, ratio.high) == (1, 1, 1)


def _dead(count: int, n: int = 200) -> list[Samples]:
    return [samples(np.full(n, math.inf)) for _ in range(count)]


def test_a_server_that_fails_is_infinitely_slower() -> None:
    good = _rounds(6, np.random.default_rng(5))
    dead = compared(_dead(6), good, "p50", _SECONDS)
    assert (dead.verdict, dead.ratio.low, dead.ratio.high) == ("slower", math.inf, math.inf)
    assert compared(good, _dead(6), "p50", _SECONDS).verdict == "faster"


def test_two_that_fail_are_not_compared_and_one_bad_round_is_not_hidden() -> None:
    good = _rounds(8, np.random.default_rng(6))
    both = compared(_dead(8), _dead(8), "p50", _SECONDS)
    assert (both.verdict, both.ratio.value) == ("no difference shown", None)
    once = compared(_dead(1) + _rounds(7, np.random.default_rng(7)), good, "p50", _SECONDS)
    assert (once.verdict, once.ratio.high) == ("no difference shown", math.inf)


def test_unequal_numbers_of_rounds_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="7 rounds of one and 6 of the other"):
        compared(_rounds(7, np.random.default_rng(8)), _rounds(6, np.random.default_rng(8)), "p50", _SECONDS)


def _document(rounds: list[Samples], *, kept: bool = True) -> dict[str, Any]:
    whole = joined(rounds, _SECONDS)
    measured = Measured(
        subject="a",
        load="200 a second",
        requests=len(whole),
        failures={},
        checked=Checked(0),
        rate=rate(whole, _SECONDS * len(rounds)),
        offered=None,
        latency=percentiles(whole),
        mean=float(np.mean(whole.latency)),
        worst=float(np.max(whole.latency)),
        generator=Generator(1, 0, 0, 0, 0),
        steady_from=0.0,
        histogram=histogram.encode(histogram.of_samples(whole)),
        facts={"rounds": by_round(rounds, ("p50", "p99"), _SECONDS)} if kept else {},
    )
    document: dict[str, Any] = json.loads(json.dumps({"measured": [asdict(measured)]}))
    return document


def _earlier(rounds: list[Samples], *, kept: bool = True) -> Baseline:
    return baseline.of_subject(baseline.read(_document(rounds, kept=kept)), "a")


@pytest.mark.parametrize("kept", [True, False])
def test_an_earlier_run_is_a_baseline_that_says_what_it_is(kept: bool) -> None:
    draw = np.random.default_rng(9)
    earlier = _earlier(_rounds(8, draw), kept=kept)
    same = against_baseline(_rounds(8, draw), earlier, "p50", _SECONDS, subject="a")
    assert (same.base, same.verdict) == ("a (baseline, not interleaved)", "no difference shown")
    assert same.ratio.sure
    slower = against_baseline(_rounds(8, draw, 1.3), earlier, "p50", _SECONDS, subject="a")
    assert slower.verdict == "slower"
    assert slower.ratio.value == pytest.approx(1.3, rel=0.05)


@pytest.mark.parametrize("kept", [True, False])
def test_equal_runs_seldom_differ_from_their_baseline(kept: bool) -> None:
    draw, runs = np.random.default_rng(10), 60
    found = [
        against_baseline(_rounds(6, draw), _earlier(_rounds(6, draw), kept=kept), "p50", _SECONDS, seed=seed)
        for seed in range(runs)
    ]
    assert sum(each.verdict != "no difference shown" for each in found) <= 0.05 * runs + 4


def test_a_figure_that_was_not_reported_comes_from_the_histogram_without_an_interval() -> None:
    draw = np.random.default_rng(11)
    earlier = _earlier(_rounds(8, draw))
    ratio = against_baseline(_rounds(8, draw), earlier, "p75", _SECONDS).ratio
    assert ratio.value == pytest.approx(1, abs=0.1)
    assert not ratio.sure
    with pytest.raises(UsageError, match="the baseline has no errors of a"):
        earlier.estimate("errors")


def test_few_requests_of_a_baseline_give_no_interval() -> None:
    ratio = against_baseline(
        _rounds(1, np.random.default_rng(12)), _earlier(_rounds(1, np.random.default_rng(13))), "p99", 1
    ).ratio
    assert ratio.value is not None
    assert not ratio.sure


@pytest.mark.parametrize(
    "document",
    [{}, {"measured": []}, {"measured": 3}, {"measured": [{}]}, {"measured": [{"latency": 1}]}, {"measured": None}],
)
def test_what_is_no_report_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="the baseline"):
        baseline.read(document)


def test_a_baseline_is_chosen_by_subject() -> None:
    only = {"a": Baseline("a")}
    assert baseline.of_subject(only, "b").subject == "a"
    with pytest.raises(UsageError, match="the baseline has no b") as caught:
        baseline.of_subject({"a": Baseline("a"), "c": Baseline("c")}, "b")
    assert "a, c" in caught.value.hint


def test_infinite_figures_of_a_baseline_are_read() -> None:
    document = _document(_rounds(6, np.random.default_rng(14)))
    document["measured"][0]["facts"]["rounds"]["p99"] = ["Infinity", None, 1.0]
    kept = baseline.read(document)["a"].rounds["p99"]
    assert (kept[0], kept[2]) == (math.inf, 1.0)
    assert math.isnan(kept[1])


def test_rounds_of_a_queue_are_compared_as_rounds() -> None:
    draw = np.random.default_rng(15)
    told = [
        compared(
            [queue(1000, 0.8, draw) for _ in range(6)], [queue(1000, 0.8, draw) for _ in range(6)], "p90", 1.0
        ).verdict
        for _ in range(40)
    ]
    assert sum(each != "no difference shown" for each in told) <= 5
