from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from queues import queue
from queues import samples as queued

from deploy_latency.estimate import Estimate
from deploy_latency.limits import BROKEN, HELD, UNDECIDED, judge, judge_share, parse
from deploy_latency.percentiles import percentiles, slower
from deploy_latency.report import Found, Judged, Step
from deploy_latency.search import Outcome, Trial, Trials, highest, knee, requests_for

LIMITS = parse("p99<20ms")
CAPACITY = 1000.0
BEST = CAPACITY - math.log(100) / 0.02  # of M/M/1, where p99 is 20 ms: 769.7


def _searched(trials: Trials, measured: Callable[[Trial], Outcome]) -> tuple[Found, list[Trial]]:
    seen = [next(trials)]
    while True:
        try:
            seen.append(trials.send(measured(seen[-1])))
        except StopIteration as end:
            return end.value, seen


def _exactly(value: float, by: float = 0.001) -> Estimate:
    return Estimate(value, value * (1 - by), value * (1 + by), 10_000, 368)


def _curve(trial: Trial, by: float = 0.001) -> Outcome:
    spare = CAPACITY - trial.rate
    latency = {f"p{q}": _exactly(-math.log(1 - q / 100) / spare if spare > 0 else math.inf, by) for q in (50, 99)}
    return Outcome((judge(LIMITS[0], latency["p99"], "a"),), latency)


def _holds(held: bool) -> Outcome:
    return Outcome((judge(LIMITS[0], _exactly(0.001 if held else 1.0)),), {"p50": _exactly(0.001)})


@pytest.mark.parametrize("start", [1, 50, 769, 770, 5000])
@pytest.mark.parametrize("tolerance", [0.01, 0.05, 0.2])
def test_the_highest_rate_of_a_known_curve_is_found(start: float, tolerance: float) -> None:
    found, seen = _searched(highest(LIMITS, subject="a", start=start, tolerance=tolerance), _curve)
    assert found.rate is not None
    assert BEST / (1 + tolerance) / 1.002 <= found.rate <= BEST
    assert (found.subject, found.slo) == ("a", "p99<20ms")
    assert found.why.startswith("the objective, which")
    assert len(seen) == len(found.steps) <= 25
    assert sum(step.confirmation and step.rate == found.rate and step.held for step in found.steps) == 2


def test_the_rate_that_a_queue_holds_is_found_from_samples() -> None:
    draw = np.random.default_rng(0)

    def measured(trial: Trial) -> Outcome:
        # A queue with a mean service of 1 ms; the more requests the sooner p99 is sure.
        latency = percentiles(queue(max(trial.requests, 60_000), trial.rate / CAPACITY, draw))
        return Outcome((judge(LIMITS[0], latency["p99"]),), latency)

    found, _ = _searched(highest(LIMITS, start=100), measured)
    assert found.rate is not None
    assert 0.75 * BEST < found.rate < 1.02 * BEST


def test_the_search_ends_at_the_highest_rate_allowed() -> None:
    found, seen = _searched(highest(LIMITS, start=50, most=300), _curve)
    assert (found.rate, found.why) == (300, "the highest rate allowed")
    assert max(trial.rate for trial in seen) == 300
    alone, _ = _searched(highest(LIMITS, start=500, most=300), _curve)
    assert alone.rate == 300


def test_the_search_ends_at_the_limit_of_the_generator() -> None:
    def measured(trial: Trial) -> Outcome:
        # Late requests are slow ones; as long as all holds in spite of them, it holds.
        late = trial.rate > 350
        seen = Trial(5000, trial.requests) if late else trial
        return Outcome(_curve(seen).judged, {}, "its CPU was busy" if trial.rate > 300 else "")

    found, seen = _searched(highest(LIMITS, start=50), measured)
    assert found.rate is not None
    assert 350 / 1.05 <= found.rate <= 350
    assert "the generator's own limit" in found.why
    assert "its CPU was busy" in found.why
    # There is no use in trying once more what the generator cannot do.
    assert not any(step.confirmation and step.rate > 350 for step in found.steps)
    assert len(seen) <= 20


def test_an_objective_that_nothing_holds_is_given_up() -> None:
    found, seen = _searched(highest(LIMITS, start=50, least=1), lambda trial: _holds(False))
    assert found.rate is None
    assert min(trial.rate for trial in seen) >= 1
    assert len(seen) <= 10
    assert not any(step.held for step in found.steps)


def test_a_rate_that_held_once_by_luck_is_not_the_highest() -> None:
    tried: dict[float, int] = {}

    def measured(trial: Trial) -> Outcome:
        tried[trial.rate] = tried.get(trial.rate, 0) + 1
        return _holds(trial.rate < 300 or (trial.rate < 500 and tried[trial.rate] == 1))

    found, _ = _searched(highest(LIMITS, start=100), measured)
    assert found.rate is not None
    assert 300 / 1.05 <= found.rate < 300
    assert "not confirmed, though once held: 308.4, " in found.why


