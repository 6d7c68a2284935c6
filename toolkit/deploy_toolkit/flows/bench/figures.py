"""From what was measured to what is said of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from deploy_core.errors import EndpointError
from deploy_core.signature import Tensors
from deploy_dialects.tables import DIALECTS
from deploy_dialects.wire import HttpReply
from deploy_latency import histogram, measuring, over_time, percentiles, steady
from deploy_latency.comparison import by_round
from deploy_latency.load import Load
from deploy_latency.report import Checked, Generator, Measured
from deploy_latency.samples import Samples
from deploy_latency.schedules import Constant, Poisson, Ramp
from deploy_toolkit.flows.bench.contenders import Contender
from deploy_toolkit.flows.bench.rounds import Turn

BY_ROUND = ("p50", "p90", "p99", "mean", "rate")  # kept of each round, so that a later run can be compared with them


def measured(contender: Contender, turns: Sequence[Turn], load: Load) -> Measured:
    """Join the rounds of a contender."""
    seconds = load.seconds / len(turns)
    rounds = [turn.run.samples for turn in turns]
    samples = over_time.joined(rounds, seconds)
    last, server = turns[-1], contender.server
    return Measured(
        subject=contender.name,
        load=words(load, len(turns)),
        requests=len(samples),
        failures=_failures(samples),
        checked=_checked(contender, turns),
        rate=percentiles.rate(samples, load.seconds),
        offered=len(samples) / load.seconds if load.schedule else None,
        latency=percentiles.percentiles(samples),
        mean=percentiles.mean(samples).value,
        worst=float(np.max(percentiles.felt(samples))) if len(samples) else None,
        generator=_generator([measuring.generator(turn.run) for turn in turns]),
        steady_from=steady.steady_from(rounds[0]) if len(rounds) == 1 else _steady(rounds),
        over_time=over_time.moments(samples, load.seconds),
        histogram=histogram.encode(histogram.of_samples(samples)),
        cold_start=server.cold_start if server else None,
        memory=last.after.memory if last.after else None,
        facts={**contender.facts, "rounds": by_round(rounds, BY_ROUND, seconds), **_server_cpu(turns)},
    )


def words(load: Load, rounds: int = 1) -> str:
    """Say a load in words."""
    schedule = load.schedule
    if isinstance(schedule, Poisson):
        how = f"{schedule.rate:g} requests/s as independent users send them"
    elif isinstance(schedule, Constant):
        how = f"{schedule.rate:g} requests/s evenly"
    elif isinstance(schedule, Ramp):
        how = f"{schedule.begin:g} to {schedule.end:g} requests/s"
    else:
        how = "a recorded trace" if schedule else f"{load.concurrency} requests at any time"
    return f"{how} for {load.seconds:g} s" + (f" in {rounds} rounds" if rounds > 1 else "")


def _failures(samples: Samples) -> dict[str, int]:
    counts = Counter(samples.failure[~samples.ok].tolist())
    return {samples.failures[at]: count for at, count in counts.most_common()}


def _checked(contender: Contender, turns: Sequence[Turn]) -> Checked:
    told = ""
    answers: list[tuple[int, Tensors]] = []
    undecoded = 0
    for kept in (kept for turn in turns for kept in turn.run.kept):
        try:
            answers.append((kept.request, _decoded(contender, kept)))
        except EndpointError as error:
            undecoded, told = undecoded + 1, told or str(error)
    found = contender.questions.checked(answers)
    return Checked(found.answers + undecoded, found.wrong + undecoded, told or found.why)


def _decoded(contender: Contender, kept: Any) -> Tensors:
    endpoint = contender.target.endpoint
    dialect = DIALECTS.load(f"{endpoint.dialect}+{endpoint.transport}")
    reply = HttpReply(200, kept.headers, kept.body) if endpoint.transport == "rest" else kept.body
    outputs: Tensors = dialect.decode(endpoint, contender.questions.signature, reply)
    return outputs


def _generator(each: Sequence[Generator]) -> Generator:
    """Give the worst of all rounds, and how many of them it limited."""
    limited = [one.limited for one in each if one.limited]
    rounds = f" (in {len(limited)} of {len(each)} rounds)" if limited and len(each) > 1 else ""
    return Generator(
        max(one.workers for one in each),
        float(np.mean([one.cpu_per_request for one in each])),
        max(one.cpu for one in each),
        max(one.lateness_p99 for one in each),
        max(one.queueing_p99 for one in each),
        limited[0] + rounds if limited else "",
    )


def _steady(rounds: Sequence[Samples]) -> float | None:
    """Give the latest begin of the steady part within a round; None if a round never became steady."""
    found = [steady.steady_from(each) for each in rounds]
    known = [each for each in found if each is not None]
    return max(known) if len(known) == len(found) else None


def _server_cpu(turns: Sequence[Turn]) -> dict[str, float]:
    seconds = sum(turn.after.cpu - turn.before.cpu for turn in turns if turn.after and turn.before)
    sent = sum(len(turn.run.samples) for turn in turns if turn.after and turn.before)
    return {"server_cpu_per_request": seconds / sent} if sent and math.isfinite(seconds) else {}
