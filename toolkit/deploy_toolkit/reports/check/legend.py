"""What each check asks, in a line for who sees its name as that of a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CHECKS: Mapping[str, str] = {
    "golden": "the golden inputs, as a whole and in slices of 1, 2, 3 and 7 rows",
    "sizes": "other sizes of the dimensions that are free beside the batch",
    "as published": "an int8 or float16 variant: what it answered itself when it was published",
    "drawn": "further rows in the range of the golden ones, by --seed, in batches of many sizes",
    "given": "your own inputs, those of --inputs",
    "again": "the same twice: the answers are the same",
    "order": "the rows in another order: the answers come in that order",
    "at once": "an endpoint by 8 at a time: each gets the answers to its own rows",
    "one of many": "an endpoint over fresh connections: whoever stands behind it answers the same",
    "transports": "one server by REST and gRPC, in each dialect and form: the same bits",
    "edges": "zeros, ones, least and largest numbers, NaN, first and last integers, empty masks",
    "search": "the worst input that --search found",
}


def legend(names: Iterable[str]) -> list[tuple[str, str]]:
    """Give name and meaning of those of these checks that need one."""
    return [(name, CHECKS[name]) for name in names if name in CHECKS]


def lines() -> str:
    """Give all of it as a table of text."""
    wide = max(map(len, CHECKS))
    return "\n".join(f"  {name:<{wide}}  {meaning}" for name, meaning in CHECKS.items())
