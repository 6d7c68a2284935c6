"""A report as a table for a notebook's cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy_agreement.results.outputs import OutputAgreement
    from deploy_agreement.results.report import Agreement, Report

_COLUMNS = ("subject", "output", "max abs", "tolerance", "what a user would notice", "verdict")
_COLOURS = {"agree": "#1f7a3a", "disagree": "#c62f26", "failed": "#c62f26"}


def cell(report: Report) -> str:
    """Give a row for every subject and output, and the reason below those that do not agree."""
    head = "".join(f"<th style='text-align: left'>{column}</th>" for column in _COLUMNS)
    rows = "".join(text for row in report.rows for text in _rows(row))
    told = escape(repr(report).partition("\n")[0])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><p>{told}</p>"


def _rows(row: Agreement) -> Iterator[str]:
    verdict = "not asked" if row.unavailable else row.verdict
    coloured = f"<b style='color: {_COLOURS[row.verdict]}'>{verdict}</b>"
    for number, output in enumerate(row.outputs or (None,)):
        first = number == 0
        told = [escape(row.subject) if first else "", *map(escape, _figures(output)), coloured if first else ""]
        yield _row(f"<td style='text-align: left'>{text}</td>" for text in told)
    if not row.ok:
        yield _row([f"<td style='text-align: left' colspan='{len(_COLUMNS)}'>{escape(row.why)}</td>"])


def _figures(output: OutputAgreement | None) -> tuple[str, str, str, str]:
    if output is None:
        return "–", "–", "–", "–"
    noticed = output.decisions.said if output.decisions is not None and output.decisions.flips else ""
    off = "–" if output.max_abs is None else f"{output.max_abs:.2g}"
    return output.name, off, f"{output.tolerance.value:.2g}", noticed


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>"
