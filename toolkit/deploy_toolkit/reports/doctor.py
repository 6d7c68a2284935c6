"""What `deploy doctor` found, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy_toolkit.probes.ways import lacks_of

if TYPE_CHECKING:
    from deploy_toolkit.flows.doctor import Diagnosis
    from deploy_toolkit.probes.ways import Able, Way

_STYLES = {"ok": "green", "warning": "yellow", "missing": "red"}


def diagnosis(found: Diagnosis) -> RenderableType:
    """Give what there is, then a row for each server, then what each lacks and what mends it."""
    shown = found.servers if found.findings["gpu"].ok else tuple(map(_on_cpu, found.servers))
    lacks = [line for one in shown for line in _lacks(one)]
    return Group(_findings(found), _servers(found.servers), *lacks, _verdict(found))


def _on_cpu(one: Able) -> Able:
    """Without a GPU, what else the ways on one would lack is of no use to anybody."""
    return replace(one, ways=tuple(way for way in one.ways if way.device == "cpu"))


def _findings(found: Diagnosis) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("here", "", "what there is"):
        table.add_column(column, overflow="fold")
    for name, finding in found.findings.items():
        told = Text(finding.told)
        if finding.hint and not finding.ok:
            told.append(f"\n→ {finding.hint}", style="dim")
        table.add_row(name, Text(finding.state, style=_STYLES[finding.state]), told)
    return table


def _servers(servers: Sequence[Able]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    columns = dict.fromkeys(_name(way) for one in servers for way in one.ways)
    for column in ("server", *columns, "serves"):
        table.add_column(column, overflow="fold")
    for one in servers:
        table.add_row(one.server, *map(_mark, one.ways), ", ".join(one.runs) or "–")
    return table


def _mark(way: Way) -> Text:
    if not way.ok:
        return Text("no", style="yellow")
    return Text(f"yes, with --image {way.image}" if way.image else "yes", style="green")


def _lacks(one: Able) -> list[Text]:
    lines = []
    for lack, ways in lacks_of(one.ways).items():
        where = "any way" if len(ways) == len(one.ways) else " and ".join(map(_name, ways))
        line = Text(f"{one.server}, {where}: lacks {lack.what}")
        lines.append(line.append(f"\n  → {lack.hint}", style="dim"))
    return lines


def _verdict(found: Diagnosis) -> Text:
    able = [(one.server, way) for one in found.servers for way in one.ways if way.ok]
    if not able:
        return Text("\nnothing can be served here yet", style="red")
    lines = [f"  {' '.join(['deploy serve NAME --server', server, *way.options])}" for server, way in able]
    return Text("\n".join(["", "this can run here:", *lines]), style="green" if found.ok else "yellow")


def _name(way: Way) -> str:
    return f"{way.where} on {way.device}"
