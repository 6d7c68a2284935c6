"""`--find-max`: the highest rate that holds the objective, by trials that the search asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

from deploy_core.errors import UsageError
from deploy_latency import percentiles, search, steady
from deploy_latency.estimate import Estimate
from deploy_latency.limits import BROKEN, RIGHT, Limit, judge, judge_share
from deploy_latency.load import Load
from deploy_latency.measuring import Run
from deploy_latency.report import Found, Judged
from deploy_latency.schedules import Constant, Poisson
from deploy_latency.search import Outcome, Trial, Trials
from deploy_toolkit.flows.bench.contenders import Contender
from deploy_toolkit.flows.bench.figures import checked
from deploy_toolkit.flows.bench.request import Request
from deploy_toolkit.flows.bench.rounds import OnProgress

_LEAST_SECONDS = 2.0  # a server that is overloaded takes a while to show it
_LONGER = 4  # times `load.seconds` that a trial may take: at lower rates the objective cannot be judged in that time
GROWING = "latency does not grow all the time"


def require_searchable(request: Request, limits: Sequence[Limit]) -> None:
    """Raise UsageError if there is nothing that a rate could hold, or something that no rate changes."""
    if not limits or any(limit.relative or limit.figure == "rate" for limit in limits):
        raise UsageError("--find-max needs an objective", hint="give --slo 'p99<20ms,errors<0.1%'")
    if request.runtimes:
        raise UsageError("a file in its runtime has no rate that --find-max could try", hint="leave --runtime away")
    if request.claim:
        raise UsageError("--claim is of one load, and --find-max tries many", hint="name the figure in --slo")


def found(contender: Contender, load: Load, limits: Sequence[Limit], most: float, on_progress: OnProgress) -> Found:
    """Search for one contender; each trial has arrivals of its own, even ones if those of `load` are, else Poisson's.

    It begins at the rate at which `load.seconds` carry the objective.
    """
    start = search.requests_for(limits) / load.seconds
    trials: Trials = search.highest(
        limits, subject=contender.name, start=min(start, most), least=min(start / _LONGER, most), most=most
    )
    trial, seeds = next(trials), count(load.seed)
    while True:
        outcome = _tried(contender, replace(load, seed=next(seeds)), trial, limits, on_progress)
        try:
            trial = trials.send(outcome)
        except StopIteration as end:
            result: Found = end.value
            return result


def _tried(contender: Contender, load: Load, trial: Trial, limits: Sequence[Limit], on_progress: OnProgress) -> Outcome:
    longest = _LONGER * load.seconds
    seconds = min(longest, max(trial.requests / trial.rate, min(_LEAST_SECONDS, load.seconds)))
    arrivals = Constant if isinstance(load.schedule, Constant) else Poisson
    title = f"{contender.name}, trying {trial.rate:.4g} requests/s"
    run = contender.way.measure(
        replace(load, schedule=arrivals(trial.rate), concurrency=0, seconds=seconds),
        lambda progress: on_progress(title, progress),
    )
    did = contender.way.generator(run)
    judged = tuple(_judged(contender, run, limits, seconds))
    return Outcome(judged, percentiles.percentiles(run.samples), did.limited if did else "")


def _judged(contender: Contender, run: Run, limits: Sequence[Limit], seconds: float) -> Iterator[Judged]:
    name, samples, answers = contender.name, run.samples, checked(contender, [run])
    for limit in limits:
        figure = percentiles.figure(samples, limit.figure, seconds)
        if limit.figure.startswith("p"):
            yield judge_share(limit, figure, percentiles.slower(samples, limit.bound), name)
        else:
            yield judge(limit, figure, name)
    if steady.growing(samples):
        yield Judged(GROWING, name, Estimate(None, None, None, len(samples)), 0.0, BROKEN)
    if answers.wrong:
        yield Judged(RIGHT, name, Estimate(None, None, None, answers.answers), 0.0, BROKEN)
