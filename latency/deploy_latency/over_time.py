"""How a run went, slice by slice, and rounds laid one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deploy_latency.percentiles import felt
from deploy_latency.report import Moment
from deploy_latency.samples import Samples, Seconds

_SLICES = 60


def moments(samples: Samples, seconds: float, slices: int = _SLICES) -> tuple[Moment, ...]:
    """Cut the run by the time at which requests should have been sent; figures are those of the samples, without intervals.

    A slice without requests has no percentiles; one with a failure is worst for ever.
    """
    if not len(samples):
        return ()
    values, good = felt(samples), samples.ok
    edges = np.linspace(0, max(seconds, float(samples.intended[-1])), slices + 1)
    at = np.searchsorted(samples.intended, edges)
    at[-1] = len(samples)
    width = float(edges[1] - edges[0])
    cuts = zip(edges[:-1], at[:-1], at[1:], strict=True)
    return tuple(_moment(float(begin), width, np.sort(values[i:j]), int(np.sum(~good[i:j]))) for begin, i, j in cuts)


def joined(rounds: Sequence[Samples], seconds: float) -> Samples:
    """Lay rounds of `seconds` each one after another, so that only real neighbours are neighbours. Raises ValueError for none."""
    return Samples.merged([_later(each, i * seconds) for i, each in enumerate(rounds)])


def _moment(begin: float, seconds: float, ordered: Seconds, failed: int) -> Moment:
    n = len(ordered)
    if n == 0:
        return Moment(begin, seconds, 0, 0, None, None, None)
    p50, p99 = (float(ordered[-(-n * q // 100) - 1]) for q in (50, 99))
    return Moment(begin, seconds, n, failed, p50, p99, float(ordered[-1]))


def _later(samples: Samples, by: float) -> Samples:
    return replace(
        samples,
        intended=samples.intended + by,
        fired=samples.fired + by,
        sent=samples.sent + by,
        done=samples.done + by,
    )
