"""Recorded arrivals, as files have them: a column of seconds, or a CSV file with such a column."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deploy_core.errors import UsageError
from deploy_latency.samples import Seconds
from deploy_latency.schedules import Replay

NAMES = ("seconds", "time", "timestamp", "arrival", "arrived", "t")
_HINT = "a trace is a number of seconds a line, or a CSV file whose header names the column"


def replay(path: Path, *, column: str = "", speed: float = 1.0, looped: bool = False) -> Replay:
    """Read a trace; seconds may count from any moment, and lines may be in any order.

    Without `column` it is the only one, else the first whose name is one of `NAMES`. Raises UsageError.
    """
    return Replay(arrivals(path, column=column), speed, looped)


def arrivals(path: Path, *, column: str = "") -> Seconds:
    """Give the times of a trace as they stand there. Raises UsageError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            found = list(_numbers(path, csv.reader(file), column))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"the trace {path} cannot be read: {error}", hint=_HINT) from None
    if not found:
        raise UsageError(f"the trace {path} has no arrivals", hint=_HINT)
    return np.array(found)


def _numbers(path: Path, rows: Iterator[list[str]], column: str) -> Iterator[float]:
    place: int | None = None
    for line, row in enumerate(rows, 1):
        if not any(cell.strip() for cell in row):
            continue
        if place is None:
            place = _place(path, row, column)
            if _header(row):
                continue
        yield _number(path, line, row[place] if place < len(row) else "")


def _place(path: Path, first: list[str], column: str) -> int:
    names = [cell.strip().lower() for cell in first] if _header(first) else []
    if column:
        if column.lower() not in names:
            raise UsageError(
                f"the trace {path} has no column {column!r}", hint=f"it has {', '.join(names) or 'no header'}"
            )
        return names.index(column.lower())
    if len(first) == 1:
        return 0
    for name in NAMES:
        if name in names:
            return names.index(name)
    told = f"columns {', '.join(names)}" if names else f"{len(first)} columns and no header"
    raise UsageError(f"which column of {path} has the seconds? It has {told}", hint=f"call it {NAMES[0]!r}")


def _header(row: list[str]) -> bool:
    return not any(_is_number(cell) for cell in row)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{path}, line {line}: {text.strip()[:40]!r} is no number of seconds", hint=_HINT)
    return value
