"""Figures of a run, each with its interval: percentiles by order statistics, mean, errors and rate.

A request that failed or was not answered counts as one that took for ever, so a percentile among them is infinite. Values
are taken in the order in which requests were sent, because neighbours that queued together make intervals wider.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from deploy_latency import binomial
from deploy_latency.binomial import needed
from deploy_latency.correlation import BATCHES, batch_means, inflation, neighbours
from deploy_latency.estimate import Estimate
from deploy_latency.samples import Samples, Seconds

__all__ = ["QS", "errors", "estimate", "felt", "figure", "mean", "name_of", "needed", "percentiles", "rate", "slower"]

QS = (50.0, 90.0, 95.0, 99.0, 99.9)
_SLICES = max(BATCHES)
_DEEPER = 5  # correlation is looked at where so many times more requests lie above, too


def felt(samples: Samples) -> Seconds:
    """Give the latency of every request as its sender felt it: infinite where no good answer came.

    To a nanosecond: what subtraction leaves beyond that is noise, in which equal values would be ranked.
    """
    return np.where(samples.ok, np.round(samples.latency, 9), np.inf)


def name_of(q: float) -> str:
    """Name a percentile: `p50`, `p99.9`."""
    return f"p{q:.12g}"


def percentiles(samples: Samples, qs: Sequence[float] = QS, *, confidence: float = 0.95) -> dict[str, Estimate]:
    """Estimate several percentiles of what senders felt, by name."""
    values = felt(samples)
    ordered, nearby = np.sort(values), neighbours(values)
    return {name_of(q): _estimate(values, ordered, nearby, q, confidence) for q in qs}


def estimate(values: Seconds, q: float, *, confidence: float = 0.95) -> Estimate:
    """Estimate percentile `q` of values in the order of sending; infinite ones count.

    With too few samples, a side that no order statistic bounds is None; `needs` grows where neighbours are alike.
    """
    values = np.asarray(values, np.float64)
    return _estimate(values, np.sort(values), neighbours(values), q, confidence)


def mean(samples: Samples, *, confidence: float = 0.95) -> Estimate:
    """Estimate the mean of what senders felt, by batch means; infinite as soon as one request failed."""
    values, n, needs = felt(samples), len(samples), 2 * _SLICES
    if n == 0:
        return Estimate(None, None, None, 0, needs, confidence)
    if not np.all(np.isfinite(values)):
        return Estimate(math.inf, math.inf, math.inf, n, 1, confidence)
    middle = float(np.mean(values))
    if n < needs:
        return Estimate(middle, None, None, n, needs, confidence)
    wide = max(*(_half(batch_means(values, batches), confidence) for batches in BATCHES), _half(values, confidence))
    return Estimate(middle, middle - wide, middle + wide, n, needs, confidence)


def errors(samples: Samples, *, confidence: float = 0.95) -> Estimate:
    """Estimate the share of requests that fail, by Clopper and Pearson over the effective sample size."""
    return _share(~samples.ok, confidence)


def slower(samples: Samples, seconds: float, *, confidence: float = 0.95) -> Estimate:
    """Estimate the share of requests that took their senders so long or longer, as `errors` those that fail."""
    return _share(felt(samples) >= seconds, confidence)


def _share(chosen: NDArray[np.bool_], confidence: float) -> Estimate:
    n = len(chosen)
    if n == 0:
        return Estimate(None, None, None, 0, 1, confidence)
    fewer = inflation(chosen, neighbours(chosen.astype(np.float64)), confidence)
    low, high = binomial.share(chosen.sum() / fewer, max(1.0, n / fewer), confidence)
    return Estimate(float(chosen.mean()), low, high, n, 1, confidence)


def rate(samples: Samples, seconds: float, *, rounds: int = 1, confidence: float = 0.95) -> Estimate:
    """Estimate good answers a second while requests were sent, which was for `seconds` in all `rounds` together.

    Counted from the earliest that an answer could come until sending ends, in each round that `over_time.joined` laid after
    the one before: what arrives later, a server that was overloaded answers in its own time, not in that of the next round.
    The interval is that of the mean of 20 slices of that time.
    """
    good = samples.where(samples.ok)
    if not len(good):
        return Estimate(0.0 if len(samples) else None, None, None, 0, _SLICES, confidence)
    each = seconds / rounds
    begin = min(float(np.min(good.latency)), each / 2)
    number = np.searchsorted(np.arange(1, rounds) * each, good.intended, side="right")
    since, counted = good.done - number * each - begin, each - begin
    within = (since > 0) & (since <= counted)
    whole = rounds * counted
    counts, _ = np.histogram((since + number * counted)[within], bins=_SLICES, range=(0.0, whole))
    value = float(counts.sum()) / whole
    if len(good) < _SLICES:
        return Estimate(value, None, None, len(good), _SLICES, confidence)
    # Where evenly spaced answers fall on an edge, one more or less is counted.
    wide = max(_half(counts * _SLICES / whole, confidence), 1 / whole)
    return Estimate(value, max(0.0, value - wide), value + wide, len(good), _SLICES, confidence)


def figure(samples: Samples, name: str, seconds: float, *, rounds: int = 1, confidence: float = 0.95) -> Estimate:
    """Estimate a figure by the name that limits call it: `p99`, `mean`, `errors`, `rate`."""
    if name == "mean":
        return mean(samples, confidence=confidence)
    if name == "errors":
        return errors(samples, confidence=confidence)
    if name == "rate":
        return rate(samples, seconds, rounds=rounds, confidence=confidence)
    return estimate(felt(samples), float(name.removeprefix("p")), confidence=confidence)


def _estimate(values: Seconds, ordered: Seconds, nearby: float, q: float, confidence: float) -> Estimate:
    n, least = len(ordered), needed(q, confidence)
    if n == 0:
        return Estimate(None, None, None, 0, least, confidence)
    value = ordered[_rank(n, q) - 1]
    fewer = max(inflation(values > ordered[_rank(n, at) - 1], nearby, confidence) for at in {q, _inner(q)})
    effective = max(1, int(n / fewer))
    low, high = binomial.ranks(effective, q, confidence)
    lower = ordered[max(1, low * n // effective) - 1] if low > 0 else None
    upper = ordered[min(n, -(-high * n // effective)) - 1] if high <= effective else None
    return Estimate(float(value), _number(lower), _number(upper), n, math.ceil(least * fewer), confidence)


def _inner(q: float) -> float:
    """Give the percentile with more requests beyond it, where clusters of slow ones can be counted: p95 for p99."""
    return q if q <= 50 else max(50.0, 100 - _DEEPER * (100 - q))


def _rank(n: int, q: float) -> int:
    return max(1, math.ceil(n * Fraction(str(q)) / 100))


def _half(values: Seconds, confidence: float) -> float:
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return binomial.student(confidence, len(values) - 1) * spread


def _number(value: np.float64 | None) -> float | None:
    return None if value is None else float(value)
