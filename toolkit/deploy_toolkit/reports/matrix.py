"""What converts to what, as a table one likes to read: kinds of sources as rows, formats as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy_exporters.formats import UNHEARD, split

if TYPE_CHECKING:
    from deploy_exporters.routes import Cell


def matrix(cells: Sequence[Cell]) -> RenderableType:
    """Give the matrix of the float formats, their variants, and below it why not and what to install."""
    plain = [cell for cell in cells if not split(cell.format)[1]]
    names = dict.fromkeys(cell.format for cell in plain)
    table = Table(box=box.SIMPLE)
    for column in ("from", *names):
        table.add_column(column, no_wrap=column == "from")
    for kind in dict.fromkeys(cell.kind for cell in plain):
        row = {cell.format: cell for cell in plain if cell.kind == kind}
        table.add_row(kind, *(_cell(row[name]) for name in names))
    return Group(table, *map(Text, (*_variants(cells), *_reasons(plain), *_installs(cells))), Text(_MORE, style="dim"))


def every(cells: Sequence[Cell]) -> RenderableType:
    """Give a row for every pair, variants included, with its route."""
    table = Table(box=box.SIMPLE)
    for column in ("from", "to", "route", "here"):
        table.add_column(column, overflow="fold")
    for cell in cells:
        here = Text(cell.reason, style="dim") if cell.reason else _here(cell)
        table.add_row(cell.kind, cell.format, " · ".join(cell.route) or "–", here)
    return table


def word(cell: Cell) -> str:
    """Give one word for a pair: yes, written (for what nothing here can run), what it needs, or a dash."""
    if cell.reason:
        return "–"
    if cell.missing:
        return f"needs {', '.join(cell.extras)}"
    return "written" if cell.format in UNHEARD else "yes"


def variants(cells: Sequence[Cell]) -> dict[str, list[str]]:
    """Give the variants of each format that has some."""
    found: dict[str, list[str]] = {}
    for name, variant in dict.fromkeys(split(cell.format) for cell in cells):
        if variant:
            found.setdefault(name, []).append(variant)
    return found


_MORE = "every route, and every reason: deploy formats --all"
_STYLES = {"yes": "green", "written": "cyan", "–": "dim"}


def _cell(cell: Cell) -> Text:
    told = word(cell)
    return Text(told, style=_STYLES.get(told, "yellow"))


def _here(cell: Cell) -> Text:
    if not cell.missing:
        return Text(word(cell), style="green")
    return Text(f"needs {', '.join(cell.missing)}: {_install(cell)}", style="yellow")


def _variants(cells: Sequence[Cell]) -> list[str]:
    lines = [f"{name} also as {', '.join(found)} (--quantize)" for name, found in variants(cells).items()]
    unheard = [name for name in dict.fromkeys(cell.format for cell in cells) if name in UNHEARD]
    return lines + [f"{name} is written, not run: nothing here can run it" for name in unheard]


def _reasons(cells: Sequence[Cell]) -> list[str]:
    """Each reason once, with the pairs that it holds for."""
    found: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if cell.reason:
            found.setdefault((cell.kind, cell.reason), []).append(cell.format)
    merged: dict[tuple[str, str], list[str]] = {}
    for (kind, reason), names in found.items():
        # A kind that is only kept as it is converts to nothing else; which formats those are says nothing more.
        told = ", ".join(names) if len(names) < _MANY else "anything else"
        merged.setdefault((told, reason), []).append(kind)
    return [f"{', '.join(kinds)} → {told}: {reason}" for (told, reason), kinds in merged.items()]


_MANY = 6


def _installs(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(f"missing here: {_install(cell)}" for cell in cells if cell.missing))


def _install(cell: Cell) -> str:
    return f"pip install 'deploy-toolkit[{','.join(cell.extras)}]'"
