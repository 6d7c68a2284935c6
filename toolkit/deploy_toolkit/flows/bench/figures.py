"""From what was measured to what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from deploy_core.errors import EndpointError
from deploy_core.signature import Tensors
from deploy_latency import histogram, over_time, percentiles, steady
from deploy_latency.comparison import by_round
from deploy_latency.load import Load
from deploy_latency.measuring import Run
from deploy_latency.report import Checked, Generator, Measured
from deploy_latency.samples import Samples
from deploy_latency.schedules import Constant, Poisson, Ramp
from deploy_toolkit.flows.bench import timings
from deploy_toolkit.flows.bench.contenders import Contender
from deploy_toolkit.flows.bench.rounds import Turn
from deploy_toolkit.flows.bench.ways import InProcess

BY_ROUND = ("p50", "p90", "p99", "mean", "rate")  # kept of each round, so that a later run can be compared with them


def measured(contender: Contender, turns: Sequence[Turn], load: Load) -> Measured:
    """Join the rounds of a contender."""
    seconds = load.seconds / len(turns)
    rounds = [turn.run.samples for turn in turns]
    samples = over_time.joined(rounds, seconds)
    return Measured(
        subject=contender.name,
        load=words(contender.way.load(load), len(turns)),
        requests=len(samples),
        failures=_failures(samples),
        checked=checked(contender, [turn.run for turn in turns]),
        rate=percentiles.rate(samples, load.seconds, rounds=len(turns)),
        offered=len(samples) / load.seconds if contender.way.load(load).schedule else None,
        latency=percentiles.percentiles(samples),
        mean=percentiles.mean(samples).value,
        worst=float(np.max(percentiles.felt(samples))) if len(samples) else None,
        generator=_generator([did for turn in turns if (did := contender.way.generator(turn.run))]),
        steady_from=_steady(rounds),
        over_time=over_time.moments(samples, load.seconds),
        stages=timings.of(contender, turns),
        histogram=histogram.encode(histogram.of_samples(samples)),
        cold_start=_cold_start(contender),
        memory=_memory(contender, turns[-1]),
        facts={**contender.facts, "rounds": by_round(rounds, BY_ROUND, seconds), **_server_cpu(turns)},
    )


def checked(contender: Contender, runs: Sequence[Run]) -> Checked:
    """Judge the answers that were kept of runs."""
    told = ""
    answers: list[tuple[int, Tensors]] = []
    undecoded = 0
    for kept in (kept for run in runs for kept in run.kept):
        try:
            number = kept.request % len(contender.questions.inputs)  # questions may be sent several times in a turn
            answers.append((number, contender.way.decoded(kept, contender.questions.signature)))
        except EndpointError as error:
            undecoded, told = undecoded + 1, told or str(error)
    found = contender.questions.checked(answers)
    return Checked(found.answers + undecoded, found.wrong + undecoded, told or found.why)


def words(load: Load, rounds: int = 1) -> str:
    """Say a load in words."""
    schedule = load.schedule
    if isinstance(schedule, Poisson):
        how = f"{schedule.rate:g} requests/s as independent users send them"
    elif isinstance(schedule, Constant):
        how = f"{schedule.rate:g} requests/s evenly"
    elif isinstance(schedule, Ramp):
        how = f"{schedule.begin:g} to {schedule.end:g} requests/s" + (", in each round anew," if rounds > 1 else "")
    else:
        how = "a recorded trace" if schedule else f"{load.concurrency} at any time"
    return f"{how} for {load.seconds:g} s" + (f" in {rounds} rounds" if rounds > 1 else "")


def _cold_start(contender: Contender) -> float | None:
    if isinstance(contender.way, InProcess):
        return contender.way.runtime.cold_start
    return contender.server.cold_start if contender.server else None


def _memory(contender: Contender, last: Turn) -> int | None:
    if isinstance(contender.way, InProcess):
        return contender.way.runtime.memory
    return last.used.memory if last.used else None


def _failures(samples: Samples) -> dict[str, int]:
    counts = Counter(samples.failure[~samples.ok].tolist())
    return {samples.failures[at]: count for at, count in counts.most_common()}


def _generator(each: Sequence[Generator]) -> Generator | None:
    """Give the worst of all rounds, and how many of them it limited."""
    if not each:
        return None
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
    seconds = sum(turn.used.cpu for turn in turns if turn.used)
    requests = sum(turn.used.requests for turn in turns if turn.used)
    return {"server_cpu_per_request": seconds / requests} if requests else {}
