"""Arrivals: the times at which requests should be sent, whatever the server does meanwhile.

Everything else only obeys them: a generator that waits for a slow server would measure a stall once and hide the rest of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from deploy_latency.samples import Seconds


class Schedule(Protocol):
    """Says when requests should be sent."""

    def times(self, seconds: float, seed: int) -> Seconds:
        """Give ascending times in [0, seconds)."""


@dataclass(frozen=True)
class Constant:
    """One request each 1/rate seconds."""

    rate: float

    def times(self, seconds: float, seed: int) -> Seconds:
        """Give evenly spaced times; the seed is of no use."""
        return np.arange(int(np.ceil(seconds * self.rate)), dtype=np.float64) / self.rate


@dataclass(frozen=True)
class Poisson:
    """Independent users: the gaps are exponential, `rate` requests a second on average."""

    rate: float

    def times(self, seconds: float, seed: int) -> Seconds:
        """Give a Poisson process, which is its number drawn and then its places drawn evenly."""
        draw = np.random.default_rng(seed)
        return np.sort(draw.uniform(0.0, seconds, draw.poisson(self.rate * seconds)))
