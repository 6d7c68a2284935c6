"""Tables on narrow terminals."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

_ANY = 10_000  # characters, wider than any table


class Fitting:
    """The first of several tables that fits the terminal, else the last: rich would squeeze columns until nothing is left."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._tables = tables

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Give the table."""
        room = options.update(max_width=_ANY)
        fits = (table for table in self._tables if console.measure(table, options=room).maximum <= options.max_width)
        yield next(fits, self._tables[-1])
