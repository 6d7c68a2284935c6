"""What `deploy bench` found, as plain data: every report is drawn from this, and `--json` is this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deploy_latency.estimate import Estimate


@dataclass(frozen=True)
class Stage:
    """A part of the time of a request; `source` says who measured it: us, or the server's own word for it.

    All parts of a subject are means over the same requests, so that they add up.
    """

    name: str  # client encode · network · queue · batch wait · compute · decode
    seconds: float
    source: str


@dataclass(frozen=True)
class Moment:
    """One slice of the run: requests that should have been sent in it."""

    begin: float
    seconds: float
    requests: int
    failed: int
    p50: float | None
    p99: float | None
    worst: float | None


@dataclass(frozen=True)
class Checked:
    """Answers under load against the golden outputs; `why` tells of the first wrong one."""

    answers: int
    wrong: int = 0
    why: str = ""


@dataclass(frozen=True)
class Generator:
    """How the generator itself did; `limited` says in words why the figures are the client's and not the server's, if so."""

    workers: int
    cpu_per_request: float  # seconds
    cpu: float  # share of one core, of the busiest worker
    lateness_p99: float  # seconds from intended to fired
    queueing_p99: float  # seconds from fired to sent
    limited: str = ""


@dataclass(frozen=True)
class Measured:
    """One subject under one load. Latencies in seconds, by percentile as `"p99"`; they count from the intended sending.

    `histogram` is the HDR histogram of latencies in nanoseconds in its compressed V2 form (base64). `cold_start` is seconds
    from process start to the first right answer, `memory` bytes of the server's processes after the run.
    """

    subject: str
    load: str
    requests: int
    failures: dict[str, int]
    checked: Checked
    rate: Estimate  # good answers a second
    offered: float | None  # requests a second that were intended, None in a closed loop
    latency: dict[str, Estimate]
    mean: float | None
    worst: float | None
    generator: Generator | None  # None where nothing was sent: an artifact run in process
    steady_from: float | None  # seconds; None if it never became steady
    over_time: tuple[Moment, ...] = ()
    stages: tuple[Stage, ...] = ()
    histogram: str = ""
    cold_start: float | None = None
    memory: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)  # artifact, threads, batch, dialect, transport, …


@dataclass(frozen=True)
class Compared:
    """`ratio` of a figure of `subject` to that of `base`, over paired rounds; `verdict` is faster, slower or no difference shown."""

    subject: str
    base: str
    figure: str
    ratio: Estimate
    verdict: str


@dataclass(frozen=True)
class Judged:
    """One limit of --slo, --gate or --claim: held, broken, or `undecided` for want of data."""

    limit: str
    subject: str
    figure: Estimate
    bound: float
    verdict: str  # held · broken · undecided


@dataclass(frozen=True)
class Step:
    """One rate that was tried by --find-max; `limited` says why it is the generator's figures that were seen, if so."""

    rate: float
    held: bool
    judged: tuple[Judged, ...]
    latency: dict[str, Estimate]
    confirmation: bool = False
    limited: str = ""

    @property
    def verdict(self) -> str:
        """Give held, broken, or undecided: a generator at its limit shows nothing of the server."""
        if self.held:
            return "held"
        broken = not self.limited and any(one.verdict == "broken" for one in self.judged)
        return "broken" if broken else "undecided"


@dataclass(frozen=True)
class Found:
    """The highest rate that held the objective, None if none did; `knee` is where latency begins to rise."""

    subject: str
    slo: str
    rate: float | None
    steps: tuple[Step, ...]
    knee: float | None = None
    why: str = ""  # what ended the search: the objective, the generator's own limit, --max-rate

    @property
    def verdict(self) -> str:
        """Give held if a rate was found, broken if one was shown not to hold and none to hold, else undecided."""
        if self.rate is not None:
            return "held"
        return "broken" if any(step.verdict == "broken" for step in self.steps) else "undecided"


@dataclass(frozen=True)
class Report:
    """The whole answer of `deploy bench`; `measured` has each subject once, its rounds joined."""

    command: str
    machine: dict[str, Any]
    measured: tuple[Measured, ...] = ()
    compared: tuple[Compared, ...] = ()
    found: tuple[Found, ...] = ()
    judged: tuple[Judged, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # What a dataclass says of itself fills a notebook's cell with several kB.
        told = [_measured(one) for one in self.measured]
        told += [
            f"{one.subject} against {one.base}: {one.figure} × {_figure(one.ratio, '.2f')}, {one.verdict}"
            for one in self.compared
        ]
        told += [
            f"{one.subject}: {'no rate' if one.rate is None else f'{one.rate:,.0f} requests/s'} within {one.slo}, {one.verdict}"
            for one in self.found
        ]
        told += [f"{one.limit} of {one.subject}: {one.verdict}" for one in self.judged]
        return "\n".join([*told, *self.notes]) or "nothing was measured"


def _measured(one: Measured) -> str:
    failed = sum(one.failures.values())
    figures = [f"{one.requests:,} requests", f"{_figure(one.rate, ',.1f')} good answers/s"]
    figures += [f"{name} {_figure(figure, '.3g', 1000)} ms" for name, figure in one.latency.items()]
    figures += [f"{failed} FAILED"] if failed else []
    figures += [f"{one.checked.wrong} of {one.checked.answers} answers are WRONG"] if one.checked.wrong else []
    figures += [one.generator.limited] if one.generator and one.generator.limited else []
    return f"{one.subject}, {one.load}: {', '.join(figures)}"


def _figure(found: Estimate, form: str, scale: float = 1.0) -> str:
    """Say a figure, a dash if the data do not carry it."""
    return "–" if found.value is None or not found.sure else format(found.value * scale, form)
