"""What makes a file from outside unsafe to open."""

from __future__ import annotations

from dataclasses import dataclass

TRUST = "--trust opens it all the same"


@dataclass(frozen=True)
class Danger:
    """`what` the file would do and where in it, and what to do instead; `trustable`: whether `--trust` allows it."""

    what: str
    hint: str = ""
    trustable: bool = True


def some(names: list[str], most: int = 5) -> str:
    """Give the first of many names, and how many more there are."""
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
