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

_MOST_TRIALS = 60
_LOOKS_ABOVE = 3
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
        """Whether every limit was shown to hold, which a generator at its limit makes harder, never easier."""
        return all(each.verdict == HELD for each in self.judged)

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
    least: float = 1.0,
    most: float = math.inf,
    tolerance: float = 0.05,
    confirmations: int = 2,
) -> Trials:
    """Search, and return what was `Found`; its rate is at most `tolerance` below one that was not shown to hold.

    An undecided trial is run once more with more requests, and then counts as not held. Both ends are tried again in the
    end: the highest rate that held has to hold `confirmations` times, and the lowest that did not gets one more chance.
    """
    search = _Search(limits, _Bounds(min(start, most), least, most, tolerance))
    again = True
    while again:
        while (rate := search.next_rate()) is not None:
            yield from search.tried(rate)
        again = yield from search.doubted(confirmations)
    text = ",".join(str(limit) for limit in limits)
    return Found(subject, text, search.low, tuple(search.steps), knee(search.steps), search.why())


def requests_for(limits: Sequence[Limit], confidence: float = 0.95) -> int:
    """Give how many requests it takes to judge all limits, with room for some correlation."""
    return max([_LEAST_REQUESTS, *(_needs(limit, confidence) for limit in limits)])


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


@dataclass(frozen=True)
class _Bounds:
    start: float
    least: float
    most: float
    tolerance: float


class _Search:
    """What is known so far; `steps` are all trials, and of each rate its last one counts."""

    def __init__(self, limits: Sequence[Limit], bounds: _Bounds) -> None:
        self.steps: list[Step] = []
        self._bounds = bounds
        self._requests = requests_for(limits)
        self._last: dict[float, Outcome] = {}
        self._floor = 0.0  # a rate that held although lower ones did not
        self._given_a_chance: set[float] = set()
        self._refuted: list[float] = []
        self._redeemed: list[float] = []

    @property
    def high(self) -> float | None:
        """The lowest rate that was not shown to hold, but for those known to be worse than higher ones."""
        return min((rate for rate, each in self._last.items() if not each.held and rate > self._floor), default=None)

    @property
    def low(self) -> float | None:
        """The highest rate below it that held."""
        high = self.high or math.inf
        return max((rate for rate, outcome in self._last.items() if outcome.held and rate < high), default=None)

    def next_rate(self) -> float | None:
        """Say what to try next; nothing if both ends are near enough, or there is nowhere to go."""
        low, high, bounds = self.low, self.high, self._bounds
        if len(self.steps) >= _MOST_TRIALS:
            return None
        if low is None and high is None:
            return bounds.start
        if low is None:
            return high / 2 if high is not None and high / 2 >= bounds.least else self._above()
        if high is None:
            return min(2 * low, bounds.most) if low < bounds.most else None
        return math.sqrt(low * high) if high > low * (1 + bounds.tolerance) else None

    def _above(self) -> float | None:
        """Where nothing holds, look above the start, too: servers that wait for a full batch are slow at low rates."""
        tries = (self._bounds.start * 2**power for power in range(1, _LOOKS_ABOVE + 1))
        return next((rate for rate in tries if rate not in self._last and rate <= self._bounds.most), None)

    def tried(self, rate: float, *, confirmation: bool = False) -> Generator[Trial, Outcome, bool]:
        """Try a rate, once more with more requests if that leaves it undecided."""
        for requests in (self._requests, _MORE * self._requests):
            outcome = yield Trial(rate, requests, confirmation)
            self.steps.append(Step(rate, outcome.held, outcome.judged, outcome.latency, confirmation, outcome.limited))
            self._last[rate] = outcome
            if not outcome.undecided:
                break
        if rate == self._floor and not outcome.held:
            self._floor = 0.0
        elif outcome.held and rate > (self.high or math.inf):
            self._floor = rate
        return outcome.held

    def doubted(self, confirmations: int) -> Generator[Trial, Outcome, bool]:
        """Try both ends again, and say whether that moved one, so that the search goes on."""
        low, high = self.low, self.high
        if low is None or len(self.steps) >= _MOST_TRIALS:
            return False
        for _ in range(confirmations):
            if not (yield from self.tried(low, confirmation=True)):
                self._refuted.append(low)
                return True
        if high is None or self._last[high].limited or high in self._given_a_chance:
            return False
        self._given_a_chance.add(high)
        if not (yield from self.tried(high, confirmation=True)):
            return False
        self._redeemed.append(high)
        return True

    def why(self) -> str:
        """Say what ended the search, and what was odd about it."""
        said = [self._end()]
        if self._refuted:
            said.append(f"not confirmed, though once held: {_listed(self._refuted)}")
        if self._redeemed:
            said.append(f"held at the second try only: {_listed(self._redeemed)}")
        worse = [rate for rate, each in self._last.items() if not each.held and rate < self._floor]
        if worse:
            said.append(f"not monotone: {_listed(worse)} did not hold, {self._floor:.4g} did")
        return "; ".join(said)

    def _end(self) -> str:
        high = self.high
        if len(self.steps) >= _MOST_TRIALS:
            return f"no end after {_MOST_TRIALS} trials: what holds changes from one to the next"
        if high is None:
            return "the highest rate allowed"
        outcome = self._last[high]
        if outcome.limited:
            return f"the generator's own limit at {high:.4g} a second: {outcome.limited}"
        if outcome.undecided:
            return f"the objective, which could not be judged at {high:.4g} a second: the bound is within the interval"
        return f"the objective, which does not hold at {high:.4g} a second"


def _listed(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:.4g}" for rate in sorted(set(rates))) + " a second"


def _needs(limit: Limit, confidence: float) -> int:
    if limit.figure.startswith("p"):
        return _ROOM * needed(float(limit.figure[1:]), confidence)
    if limit.figure == "errors" and 0 < limit.bound < 1:
        return needed(100 * (1 - limit.bound), confidence)
    return _LEAST_REQUESTS
