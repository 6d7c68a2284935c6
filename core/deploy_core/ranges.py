"""The least and the greatest size of a dynamic dimension: as its user says, else what is promised anyway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from deploy_core.errors import UsageError

Range = tuple[int, int]
Ranges = Mapping[str, Range]

GREATEST = 64


def range_of(symbol: str, own: int, given: Ranges) -> Range:
    """Give the range of a symbol: without one 1, and twice its `own` size in the example but at least 64."""
    return given.get(symbol, (1, max(2 * own, GREATEST)))


def require_known(ranges: Ranges, symbols: Iterable[str]) -> None:
    """Raise UsageError for a range of a symbol that is not among these."""
    known = tuple(dict.fromkeys(symbols))
    if unknown := sorted(ranges.keys() - set(known)):
        raise UsageError(
            f"a range is given for {unknown[0]!r}", hint=f"the dynamic dimensions are {', '.join(known) or 'none'}"
        )
