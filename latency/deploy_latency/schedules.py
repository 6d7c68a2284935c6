"""Arrivals: the times at which requests should be sent, whatever the server does meanwhile.

Everything else only obeys them: a generator that waits for a slow server would measure a stall once and hide the rest of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from deploy_core.errors import UsageError
from deploy_latency.samples import Seconds

_HIGHEST = 1e6  # requests a second; beyond, the times alone would fill the memory


class Schedule(Protocol):
    """Says when requests should be sent."""

    def times(self, seconds: float, seed: int) -> Seconds:
        """Give ascending times in [0, seconds)."""


@dataclass(frozen=True)
class Constant:
    """One request each 1/rate seconds. Raises UsageError for a rate that is none, as all of them do."""

    rate: float

    def __post_init__(self) -> None:
        _require(self.rate)

    def times(self, seconds: float, seed: int) -> Seconds:
        """Give evenly spaced times; the seed is of no use."""
        times = np.arange(math.ceil(seconds * self.rate), dtype=np.float64) / self.rate
        return times[times < seconds]


@dataclass(frozen=True)
class Poisson:
    """Independent users: the gaps are exponential, `rate` requests a second on average."""

    rate: float

    def __post_init__(self) -> None:
        _require(self.rate)

    def times(self, seconds: float, seed: int) -> Seconds:
        """Give a Poisson process, which is its number drawn and then its places drawn evenly."""
        draw = np.random.default_rng(seed)
        return np.sort(draw.uniform(0.0, seconds, draw.poisson(self.rate * seconds)))


@dataclass(frozen=True)
class Ramp:
    """Independent users who become more or fewer: the rate goes evenly from `begin` to `end` over the whole run."""

    begin: float
    end: float

    def __post_init__(self) -> None:
        _require(max(self.begin, self.end))
        if not min(self.begin, self.end) >= 0:
            raise UsageError(f"a rate of {min(self.begin, self.end):g} requests a second", hint="a ramp may begin at 0")

    def times(self, seconds: float, seed: int) -> Seconds:
        """Give a Poisson process whose rate changes: places drawn evenly in what is expected up to then, turned into times."""
        draw = np.random.default_rng(seed)
        expected = (self.begin + self.end) / 2 * seconds
        places = np.sort(draw.uniform(0.0, expected, draw.poisson(expected)))
        # begin·t + slope·t²/2 = place, solved in the form that neither a slope nor a beginning of 0 divides by zero.
        root = np.sqrt(self.begin**2 + 2 * (self.end - self.begin) / seconds * places)
        times = 2 * places / np.maximum(self.begin + root, np.finfo(np.float64).tiny)
        return np.minimum(times, np.nextafter(seconds, 0.0))


@dataclass(frozen=True, eq=False)
class Replay:
    """Recorded arrivals, counted from the first one, at `speed` times the pace that they had.

    They are sent as they were and no more: a run that is longer than `seconds` is silent after them, unless they are
    `looped`; one that is shorter sends those of its length. The first `begin` seconds are left out.
    """

    arrivals: Seconds = field(repr=False)
    speed: float = 1.0
    looped: bool = False
    begin: float = 0.0

    def __post_init__(self) -> None:
        arrivals = np.sort(np.asarray(self.arrivals, np.float64))
        if not len(arrivals) or not np.isfinite(arrivals).all():
            raise UsageError(f"a trace of {len(arrivals)} arrivals, not all of them times", hint="give seconds")
        if not (math.isfinite(self.speed) and self.speed > 0):
            raise UsageError(f"a speed of {self.speed:g}", hint="2 replays twice as fast, 0.5 half as fast")
        object.__setattr__(self, "arrivals", arrivals - arrivals[0])

    @property
    def seconds(self) -> float:
        """How long it takes to its last arrival and the usual gap after that."""
        last, count = float(self.arrivals[-1]), len(self.arrivals)
        return (last * count / (count - 1) if count > 1 and last > 0 else last + 1.0) / self.speed

    def times(self, seconds: float, seed: int) -> Seconds:
        """Give the recorded times; the seed is of no use."""
        once = self.arrivals / self.speed
        end = self.begin + seconds
        rounds = math.ceil(end / self.seconds) if self.looped else 1
        _require(max(len(once) * rounds / end, 1 / end))
        times = (once[None, :] + self.seconds * np.arange(rounds)[:, None]).ravel()
        return times[(times >= self.begin) & (times < end)] - self.begin


def warming(schedule: Schedule) -> Schedule:
    """Give what warms up for a schedule: itself, for a ramp the rate at which it begins."""
    if isinstance(schedule, Ramp):
        return Poisson(schedule.begin or schedule.end / 10)
    return schedule


def from_then(schedule: Schedule | None, begin: float) -> Schedule | None:
    """Give what is sent from `begin` on, in seconds: of a recorded trace the rest; all others begin anew."""
    return replace(schedule, begin=schedule.begin + begin) if isinstance(schedule, Replay) else schedule


def parted(times: Seconds, parts: int) -> list[Seconds]:
    """Deal times out in turn, so that each part has the shape of the whole."""
    return [times[part::parts] for part in range(parts)]


def peak(times: Seconds) -> float:
    """Give the most requests that come within any one of the seconds, as a rate."""
    if not len(times):
        return 0.0
    _, counts = np.unique(np.floor(times - times[0]), return_counts=True)
    return float(counts.max()) / min(1.0, max(float(times[-1] - times[0]), 0.1))


def _require(rate: float) -> None:
    if not (math.isfinite(rate) and 0 < rate <= _HIGHEST):
        raise UsageError(
            f"a rate of {rate:g} requests a second", hint=f"it has to be more than 0, and at most {_HIGHEST:g}"
        )
