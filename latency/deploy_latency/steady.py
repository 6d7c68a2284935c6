"""From when on a run is steady, and whether its latency grows for as long as it lasts, as that of an overloaded server does.

Both look at ranks and medians, not at seconds: one stall is no trend, and an infinite latency can be ranked.
"""

from __future__ import annotations

import numpy as np

from deploy_latency.correlation import batch_means, ranked
from deploy_latency.percentiles import felt
from deploy_latency.samples import Samples, Seconds

_BATCH = 5
_LEAST = 10 * _BATCH
_SLICES = 10
_ORDERLY = 0.7  # Kendall's tau of ten slices; by chance 1 in 200 independent ones
_GROWTH = 1.5  # by which the last third of the run must exceed the first


def steady_from(samples: Samples) -> float | None:
    """Give the intended time of the first request of the steady part; None if there is none, or too few requests to tell.

    MSER-5 (White, Cobb and Spratt, A comparison of five steady-state truncation heuristics for simulation, Winter
    Simulation Conference 2000) on ranks: what is cut off in front is what makes the rest's mean surest. If that were more
    than half of the run, or latency is `growing`, the run never became steady.
    """
    n = len(samples)
    if n < _LEAST or growing(samples):
        return None
    means = batch_means(ranked(felt(samples)), n // _BATCH)
    cut = int(np.argmin(_marginal_errors(means)))
    if cut > len(means) // 2:
        return None
    return float(samples.intended[cut and n % _BATCH + cut * _BATCH])


def growing(samples: Samples) -> bool:
    """Say whether latency grows all the time: the medians of ten slices in order, and in the end much above the beginning."""
    if len(samples) < _LEAST:
        return False
    medians = np.array([_median(part) for part in np.array_split(felt(samples), _SLICES)])
    early, late = _median(medians[:3]), _median(medians[-3:])
    return _tau(medians) >= _ORDERLY and late > _GROWTH * early


def _marginal_errors(means: Seconds) -> Seconds:
    """Give for each cut in front the squared standard error of the mean of the rest, but for cuts near the end."""
    left = np.arange(len(means), 0, -1, dtype=np.float64)
    total, squares = np.cumsum(means[::-1])[::-1], np.cumsum(means[::-1] ** 2)[::-1]
    errors: Seconds = ((squares - total**2 / left) / left**2)[: -max(5, len(means) // 10)]
    return errors


def _tau(values: Seconds) -> float:
    """Give Kendall's rank correlation with time; ties count for nothing."""
    later, earlier = np.triu_indices(len(values), 1)[::-1]
    higher, lower = values[later] > values[earlier], values[later] < values[earlier]
    return (int(higher.sum()) - int(lower.sum())) / len(later)


def _median(values: Seconds) -> float:
    return float(np.sort(values)[len(values) // 2])
