"""The least and the greatest size of a dynamic dimension: as its user says, else what is promised anyway."""

from __future__ import annotations

from collections.abc import Mapping

Range = tuple[int, int]
Ranges = Mapping[str, Range]

GREATEST = 64


def range_of(symbol: str, own: int, given: Ranges) -> Range:
    """Give the range of a symbol: without one 1, and twice its `own` size in the example but at least 64."""
    return given.get(symbol, (1, max(2 * own, GREATEST)))
