"""Reports of benchmarks that nobody ran, with every odd case in them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from deploy_latency import histogram
from deploy_latency.estimate import Estimate
from deploy_latency.report import (
    Checked,
    Compared,
    Found,
    Generator,
    Judged,
    Measured,
    Moment,
    Report,
    Stage,
    Step,
)
from deploy_latency.samples import Samples

NAMES = ("p50", "p90", "p95", "p99", "p99.9")
MARKED_UP = "net@1 [red]<script>alert(1)</script>&\"'"


def around(value: float, part: float = 0.05, n: int = 20_000) -> Estimate:
    return Estimate(value, value * (1 - part), value * (1 + 2 * part), n, 368)


def too_few(value: float | None, n: int = 200, needs: int = 3_688) -> Estimate:
    return Estimate(value, None, None, n, needs)


def usual(subject: str = "net@1 embedded tfserving+rest", slower: float = 1.0) -> Measured:
    values = dict(zip(NAMES, (1.2e-3, 2.7e-3, 3.3e-3, 5.1e-3, 8.4e-3), strict=True))
    return Measured(
        subject=subject,
        load="200 requests/s as independent users send them for 20 s in 6 rounds",
        requests=20_000,
        failures={},
        checked=Checked(1200),
        rate=around(199.4),
        offered=200.0,
        latency={name: around(value * slower) for name, value in values.items()},
        mean=1.5e-3 * slower,
        worst=48e-3 * slower,
        generator=Generator(1, 47e-6, 0.012, 0.2e-3, 3e-6),
        steady_from=0.0,
        over_time=moments(slower),
        stages=stages(slower),
        histogram=counted(slower),
        cold_start=0.84,
        memory=181 * 2**20,
        facts={"transport": "rest", "server_cpu_per_request": 310e-6, "rounds": {"p50": [1.2e-3] * 6}},
    )


def counted(slower: float = 1.0, failed: int = 0) -> str:
    """A histogram of which p50, p99 and p99.9 are near those of `usual`."""
    latency = np.random.default_rng(1).lognormal(-6.7, 0.6, 5000) * slower
    latency[:failed] = np.inf
    zeros = np.zeros(5000)
    samples = Samples(zeros, zeros, zeros, latency, zeros.astype(np.int16), zeros.astype(np.int32))
    return histogram.encode(histogram.of_samples(samples))


def moments(slower: float, failing: int = -1) -> tuple[Moment, ...]:
    draw = np.random.default_rng(2)
    return tuple(
        Moment(
            begin=at / 3,
            seconds=1 / 3,
            requests=67,
            failed=3 if at == failing else 0,
            p50=1.2e-3 * slower * draw.uniform(0.9, 1.1),
            p99=5e-3 * slower * draw.uniform(0.8, 1.4),
            worst=math.inf if at == failing else 12e-3 * slower * draw.uniform(0.8, 3),
        )
        for at in range(60)
    )


def stages(slower: float = 1.0) -> tuple[Stage, ...]:
    server = "the server's own timings"
    return (
        Stage("client encode", 0.03e-3, "deploy bench"),
        Stage("network", 0.21e-3, "deploy bench"),
        Stage("queue", 0.12e-3 * slower, server),
        Stage("batch wait", 0.30e-3, server),
        Stage("compute", 0.47e-3 * slower, server),
        Stage("decode", 0.07e-3, "deploy bench"),
    )


def hopeless() -> Measured:
    """Every request failed, each in another way."""
    ever = Estimate(math.inf, math.inf, math.inf, 500, 368)
    return replace(
        usual("net@1 gone"),
        requests=500,
        failures={f"failure {number}": 1 for number in range(500)},
        checked=Checked(0),
        rate=Estimate(0.0, None, None, 0, 20),
        latency=dict.fromkeys(NAMES, ever),
        mean=math.inf,
        worst=math.inf,
        over_time=tuple(Moment(at / 3, 1 / 3, 9, 9, math.inf, math.inf, math.inf) for at in range(60)),
        histogram=counted(failed=5000),
        stages=(),
    )


def without_data() -> Measured:
    """Nothing was answered, and nothing else is known."""
    return Measured(
        subject="nothing at all",
        load="1 request at any time for 0.1 s",
        requests=0,
        failures={},
        checked=Checked(0),
        rate=Estimate(None, None, None, 0, 20),
        offered=None,
        latency={name: Estimate(None, None, None, 0, 368) for name in NAMES},
        mean=None,
        worst=None,
        generator=None,
        steady_from=None,
    )


def failing() -> Measured:
    """Some requests failed, some answers are wrong, and the client was too slow; p99.9 has too few requests."""
    latency = {
        **usual(slower=3.0).latency,
        "p99": Estimate(math.inf, 9e-3, math.inf, 900, 368),
        "p99.9": too_few(math.inf, 900),
    }
    return replace(
        usual(MARKED_UP, slower=3.0),
        requests=900,
        failures={"HTTP 503": 17, "no answer in time": 3},
        checked=Checked(200, 2, "y[0] is 0.3, wanted 0.1 <b>"),
        latency=latency,
        rate=Estimate(170.0, 150.0, 191.0, 880, 20),
        mean=math.inf,
        worst=math.inf,
        generator=Generator(
            2, 61e-6, 0.97, 40e-3, 11e-3, "limited by the generator: its busiest process used 97 % of a core"
        ),
        steady_from=None,
        over_time=moments(3.0, failing=31),
        histogram=counted(3.0, failed=110),
        stages=(),
        cold_start=None,
        memory=None,
        facts={"where": "<here>"},
    )


def in_process() -> Measured:
    return replace(
        usual("net@1 onnx, 1 thread", slower=0.2),
        generator=None,
        offered=None,
        load="1 request at any time for 2 s",
        latency={**usual(slower=0.2).latency, "p99.9": too_few(9e-3)},
        stages=(),
    )


def search() -> Found:
    rates = (50, 100, 200, 400, 800, 1600, 1200, 1000, 900, 900)
    steps = tuple(
        Step(
            rate=float(rate),
            held=rate <= 900,
            judged=(judged(verdict="held" if rate <= 900 else "undecided" if rate == 1000 else "broken"),),
            latency={
                "p50": around(1e-3 * (1 + (rate / 1100) ** 4)),
                "p99": around(4e-3 * (1 + (rate / 850) ** 5)) if rate < 1600 else Estimate(math.inf, 1, math.inf, 5000),
            },
            confirmation=at == 9,
        )
        for at, rate in enumerate(rates)
    )
    return Found(
        "net@1 embedded", "p99<20ms,errors<0.1%", 900.0, steps, 800.0, "the objective, broken at 1000 a second"
    )


def failed_search() -> Found:
    step = Step(1.0, False, (judged("p99<1us", "broken"),), {"p99": around(6e-3)})
    return Found("net@1 slow", "p99<1us", None, (step,), why="not even 1 a second held")


def judged(limit: str = "p99<20ms", verdict: str = "held", figure: Estimate | None = None) -> Judged:
    return Judged(limit, "net@1 embedded", figure or around(6e-3), 0.02, verdict)


def compared() -> tuple[Compared, ...]:
    def one(figure: str, ratio: Estimate, verdict: str) -> Compared:
        return Compared("net@1 torchserve rest", "net@1 embedded rest", figure, ratio, verdict)

    return (
        one("p50", Estimate(2.31, 2.1, 2.6, 6, 6), "slower"),
        one("p99", Estimate(1.04, 0.93, 1.19, 6, 6), "no difference shown"),
        one("rate", Estimate(0.88, 0.87, 0.9, 6, 6), "slower"),
        one("mean", Estimate(0.9, None, None, 3, 6), "no difference shown"),
        one("p99.9", Estimate(math.inf, 1.1, math.inf, 6, 6), "slower"),
    )


def full() -> Report:
    return Report(
        command="deploy bench net --server embedded,torchserve --slo 'p99<20ms'",
        machine={"processor": "Some Processor @ 2 GHz <fast>", "cores": 2, "memory": 8 * 2**30, "load_average": 0.3},
        measured=(usual(), usual("net@1 torchserve rest", 2.2), failing(), in_process(), without_data()),
        compared=compared(),
        found=(search(), failed_search()),
        judged=(
            judged(),
            judged("errors<0.1%", "broken", Estimate(0.022, 0.013, 0.034, 900)),
            judged("p99.9<=1.05x", "undecided", too_few(1.02, 6, 6)),
            judged("p99.9", "undecided", too_few(0.02)),
            judged("rate>=150", "held", around(199.4)),
        ),
        notes=("a note of [somebody] <i>",),
    )


def empty() -> Report:
    return Report("deploy bench nothing", {})
