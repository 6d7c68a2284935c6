"""How many of n independent requests lie below a quantile is binomial: the one distribution that all intervals rest on.

Its figures are exact, not normal approximations; there is nothing here but numpy and the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_BISECTIONS = 60  # of [0, 1]: finer than a float near 1e-18


def needed(q: float, confidence: float = 0.95) -> int:
    """Give the least number of independent samples that have an interval for percentile `q`: 368 for p99 at 95 %."""
    p, tail = max(q, 100 - q) / 100, (1 - confidence) / 2
    return math.ceil(math.log(tail) / math.log(p))


@lru_cache(maxsize=4096)
def ranks(n: int, q: float, confidence: float) -> tuple[int, int]:
    """Give the ranks (from 1) of the two order statistics around percentile `q`, equal tails; 0 and n + 1 if there is none.

    David and Nagaraja, Order Statistics, 3rd edition, section 7.1.
    """
    tail = (1 - confidence) / 2
    first, below = _cumulated(n, q / 100)
    low = first + int(np.searchsorted(below, tail, side="right"))
    high = first + int(np.searchsorted(below, 1 - tail, side="left")) + 1
    return low, min(high, n + 1)


def share(k: float, n: float, confidence: float) -> tuple[float, float]:
    """Give the interval of Clopper and Pearson for a share of which k of n were seen; fractions widen it."""
    tail, whole = (1 - confidence) / 2, max(int(n), 1)
    least, most = math.floor(k), min(math.ceil(k), whole)
    low = 0.0 if least == 0 else _bisect(lambda p: 1 - at_most(least - 1, whole, p) < tail)
    high = 1.0 if most == whole else _bisect(lambda p: at_most(most, whole, p) > tail)
    return low, high


def at_most(k: int, n: int, p: float) -> float:
    """Give the probability of at most k of n."""
    first, below = _cumulated(n, p)
    if k < first:
        return 0.0
    return float(below[min(k - first, len(below) - 1)])


def student(confidence: float, freedom: int) -> float:
    """Give the two-sided quantile of Student's t; Abramowitz and Stegun 26.7.5, right to 1e-3 from 5 degrees on."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum((term / float(freedom) ** power for power, term in enumerate(terms, 1)), 0.0)


def _cumulated(n: int, p: float) -> tuple[int, NDArray[np.float64]]:
    """Give the first count that is not impossible in practice, and the distribution function from there on."""
    reach = 12 * math.sqrt(n * p * (1 - p)) + 40
    first, last = max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach))
    k = np.arange(first, last, dtype=np.float64)
    steps = np.log((n - k) / (k + 1)) + (math.log(p) - math.log1p(-p))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    weights = np.exp(logs - logs.max())
    return first, np.cumsum(weights) / weights.sum()


def _bisect(below: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return (low + high) / 2
