"""One subject: whether it answers what was trained, and how long its answers take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from typing import Any

from deploy_agreement import compare
from deploy_core.errors import first_line
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors
from deploy_model_store import Version
from deploy_toolkit.flows import promised
from deploy_toolkit.flows.golden import noise_of

SIZES = (1, 64)  # rows of a request
WARM_UP = 20  # requests that are not counted: kernels are chosen and memory is taken at the first ones
LEAST = 100  # requests: a 99th percentile of fewer is their maximum


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one request, from a closed loop: one client, which asks again when it has the answer."""

    rows: int
    median: float
    p99: float


@dataclass(frozen=True)
class Result:
    """What one subject gave; `why` says why it could not be asked, or in what it disagrees."""

    model: str
    subject: str
    verdict: str
    max_abs: float | None = None
    tolerance: float | None = None
    latencies: tuple[Latency, ...] = field(default_factory=tuple)
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was asked and agrees."""
        return self.verdict == "agree"


Opening = Callable[[], AbstractContextManager[Predictor]]


def opened(load: Callable[[], Predictor]) -> Opening:
    """Give what opens and closes a predictor that `load` makes."""
    return lambda: closing(load())


def asked(subject: str, version: Version, opening: Opening, requests: int) -> Result:
    """Open a subject, compare it, time it. What cannot be opened or raises is a result, too."""
    try:
        with opening() as predictor:
            return judged(subject, version, predictor, requests)
    except Exception as error:  # frameworks raise anything where a library of CUDA is missing: the others go on
        return Result(version.name, subject, "failed", why=first_line(error))


def judged(subject: str, version: Version, predictor: Predictor, requests: int) -> Result:
    """Compare a predictor with the golden outputs of a version, and time it."""
    golden = version.golden
    found = compare(
        subject,
        golden.outputs,
        predictor,
        golden.inputs,
        noise=noise_of(golden),
        batches=promised.batches(version),
    )
    worst = max((one for one in found.outputs if one.max_abs is not None), key=_share, default=None)
    return Result(
        version.name,
        subject,
        found.verdict,
        worst.max_abs if worst else None,
        worst.tolerance.value if worst else None,
        tuple(timed(predictor, golden.inputs, rows, requests) for rows in SIZES) if not found.error else (),
        found.why,
    )


def timed(predictor: Predictor, inputs: Tensors, rows: int, requests: int) -> Latency:
    """Ask one request after the other."""
    batch = {name: array[:rows] for name, array in inputs.items()}
    for _ in range(WARM_UP):
        predictor.predict(batch)
    seconds = sorted(_durations(predictor, batch, requests))
    return Latency(rows, 1e3 * percentile(seconds, 50), 1e3 * percentile(seconds, 99))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Give the least value that so many percent of the values do not exceed."""
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def _durations(predictor: Predictor, batch: Tensors, requests: int) -> Iterator[float]:
    for _ in range(requests):
        begun = time.perf_counter()
        predictor.predict(batch)
        yield time.perf_counter() - begun


def _share(output: Any) -> float:
    return float(output.needed_times) if output.needed_times is not None else math.inf
