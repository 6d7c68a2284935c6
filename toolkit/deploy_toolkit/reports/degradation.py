"""What variants with coarser numbers cost, as a table for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from deploy_agreement import Agreement, OutputDegradation, Report

_STYLES = {"ok": "green", "degraded": "yellow", "collapsed": "bold red"}
_COLUMNS = (
    "variant", "output", "size / float", "max error / spread", "rms error / spread", "top-1 flips", "verdict",
)  # fmt: skip


def parts(report: Report) -> list[Table | Text]:
    """Give a row for every output of every variant and a warning for each that is not ok; nothing without variants."""
    rows = [row for row in report.rows if row.degradation is not None]
    if not rows:
        return []
    table = Table(title="What coarser numbers cost", box=box.SIMPLE, title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, overflow="fold", no_wrap=column == "variant")
    for row in rows:
        for cells in _rows(row):
            table.add_row(*cells)
    return [table, *_warnings(report)]


def verdict(row: Agreement, output: str) -> Text | None:
    """Give the word for an output that agrees with what was published, but not with the source; None if it does."""
    outputs = row.degradation.outputs if row.degradation else ()
    bad = [one.verdict for one in outputs if one.name == output and one.verdict != "ok"]
    return _verdict(bad[0]) if bad else None


def counted(report: Report) -> str:
    """Say how many variants are degraded, and how many have collapsed; empty if none is."""
    found = [row.degradation.verdict for row in report.rows if row.degradation is not None]
    told = [(found.count("degraded"), "degraded"), (found.count("collapsed"), "collapsed")]
    return "".join(f", {number} {word}" for number, word in told if number)


def _rows(row: Agreement) -> Iterator[list[str | Text]]:
    assert row.degradation is not None
    size = row.degradation.size_ratio
    for number, output in enumerate(row.degradation.outputs):
        first = [row.subject, output.name, "–" if size is None else f"{size:.2f}"]
        yield [*(first if not number else ["", output.name, ""]), *_figures(output), _verdict(output.verdict)]


def _figures(output: OutputDegradation) -> list[str]:
    errors = ["–" if value is None else f"{value:.2%}" for value in (output.max_error, output.rms_error)]
    return [*errors, "–" if output.flips is None else f"{output.flips} of {output.rows}"]


def _verdict(verdict: str) -> Text:
    return Text(verdict if verdict == "ok" else verdict.upper(), style=_STYLES[verdict])


def _warnings(report: Report) -> list[Text]:
    from deploy_toolkit.flows.degradation import warnings

    return [Text(f"warning: {warning}", style="bold red") for warning in warnings(report)]
