"""What `deploy bench` found, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy_toolkit.reports.bench import figures

if TYPE_CHECKING:
    from deploy_latency.report import Compared, Found, Judged, Measured, Report, Step

_VERDICTS = {
    "held": ("held", "green"),
    "broken": ("BROKEN", "bold red"),
    "undecided": ("UNDECIDED", "bold yellow"),
    "faster": ("faster", "green"),
    "slower": ("slower", "red"),
    "no difference shown": ("no difference shown", "dim"),
}


def bench(report: Report) -> RenderableType:
    """Give all tables that have something in them, and below them in red what makes figures something else than they seem."""
    parts = [
        *_measured(report.measured),
        *_stages(report.measured),
        *_compared(report.compared),
        *(part for found in report.found for part in _found(found)),
        *_judged(report.judged),
        *(Text(note, style="dim") for note in report.notes),
        *_loud(report.measured),
    ]
    return Group(*parts) if parts else Text("nothing was measured")


def _measured(measured: Sequence[Measured]) -> Iterator[RenderableType]:
    if not measured:
        return
    yield from _loads(measured)
    yield _latency(measured)
    yield _requests(measured)
    if any(_server_cells(one) for one in measured):
        yield _servers(measured)
    if any(one.generator for one in measured):
        yield _generators(measured)


def _loads(measured: Sequence[Measured]) -> Iterator[Text]:
    """Say the load once if it is the same for all."""
    loads = dict.fromkeys(one.load for one in measured)
    for load in loads:
        under = [one.subject for one in measured if one.load == load]
        yield Text(load if len(loads) == 1 else f"{', '.join(under)}: {load}")


def _latency(measured: Sequence[Measured]) -> Table:
    names = figures.columns(measured)
    sure = sorted({each.confidence for one in measured for each in one.latency.values()})
    table = _table("Latency, from when a request should have been sent", "subject", *names, "worst")
    table.caption = f"below each figure its {' or '.join(map(figures.percent, sure))} interval" if sure else None
    table.caption_justify = "left"
    for one in measured:
        cells = [_latency_cell(one, name) for name in names]
        table.add_row(Text(one.subject), *cells, _time(one.worst))
    return table


def _latency_cell(one: Measured, name: str) -> Text:
    return _pair(figures.time(one.latency[name])) if name in one.latency else Text(figures.NONE)


def _requests(measured: Sequence[Measured]) -> Table:
    columns = ("subject", "requests", "asked/s", "good/s", "failed", "wrong of checked", "mean", "steady from")
    table = _table("Requests", *columns)
    for one in measured:
        failed, checked = sum(one.failures.values()), one.checked
        table.add_row(
            Text(one.subject),
            f"{one.requests:,}",
            figures.number(one.offered),
            _pair(figures.count(one.rate)),
            Text(f"{failed:,}", style="bold red" if failed else ""),
            Text(f"{checked.wrong:,} of {checked.answers:,}", style="bold red" if checked.wrong else ""),
            _time(one.mean),
            _steady(one),
        )
    return table


def _servers(measured: Sequence[Measured]) -> Table:
    table = _table("The server", "subject", "first right answer after", "memory", "CPU/request")
    for one in measured:
        cells = _server_cells(one)
        if cells:
            table.add_row(Text(one.subject), *cells)
    return table


def _server_cells(one: Measured) -> list[str]:
    """Give cold start, memory and CPU time; nothing if none is known."""
    cpu = one.facts.get("server_cpu_per_request")
    cells = [figures.seconds(one.cold_start), figures.size(one.memory), figures.seconds(cpu)]
    return cells if set(cells) != {figures.NONE} else []


def _steady(one: Measured) -> Text:
    if one.steady_from is None:
        return Text("never", style="bold yellow") if one.requests else Text(figures.NONE)
    return Text(figures.seconds(one.steady_from) if one.steady_from else "the start")


def _generators(measured: Sequence[Measured]) -> Table:
    columns = ("subject", "processes", "CPU of busiest", "CPU/request", "late p99", "queued p99")
    table = _table("The generator itself", *columns)
    for one in measured:
        own = one.generator
        if own is None:
            continue
        times = (own.cpu_per_request, own.lateness_p99, own.queueing_p99)
        style = "bold red" if own.limited else ""
        cells = [str(own.workers), figures.share(own.cpu), *map(figures.seconds, times)]
        table.add_row(Text(one.subject), *(Text(cell, style=style) for cell in cells))
    return table


def _stages(measured: Sequence[Measured]) -> Iterator[RenderableType]:
    staged = [one for one in measured if one.stages]
    if not staged:
        return
    table = _table("Where the time goes", "subject", "stage", "mean", "share", "measured by")
    for one in staged:
        whole = sum(stage.seconds for stage in one.stages)
        for number, stage in enumerate(one.stages):
            part = figures.share(stage.seconds / whole) if whole else figures.NONE
            subject = Text("" if number else one.subject)
            table.add_row(subject, Text(stage.name), figures.seconds(stage.seconds), part, Text(stage.source))
        table.add_row("", Text("all of it"), figures.seconds(whole), "", "")
    yield table


def _compared(compared: Sequence[Compared]) -> Iterator[RenderableType]:
    if not compared:
        return
    columns = ("subject", "against", "figure", "ratio", "which is", "rounds", "verdict")
    table = _table("Comparison, by ratios of paired rounds", *columns)
    for one in compared:
        ratio = _pair(figures.count(one.ratio))
        names = (Text(one.subject), Text(one.base), Text(one.figure))
        table.add_row(*names, ratio, figures.change(one), f"{one.ratio.n:,}", _verdict(one.verdict))
    yield table


def _found(found: Found) -> Iterator[RenderableType]:
    if found.steps:
        yield _steps(found)
    knee = "" if found.knee is None else f"; latency begins to rise at {figures.number(found.knee)}/s"
    why = f" ({found.why})" if found.why else ""
    if found.rate is None:
        shown = (
            "no rate that was tried holds" if found.verdict == "broken" else "it could not be decided which rate holds"
        )
        yield Text(f"{found.subject}: {shown} {found.slo}{why}{knee}", style="bold red")
    else:
        told = f"{figures.number(found.rate)} requests/s hold {found.slo}{why}{knee}"
        yield Text(f"{found.subject}: {told}", style="bold")


def _steps(found: Found) -> Table:
    names = [name for name in ("p50", "p99") if any(name in step.latency for step in found.steps)]
    table = _table(
        f"Search of {found.subject} for the highest rate with {found.slo}", "rate", *names, "limits", "all in all"
    )
    for step in found.steps:
        cells = [_pair(figures.time(step.latency[name])) if name in step.latency else Text("") for name in names]
        told = figures.number(step.rate) + (" again" if step.confirmation else "")
        table.add_row(told, *cells, _limits(step), _verdict(step.verdict))
    return table


def _limits(step: Step) -> Text:
    limited = [Text("the generator was at its limit", style="bold yellow")] if step.limited else []
    return Text("\n").join([*(Text(f"{one.limit} ").append(_verdict(one.verdict)) for one in step.judged), *limited])


def _judged(judged: Sequence[Judged]) -> Iterator[RenderableType]:
    if not judged:
        return
    table = _table("Limits", "subject", "limit", "found", "verdict")
    for one in judged:
        table.add_row(Text(one.subject), Text(one.limit), _pair(figures.of_limit(one)), _verdict(one.verdict))
    yield table


def _loud(measured: Sequence[Measured]) -> Iterator[Text]:
    for one in measured:
        yield from (Text(f"{one.subject}: {text}", style="bold red") for text in figures.loud(one))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title, style="bold"), box=box.SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _pair(told: tuple[str, str]) -> Text:
    """A figure with its interval below it; loud if it is infinite, dim if it takes more data."""
    figure, interval = told
    style = "bold red" if figure == "∞" else "yellow" if interval.startswith("needs") else ""
    return Text(figure, style=style).append(f"\n{interval}", style=style or "dim")


def _time(value: float | None) -> Text:
    told = figures.seconds(value)
    return Text(told, style="bold red" if told == "∞" else "")


def _verdict(verdict: str) -> Text:
    told, style = _VERDICTS.get(verdict, (verdict, ""))
    return Text(told, style=style)
