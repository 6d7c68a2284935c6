"""Whether one subject is faster than another: ratios of a figure over rounds, with an interval by bootstrap.

Requests of one round share what the machine did just then, so that it is rounds that are counted, not requests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from deploy_latency.baseline import Baseline
from deploy_latency.binomial import needed, student
from deploy_latency.estimate import Estimate
from deploy_latency.over_time import joined
from deploy_latency.percentiles import figure
from deploy_latency.report import Compared
from deploy_latency.samples import Samples, Seconds

FASTER, SLOWER, NO_DIFFERENCE = "faster", "slower", "no difference shown"
NOT_INTERLEAVED = (
    "The baseline is an earlier run, not interleaved with this one: what changed on the machine in between counts as the "
    "subject's change"
)
_RESAMPLES = 10_000
_ENUMERATED = 13  # rounds, whose subsets are all looked at


def rounds_needed(confidence: float = 0.95) -> int:
    """Give how many rounds it takes to say anything: fewer are all on one side by chance too often, as coins are. 6 at 95 %."""
    return needed(50, confidence)


def by_round(rounds: Sequence[Samples], names: Iterable[str], seconds: float) -> dict[str, list[float]]:
    """Give figures of each round by name, as a report keeps them for later comparisons; infinite ones stay so."""
    return {name: _values(rounds, name, seconds) for name in names}


def compared(
    rounds: Sequence[Samples],
    base_rounds: Sequence[Samples],
    name: str,
    seconds: float,
    *,
    subject: str = "",
    base: str = "",
    confidence: float = 0.95,
    seed: int = 0,
) -> Compared:
    """Compare a figure (`p99`, `mean`, `rate`) over rounds of `seconds` that ran in pairs. Raises ValueError for unequal numbers.

    With fewer rounds than `rounds_needed` no difference is shown, whatever the ratio.
    """
    values, base_values = _values(rounds, name, seconds), _values(base_rounds, name, seconds)
    if len(values) != len(base_values):
        raise ValueError(f"{len(values)} rounds of one and {len(base_values)} of the other are no pairs")
    ratio = _paired(_minus(_logs(values), _logs(base_values)), confidence, seed)
    return Compared(subject, base, name, ratio, verdict(name, ratio))


def against_baseline(
    rounds: Sequence[Samples],
    baseline: Baseline,
    name: str,
    seconds: float,
    *,
    subject: str = "",
    confidence: float = 0.95,
    seed: int = 0,
) -> Compared:
    """Compare with an earlier run, which no pairing can make fair: `NOT_INTERLEAVED` belongs beside it.

    Rounds of both are resampled if there are enough, else the intervals of both figures are combined, which knows of no
    difference from round to round.
    """
    ratio = _unpaired(rounds, baseline, name, seconds, confidence, seed)
    return Compared(subject, f"{baseline.subject} (baseline, not interleaved)", name, ratio, verdict(name, ratio))


def verdict(name: str, ratio: Estimate) -> str:
    """Say faster or slower only if the whole interval is on one side of 1."""
    if ratio.low is None or ratio.high is None or ratio.low <= 1 <= ratio.high:
        return NO_DIFFERENCE
    return FASTER if (ratio.low > 1) == (name == "rate") else SLOWER


def _unpaired(
    rounds: Sequence[Samples], baseline: Baseline, name: str, seconds: float, confidence: float, seed: int
) -> Estimate:
    needs = rounds_needed(confidence)
    if len(rounds) >= needs and len(baseline.rounds.get(name, ())) >= needs:
        return _apart(_logs(_values(rounds, name, seconds)), _logs(baseline.rounds[name]), confidence, seed)
    whole, n = joined(rounds, seconds), len(rounds)
    now = figure(whole, name, seconds * n, rounds=n, confidence=confidence)
    return _of_estimates(now, baseline.estimate(name), n, needs)


def _paired(logs: Seconds, confidence: float, seed: int) -> Estimate:
    """Give the wider of two intervals: the bootstrap's, and the one that is exact where pairs could as well be swapped."""
    n, needs, middle = len(logs), rounds_needed(confidence), _exp(_mean(logs))
    if n < needs:
        return Estimate(middle, None, None, n, needs, confidence)
    draw = np.random.default_rng(seed)
    low, high = _expanded(_mean(_resampled(logs, draw)), n, confidence)
    exact_low, exact_high = _subset_means(logs, draw, confidence)
    return Estimate(middle, _exp(min(low, exact_low)), _exp(max(high, exact_high)), n, needs, confidence)


