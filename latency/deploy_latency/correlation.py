"""How much less n requests say than n independent ones: those that queue together are slow together.

The variance of a share of requests is compared between what independence would give and what batches of consecutive
requests show (batch means). The ratio is the `inflation`; n / inflation is the effective sample size. Heidelberger and
Lewis, Quantile estimation in dependent sequences, Operations Research 32 (1984); Chen and Kelton, Quantile and histogram
estimation, Winter Simulation Conference 2001.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy_latency.binomial import student
from deploy_latency.samples import Seconds

BATCHES = (10, 20)
_LEAST = 2 * max(BATCHES)
_CHANCE = 0.99  # how sure it must be that neighbours are alike: else good samples would be called too few too often
_CLEAR = 36.19 / 19  # chi-squared with 19 degrees exceeds 36.19 in 1 of 100


def neighbours(values: Seconds) -> float:
    """Give the rank correlation of each value with the next; ranks, since one stall or an infinite value would rule."""
    if len(values) < 3:
        return 0.0
    rank = ranked(values)
    off = rank - rank.mean()
    return float(off[1:] @ off[:-1] / (off @ off)) if np.any(off) else 0.0


def ranked(values: Seconds) -> Seconds:
    """Give each value's rank from 1, equal values the middle one of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Seconds = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def inflation(chosen: NDArray[np.bool_], nearby: float, confidence: float) -> float:
    """Give by how much the variance of the share of `chosen` exceeds that of independent ones, at least 1.

    `nearby` is what `neighbours` gave. While neither it nor the batches differ from chance, this is exactly 1; else it is
    the greater of two batchings, raised by what Student's t asks for so few batches.
    """
    n, p = len(chosen), float(np.mean(chosen)) if len(chosen) else 0.0
    if p in {0.0, 1.0}:
        return 1.0
    far = nearby > NormalDist().inv_cdf(_CHANCE) / math.sqrt(n)
    if n < _LEAST:
        return max(1.0, (1 + nearby) / (1 - nearby)) if far else 1.0  # of a first-order autoregression
    ratios = [_between(chosen, batches) / (p * (1 - p)) for batches in BATCHES]
    if not far and ratios[-1] < _CLEAR:
        return 1.0
    normal = NormalDist().inv_cdf((1 + confidence) / 2)
    few = [(student(confidence, batches - 1) / normal) ** 2 for batches in BATCHES]
    return max(1.0, *(ratio * more for ratio, more in zip(ratios, few, strict=True)))


def batch_means(values: NDArray[Any], batches: int) -> NDArray[np.float64]:
    """Give the means of equal batches of consecutive values; what does not fill a batch is left out at the front."""
    size = len(values) // batches
    means: NDArray[np.float64] = values[len(values) - size * batches :].reshape(batches, size).mean(axis=1)
    return means


def _between(chosen: NDArray[np.bool_], batches: int) -> float:
    """Give the variance that one request would have if requests were independent and batches varied as they do."""
    return len(chosen) // batches * float(np.var(batch_means(chosen, batches), ddof=1))
