"""A figure that says how sure it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """`value` with the interval in which the truth lies at `confidence`; None where there is too little data for it.

    `n` is how many samples there were, `needs` how many the interval takes at least.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    needs: int = 1
    confidence: float = 0.95

    @property
    def sure(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None