def test_a_rate_that_failed_once_by_bad_luck_is_not_the_limit() -> None:
    tried: dict[float, int] = {}

    def measured(trial: Trial) -> Outcome:
        tried[trial.rate] = tried.get(trial.rate, 0) + 1
        unlucky = 350 < trial.rate < 700 and tried[trial.rate] == 1
        return _holds(trial.rate < 700 and not unlucky)

    found, _ = _searched(highest(LIMITS, start=100), measured)
    assert found.rate is not None
    assert 350 < found.rate < 700
    assert "held at the second try only" in found.why


def test_a_server_that_is_slow_at_low_rates_is_seen_as_not_monotone() -> None:
    found, _ = _searched(highest(LIMITS, start=50), lambda trial: _holds(200 <= trial.rate <= 600))
    assert found.rate is not None
    assert 600 / 1.05 <= found.rate <= 600
    assert "not monotone" in found.why
    assert "50" in found.why
    assert found.why.endswith("a second did not hold, 200 did")


def test_a_server_without_any_rule_comes_to_an_end() -> None:
    draw = np.random.default_rng(1)
    for _ in range(50):
        found, seen = _searched(highest(LIMITS, start=50, most=10_000), lambda trial: _holds(bool(draw.random() < 0.5)))
        assert len(seen) <= 62
        assert found.why


def test_what_is_undecided_is_tried_with_more_requests_and_does_not_hold() -> None:
    def measured(trial: Trial) -> Outcome:
        return (
            Outcome((judge(LIMITS[0], Estimate(0.001, 0.0005, None, trial.requests, 368)),))
            if trial.rate > 90
            else _holds(True)
        )

    found, seen = _searched(highest(LIMITS, start=50), measured)
    assert found.rate is not None
    assert found.rate < 90
    assert "could not be judged" in found.why
    more = [
        later.requests / earlier.requests for earlier, later in itertools.pairwise(seen) if earlier.rate == later.rate
    ]
    assert 4 in more


def test_trials_have_requests_enough_to_be_judged() -> None:
    assert requests_for(parse("p50<1s")) == 200
    assert requests_for(parse("p99<20ms,p50<1s")) == 736
    assert requests_for(parse("p99<20ms,errors<0.1%")) == 3688
    assert requests_for(parse("rate>=5,mean<1s,errors<=0%")) == 200


def test_the_knee_of_a_queue_is_at_half_its_capacity() -> None:
    rates = range(50, 1000, 50)
    steps = [Step(rate, True, (), {"p50": _exactly(math.log(2) / (CAPACITY - rate))}) for rate in rates]
    assert knee(steps) == 500


def test_no_knee_is_seen_where_latency_has_not_risen() -> None:
    flat = [Step(rate, True, (), {"p50": _exactly(0.001)}) for rate in (100, 200, 400)]
    assert knee(flat) is None
    assert knee(flat[:2]) is None
    assert knee([Step(rate, True, (), {}) for rate in (100, 200, 400)]) is None
    over = Step(800, False, (), {"p50": _exactly(math.inf)})
    assert knee([*flat, over]) == 400


def test_a_generator_at_its_limit_decides_nothing() -> None:
    broken = Judged("p50<1ms", "", Estimate(0.002, 0.001, 0.003, 100), 0.001, BROKEN)
    assert Found("", "", None, (Step(50, False, (broken,), {}, limited="late"),)).verdict == UNDECIDED
    assert Found("", "", None, (Step(50, False, (broken,), {}),)).verdict == BROKEN
    assert Found("", "", 50.0, (Step(50, True, (), {}), Step(99, False, (broken,), {}))).verdict == HELD


def test_what_is_alike_far_below_the_bound_is_judged_by_what_lies_beyond_it() -> None:
    draw = np.random.default_rng(3)
    slow_and_fast = np.repeat(draw.uniform(0.001, 0.007, 60), 25) + draw.uniform(0, 0.0001, 1500)  # in crowds of 25
    samples = queued(slow_and_fast)
    figure = percentiles(samples)["p99"]
    assert judge(LIMITS[0], figure).verdict == UNDECIDED  # the interval of p99 takes more of such neighbours
    assert figure.high is None
    assert judge_share(LIMITS[0], figure, slower(samples, 0.02)).verdict == HELD
    assert judge_share(LIMITS[0], figure, slower(samples.where(np.arange(1500) < 300), 0.02)).verdict == UNDECIDED
    crowd = slow_and_fast.copy()
    crowd[700:725] = 1.0  # 1.7 % of them, but one crowd
    assert judge_share(LIMITS[0], figure, slower(queued(crowd), 0.02)).verdict == UNDECIDED
    crowd[::10] = 1.0
    assert judge_share(LIMITS[0], figure, slower(queued(crowd), 0.02)).verdict == BROKEN