def _apart(logs: Seconds, base: Seconds, confidence: float, seed: int) -> Estimate:
    """Give the ratio of two geometric means whose rounds are no pairs."""
    n, draw = min(len(logs), len(base)), np.random.default_rng(seed)
    drawn = _minus(_mean(_resampled(logs, draw)), _mean(_resampled(base, draw)))
    low, high = _expanded(drawn, n, confidence)
    middle = _exp(_minus(_mean(logs), _mean(base)))
    return Estimate(middle, _exp(low), _exp(high), n, rounds_needed(confidence), confidence)


def _resampled(values: Seconds, draw: np.random.Generator) -> Seconds:
    return values[draw.integers(len(values), size=(_RESAMPLES, len(values)))]


def _expanded(drawn: Seconds, n: int, confidence: float) -> tuple[float, float]:
    """Give the expanded percentile interval: by plain bootstrap, that of few rounds is too narrow.

    Hesterberg, What Teachers Should Know about the Bootstrap, 2014 (arXiv 1411.5279).
    """
    wider = NormalDist().cdf(-math.sqrt(n / (n - 1)) * student(confidence, n - 1))
    return _between(drawn, math.floor(wider * len(drawn)))


def _subset_means(logs: Seconds, draw: np.random.Generator, confidence: float) -> tuple[float, float]:
    """Give the interval of the means of subsets, which inverts the test that swaps pairs.

    Hartigan, Using subsample values as typical values, Journal of the American Statistical Association 64 (1969).
    """
    n = len(logs)
    if n <= _ENUMERATED:
        chosen = np.arange(1, 2**n)[:, None] >> np.arange(n) & 1
    else:
        chosen = draw.integers(2, size=(_RESAMPLES, n))
    subsets = chosen[chosen.any(axis=1)].astype(np.bool_)
    means = np.where(subsets, logs, 0.0).sum(axis=1) / subsets.sum(axis=1)
    return _between(means, math.floor((1 - confidence) / 2 * (len(means) + 1)) - 1)


def _between(drawn: Seconds, outside: int) -> tuple[float, float]:
    """Leave out so many on either side. What is infinite on both sides says nothing: it stretches the interval both ways."""
    low = np.sort(np.where(np.isnan(drawn), -np.inf, drawn))[outside]
    high = np.sort(np.where(np.isnan(drawn), np.inf, drawn))[-1 - outside]
    return float(low), float(high)


def _of_estimates(now: Estimate, base: Estimate, n: int, needs: int) -> Estimate:
    """Give the ratio of two figures from their intervals; Zou and Donner, Statistics in Medicine 27 (2008), on logarithms."""
    middle, base_middle = _logs([_known(now.value), _known(base.value)])
    value = _exp(_minus(middle, base_middle))
    ends = _logs([_known(end) for end in (now.low, now.high, base.low, base.high)])
    if value is None or not np.all(np.isfinite(ends)):
        return Estimate(value, None, None, n, needs, now.confidence)
    low, high, base_low, base_high = ends
    below, above = math.hypot(middle - low, base_high - base_middle), math.hypot(high - middle, base_middle - base_low)
    return Estimate(value, value * math.exp(-below), value * math.exp(above), n, needs, now.confidence)


def _values(rounds: Sequence[Samples], name: str, seconds: float) -> list[float]:
    return [_known(figure(each, name, seconds).value) for each in rounds]


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _logs(values: Sequence[float]) -> Seconds:
    with np.errstate(divide="ignore"):  # of nothing: a rate without answers is infinitely less
        logs: Seconds = np.log(np.array(values, np.float64))
    return logs


def _mean(logs: Seconds) -> Any:
    if logs.shape[-1] == 0:
        return np.float64(math.nan)
    with np.errstate(invalid="ignore"):  # of opposite infinities: not a number, as it should be
        return logs.mean(axis=-1)


def _minus(logs: Any, base: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return np.subtract(logs, base)


def _exp(log: float) -> float | None:
    with np.errstate(over="ignore"):
        return None if math.isnan(log) else float(np.exp(log))
