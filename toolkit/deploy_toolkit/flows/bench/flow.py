"""`deploy bench`: everybody's turn, the figures of each, and whether they hold what was asked."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

from deploy_core import usage
from deploy_core.table import require
from deploy_latency import comparison, measuring, over_time, percentiles
from deploy_latency.comparison import NOT_INTERLEAVED
from deploy_latency.report import Compared, Report
from deploy_latency.samples import Samples
from deploy_toolkit.flows.bench import judging, seeking
from deploy_toolkit.flows.bench.contenders import Contender, contenders
from deploy_toolkit.flows.bench.figures import measured
from deploy_toolkit.flows.bench.request import Request
from deploy_toolkit.flows.bench.rounds import OnProgress, rounds_of, turns
from deploy_toolkit.flows.bench.ways import InProcess
from deploy_toolkit.output import OnEvent, silent

_COMPARED = ("p50", "p99", "rate")


def bench(
    request: Request,
    *,
    store: Path,
    on_event: OnEvent = silent,
    on_progress: OnProgress = lambda title, progress: None,
) -> Report:
    """Measure all subjects. A limit that is broken and a wrong answer are in the report, not raised.

    Raises UsageError before anything is started for what cannot be measured, UnavailableError for a server that does not
    come up or cannot be reached.
    """
    require("deploy bench", ("hdrh", "hpack", "httptools"), "bench")
    known = judging.baselines(request.baseline)
    limits = judging.parsed(request.slo, request.gate, known)
    claims = judging.claims(request.claim)
    if request.find_max:
        seeking.require_searchable(request, limits)
    with contenders(request, store, on_event) as found:
        if request.find_max:
            searched = tuple(seeking.found(one, request.load, limits, request.max_rate, on_progress) for one in found)
            return Report(request.command, machine(), found=searched)
        rounds = rounds_of(request.rounds, found)
        taken = turns(found, request.load, rounds, on_progress)
        seconds = request.load.seconds / rounds
        samples = {name: [turn.run.samples for turn in each] for name, each in taken.items()}
        against = [each for name in samples for each in judging.against(name, samples[name], limits, known, seconds)]
        results = tuple(measured(one, taken[one.name], request.load) for one in found)
        judged = (
            judging.fair(each, results)
            for name, own in samples.items()
            for each in judging.judged(name, own, seconds, limits, claims, against)
        )
        return Report(
            command=request.command,
            machine=machine(),
            measured=results,
            compared=(*_compared(found, samples, seconds, request.load.seed), *against),
            judged=tuple(judged),
            notes=(*_overheads(found, samples, seconds), *((NOT_INTERLEAVED,) if known else ())),
        )


def machine() -> dict[str, Any]:
    """Say on what was measured."""
    return {
        "cores": measuring.cores(),
        "memory": usage.machine_memory(),
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _compared(
    found: Sequence[Contender], samples: dict[str, list[Samples]], seconds: float, seed: int
) -> list[Compared]:
    """Compare every subject with every one before it that is asked in the same way."""
    return [
        comparison.compared(
            samples[one.name], samples[base.name], figure, seconds, subject=one.name, base=base.name, seed=seed
        )
        for base, one in combinations(found, 2)
        if type(base.way) is type(one.way)
        for figure in _COMPARED
    ]


def _overheads(found: Sequence[Contender], samples: dict[str, list[Samples]], seconds: float) -> Iterator[str]:
    """Say what serving adds to a prediction: the median at each endpoint less that of the files in their runtimes."""
    medians = {
        name: percentiles.estimate(percentiles.felt(over_time.joined(own, seconds)), 50.0).value
        for name, own in samples.items()
    }
    runtimes = [one for one in found if isinstance(one.way, InProcess)]
    for runtime, one in product(runtimes, found):
        alike = all(one.facts.get(fact) == runtime.facts[fact] for fact in ("model", "batch"))
        whole, alone = medians[one.name], medians[runtime.name]
        if one.server and alike and whole is not None and alone is not None:
            yield f"{one.name} adds {(whole - alone) * 1e3:.3g} ms at p50 to {runtime.name}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
