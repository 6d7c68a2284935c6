"""The search for the highest rate that holds an objective: it says what to try and is told what came of it, and sends nothing.

    trials = highest(limits, start=50)
    trial = next(trials)
    try:
        while True:
            trial = trials.send(measured(trial))  # an Outcome
    except StopIteration as end:
        found = end.value

The rate doubles until the objective is not held, halves if not even the first held, is bisected on a logarithmic scale, and
then tried again as often as asked: a rate that held once by luck is not the highest that holds.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from deploy_latency.binomial import needed
from deploy_latency.estimate import Estimate
from deploy_latency.limits import HELD, UNDECIDED, Limit
from deploy_latency.report import Found, Judged, Step

_LEAST_RATE = 0.1
_ROOM = 2  # times the requests that independent ones would need: neighbours are alike
_MORE = 4  # times as many for a rate that was left undecided
_LEAST_REQUESTS = 200


@dataclass(frozen=True)
class Trial:
    """One rate to be tried, with at least that many requests, so that the objective can be judged."""

    rate: float
    requests: int
    confirmation: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a trial; `limited` says in words why the generator, not the server, was at its limit, if so."""

    judged: tuple[Judged, ...]
    latency: dict[str, Estimate] = field(default_factory=dict)
    limited: str = ""

    @property
    def held(self) -> bool:
        """Whether every limit was shown to hold."""
        return not self.limited and all(each.verdict == HELD for each in self.judged)

    @property
    def undecided(self) -> bool:
        """Whether no limit was shown to be broken, but one could not be judged."""
        verdicts = {each.verdict for each in self.judged}
        return UNDECIDED in verdicts and verdicts <= {HELD, UNDECIDED} and not self.limited


Trials = Generator[Trial, Outcome, Found]


def highest(
    limits: Sequence[Limit],
    *,
    subject: str = "",
    start: float = 50.0,
    most: float = math.inf,
    tolerance: float = 0.05,
    confirmations: int = 2,
) -> Trials:
    """Search, and return what was `Found`; its rate is at most `tolerance` below one that was not shown to hold.

    An undecided trial is run once more with more requests, and then counts as not held.
    """
    search = _Search(limits, most)
    yield from search.bracket(min(start, most))
    while True:
        yield from search.narrow(tolerance)
        if search.low is None or (yield from search.confirm(confirmations)):
            break
    text = ",".join(str(limit) for limit in limits)
    return Found(subject, text, search.low, tuple(search.steps), knee(search.steps), search.why())


def requests_for(limits: Sequence[Limit], confidence: float = 0.95) -> int:
    """Give how many requests it takes to judge all limits, with room for some correlation."""
    return max(_LEAST_REQUESTS, *(_ROOM * _needs(limit, confidence) for limit in limits))


def knee(steps: Sequence[Step]) -> float | None:
    """Give the tried rate where rate / median latency is greatest: beyond it latency rises faster than the rate.

    Kleinrock, Power and deterministic rules of thumb for probabilistic problems in computer communications, 1979. None if
    the highest rate tried is still that one, or fewer than three were: then the knee was not seen.
    """
    power: dict[float, float] = {}
    for step in steps:
        median = step.latency.get("p50")
        if median is not None and median.value:
            power[step.rate] = min(power.get(step.rate, math.inf), step.rate / median.value)
    if len(power) < 3:
        return None
    best = max(power, key=lambda rate: power[rate])
    return None if best == max(power) else best


class _Search:
    """What is known so far: `low` held, `high` did not; `steps` are all trials."""

    def __init__(self, limits: Sequence[Limit], most: float) -> None:
        self.low: float | None = None
        self.high: float | None = None
        self.steps: list[Step] = []
        self._most = most
        self._requests = requests_for(limits)
        self._limited: dict[float, str] = {}
        self._undecided: set[float] = set()
        self._refuted = 0

    def bracket(self, rate: float) -> Generator[Trial, Outcome, None]:
        """Find a rate that holds and one that does not, by doubling or halving."""
        if (yield from self._held(rate)):
            while self.high is None and self.low != self._most:
                yield from self._held(min(2 * rate, self._most))
                rate *= 2
            return
        while self.low is None and rate / 2 >= _LEAST_RATE:
            rate /= 2
            yield from self._held(rate)

    def narrow(self, tolerance: float) -> Generator[Trial, Outcome, None]:
        """Bisect until both are so near."""
        while self.low is not None and self.high is not None and self.high > self.low * (1 + tolerance):
            yield from self._held(math.sqrt(self.low * self.high))

    def confirm(self, times: int) -> Generator[Trial, Outcome, bool]:
        """Try the highest rate again; if it does not hold, go back to the one below."""
        assert self.low is not None
        rate = self.low
        for _ in range(times):
            if not (yield from self._held(rate, confirmation=True)):
                self._refuted += 1
                return False
        return True

    def why(self) -> str:
        """Say what ended the search, and what was odd about it."""
        said = [self._end()]
        if self._refuted:
            said.append(f"{self._refuted} times a rate that had held did not hold again")
        odd = sorted({step.rate for step in self.steps if step.held and self.low is not None and step.rate > self.low})
        if odd:
            said.append(
                f"not monotone: {', '.join(f'{rate:.4g}' for rate in odd)} a second held once, a lower rate did not"
            )
        return "; ".join(said)

    def _end(self) -> str:
        if self.high is None:
            return "the highest rate allowed" if self.low is not None else "nothing was tried"
        if self.high in self._limited:
            return f"the generator's own limit: {self._limited[self.high]}"
        if self.high in self._undecided:
            return f"the objective could not be shown to hold at {self.high:.4g} a second: too little data"
        return f"the objective, which does not hold at {self.high:.4g} a second"

    def _held(self, rate: float, *, confirmation: bool = False) -> Generator[Trial, Outcome, bool]:
        outcome = yield Trial(rate, self._requests, confirmation)
        self._note(rate, outcome, confirmation)
        if outcome.undecided:
            outcome = yield Trial(rate, _MORE * self._requests, confirmation)
            self._note(rate, outcome, confirmation)
        self._learn(rate, outcome)
        return outcome.held

    def _note(self, rate: float, outcome: Outcome, confirmation: bool) -> None:
        self.steps.append(Step(rate, outcome.held, outcome.judged, outcome.latency, confirmation))

    def _learn(self, rate: float, outcome: Outcome) -> None:
        if outcome.held:
            self.low = rate if self.low is None else max(self.low, rate)
            return
        if outcome.limited:
            self._limited[rate] = outcome.limited
        if outcome.undecided:
            self._undecided.add(rate)
        self.high = rate if self.high is None else min(self.high, rate)
        below = self._below()
        self.low = max(below) if below else None

    def _below(self) -> set[float]:
        """Give the rates that held whenever they were tried to the end, below the lowest that did not."""
        last = {step.rate: step.held for step in self.steps}
        return {rate for rate, held in last.items() if held and self.high is not None and rate < self.high}


def _needs(limit: Limit, confidence: float) -> int:
    if limit.figure.startswith("p"):
        return needed(float(limit.figure[1:]), confidence)
    if limit.figure == "errors" and 0 < limit.bound < 1:
        return needed(100 * (1 - limit.bound), confidence)
    return _LEAST_REQUESTS // _ROOM
