from __future__ import annotations

import math

import numpy as np
import pytest

from deploy_core.errors import UsageError
from deploy_latency.estimate import Estimate
from deploy_latency.limits import Limit, judge, parse


@pytest.mark.parametrize(
    ("text", "spelt", "bound"),
    [
        ("p99<20ms", "p99<20ms", 0.02),
        ("p99.9<=300us", "p99.9<=300us", 0.0003),
        ("p50<300µs", "p50<300us", 0.0003),
        ("P95 < 1.5 S", "p95<1.5s", 1.5),
        ("p99.90<2s", "p99.9<2s", 2),
        ("p99<=1.05x", "p99<=1.05x", 1.05),
        ("mean<2ms", "mean<2ms", 0.002),
        ("errors<0.1%", "errors<0.1%", 0.001),
        ("errors<=0%", "errors<=0%", 0),
        ("rate>=500", "rate>=500", 500),
        ("rate>1e3/s", "rate>1000", 1000),
        ("rate>=0.95x", "rate>=0.95x", 0.95),
    ],
)
def test_limits_are_read_and_written_back(text: str, spelt: str, bound: float) -> None:
    (limit,) = parse(text)
    assert str(limit) == spelt
    assert limit.bound == pytest.approx(bound)
    assert limit.relative is spelt.endswith("x")
    assert parse(str(limit)) == (limit,)


def test_any_number_survives_the_way_there_and_back() -> None:
    draw = np.random.default_rng(0)
    for number in (*np.exp(draw.uniform(-30, 30, 200)), 0.1 + 0.2, 1e22, 5e-324 * 1e300):
        limit = Limit("p99", "<", float(number), "ms")
        assert parse(str(limit)) == (limit,)


def test_several_come_by_comma_in_their_order() -> None:
    assert [str(each) for each in parse("p99<20ms, errors<0.1% ,rate>=500")] == ["p99<20ms", "errors<0.1%", "rate>=500"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "'' is not a limit"),
        ("p99", "'p99' is not a limit"),
        ("p99<20ms,", "'' is not a limit"),
        ("p99=20ms", "not a limit"),
        ("p99==20ms", "not a limit"),
        ("20ms>p99", "not a limit"),
        ("p99<-1ms", "not a limit"),
        ("p99<nanms", "not a limit"),
        ("p99<1,5ms", "the unit of p99 is us or ms or s or x, not nothing"),
        ("p٩٩<1s", "not a limit"),
        ("p99<20", "the unit of p99 is us or ms or s or x, not nothing"),
        ("p99<20m", "not m"),
        ("p99<20%", "not %"),
        ("p100<1s", "there is no figure 'p100'"),
        ("p0<1s", "there is no figure 'p0'"),
        ("p9.9.9<1s", "there is no figure 'p9.9.9'"),
        ("cpu<50%", "there is no figure 'cpu'"),
        ("max<1s", "there is no figure 'max'"),
        ("p99>20ms", "p99 is limited from above"),
        ("errors>1%", "errors is limited from above"),
        ("rate<500", "rate is limited from below"),
        ("errors<0.001", "the unit of errors is %, not nothing"),
        ("errors<=1.05x", "the unit of errors is %, not x"),
        ("errors<101%", "no more than 100%"),
        ("errors<0%", "can never be held"),
        ("p99<0ms", "can never be held"),
        ("rate>=0", "can only be held"),
        ("p99<1e999s", "not a finite number"),
        ("p99<20ms;drop table", "not a limit"),
    ],
)
def test_rubbish_is_refused_with_what_is_allowed(text: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert why in str(caught.value)
    assert "p99<20ms" in caught.value.hint


def _between(low: float | None, high: float | None, needs: int = 368) -> Estimate:
    return Estimate(0.015, low, high, 1000, needs)


@pytest.mark.parametrize(
    ("text", "low", "high", "verdict"),
    [
        ("p99<20ms", 0.010, 0.019, "held"),
        ("p99<20ms", 0.010, 0.020, "undecided"),
        ("p99<=20ms", 0.010, 0.020, "held"),
        ("p99<20ms", 0.020, 0.030, "broken"),
        ("p99<=20ms", 0.020, 0.030, "undecided"),
        ("p99<20ms", 0.010, math.inf, "undecided"),
        ("p99<20ms", math.inf, math.inf, "broken"),
        ("p99<20ms", 0.010, None, "undecided"),
        ("p99<20ms", 0.030, None, "broken"),  # what is known is enough
        ("p99<20ms", None, None, "undecided"),
        ("p99<=1.05x", 0.98, 1.04, "held"),
        ("p99<=1.05x", 1.06, 1.30, "broken"),
        ("p99<=1.05x", 1.00, 1.10, "undecided"),
        ("rate>=500", 500.0, 520.0, "held"),
        ("rate>=500", 490.0, 520.0, "undecided"),
        ("rate>=500", 400.0, 499.0, "broken"),
        ("rate>500", 400.0, 500.0, "broken"),
    ],
)
def test_a_limit_is_judged_by_the_whole_interval(
    text: str, low: float | None, high: float | None, verdict: str
) -> None:
    (limit,) = parse(text)
    judged = judge(limit, _between(low, high), "a")
    assert (judged.limit, judged.subject, judged.bound, judged.verdict) == (text, "a", limit.bound, verdict)
    assert judged.figure == _between(low, high)


def test_a_limit_on_errors_says_how_many_requests_it_takes() -> None:
    (limit,) = parse("errors<0.1%")
    undecided = judge(limit, Estimate(0.0, 0.0, 0.0037, 1000))
    assert (undecided.verdict, undecided.figure.needs) == ("undecided", 3688)
    assert judge(limit, Estimate(0.0, 0.0, 0.0009, 4000)).verdict == "held"
