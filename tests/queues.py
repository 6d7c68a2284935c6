"""Latencies whose distribution is known: a queue with one server, and rounds made of them."""

from __future__ import annotations

import math

import numpy as np

from deploy_latency.samples import Samples, Seconds

_SETTLING = 3000


def samples(latency: Seconds, at: Seconds | None = None) -> Samples:
    """Requests sent at those times, else a thousand a second; an infinite latency is no answer."""
    latency = np.asarray(latency, np.float64)
    at = np.arange(len(latency)) / 1000 if at is None else at
    failure = np.where(np.isfinite(latency), 0, 1).astype(np.int16)
    return Samples(at, at, at, at + latency, failure, np.zeros(len(at), np.int32), ("", "no answer within 10 s"))


def queue(n: int, busy: float, draw: np.random.Generator) -> Samples:
    """M/M/1 with a mean service of 1 ms, which is `busy` of the time; steady from the start where that is below 1.

    The time in the system is exponential with mean 1 ms / (1 - busy), and neighbours are alike.
    """
    extra = _SETTLING if busy < 1 else 0
    gaps, service = draw.exponential(0.001 / busy, n + extra), draw.exponential(0.001, n + extra)
    walk = np.concatenate([[0.0], np.cumsum(service[:-1] - gaps[1:])])
    latency = walk - np.minimum.accumulate(walk) + service
    at = np.cumsum(gaps)[extra:]
    return samples(latency[extra:], at - at[0])


def queue_percentile(q: float, busy: float) -> float:
    """Give the percentile of the time in that system, in seconds."""
    return -math.log(1 - q / 100) * 0.001 / (1 - busy)
