"""What `deploy check` found, as event files that TensorBoard shows: a run for each subject."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy_toolkit.reports import events as wire
from deploy_toolkit.reports.check import figures, words
from deploy_toolkit.reports.check.errors import Errors, counted, errors
from deploy_toolkit.reports.check.leading import leading
from deploy_toolkit.reports.check.matrix import Cell, matrix
from deploy_toolkit.reports.check.parts import drawable
from deploy_toolkit.reports.png import png

if TYPE_CHECKING:
    from deploy_agreement import Agreement, OutputAgreement, Report

FILE = "events.out.tfevents.0.deploy-check"  # a later report replaces the file
_SIDE = 320  # pixels of a picture
_PAPER, _LINE, _WITHIN, _OVER = (255, 255, 255), (217, 222, 230), (61, 127, 217), (212, 72, 62)

require_writable = wire.require_writable


def write(report: Report, folder: Path, command: str = "") -> None:
    """Write an event file into a folder for each subject, below `folder`, which is made. Raises UsageError."""
    at = time.time()
    runs = [(row.subject, events(report, row, cells, at, command)) for row, cells in matrix(report).rows]
    wire.write(runs, folder, FILE)


def events(report: Report, row: Agreement, cells: tuple[Cell, ...], at: float, command: str) -> Iterator[bytes]:
    """Give the events of one subject: figures, what was found in words, and of each output a histogram and a picture."""
    yield wire.begin(at)
    yield wire.event(at, 0, wire.scalars(_figures(report, row, cells)))
    yield wire.event(at, 0, [wire.text("what was found", _text(report, row, cells, command))])
    for one in leading(row, report):
        if one.output.points is not None and drawable(one.output.points):
            found = errors(one.output.points)
            buckets = [(bar.high, float(bar.count)) for bar in counted(found) if bar.count]
            yield wire.event(at, 0, [wire.histogram(f"deviation, log10 of tolerances/{one.label}", buckets)])
            picture = wire.image(f"expected and got/{one.label}", png(scatter(found)), _SIDE, _SIDE)
            yield wire.event(at, 0, [picture])


def scatter(found: Errors) -> Any:
    """Give a picture of what came (upward) against what was expected (to the right), as bytes."""
    picture = np.full((_SIDE, _SIDE, 3), _PAPER, np.uint8)
    along = np.arange(_SIDE)
    picture[_SIDE - 1 - along, along] = _LINE
    finite = np.isfinite(found.want) & np.isfinite(found.got)
    if not finite.any():
        return picture
    both = np.concatenate([found.want[finite], found.got[finite]])
    low, span = both.min(), (both.max() - both.min()) or 1.0
    for over, colour in ((False, _WITHIN), (True, _OVER)):
        chosen = finite & (found.over == over)
        x, y = (((values[chosen] - low) / span * (_SIDE - 4)).astype(int) for values in (found.want, found.got))
        for down in range(3):
            for right in range(3):
                picture[_SIDE - 2 - y - down, x + right] = colour
    return picture


def _figures(report: Report, row: Agreement, cells: tuple[Cell, ...]) -> Iterator[tuple[str, float | None]]:
    yield "agrees", float(row.ok)
    for cell in cells:
        yield f"times the tolerance by check/{cell.check}", cell.over
    for output in row.outputs:
        yield from _of_output(output)
    for one in report.worst:
        if one.subject == row.subject:
            yield f"worst input, times the tolerance/{one.output}", one.over


def _of_output(output: OutputAgreement) -> Iterator[tuple[str, float | None]]:
    name = output.name
    yield f"max abs/{name}", output.max_abs
    yield f"max rel/{name}", output.max_rel
    yield f"max ULP/{name}", output.max_ulp
    yield f"tolerance/{name}", output.tolerance.value
    yield f"would have passed/{name}", output.needed
    yield f"times the tolerance/{name}", figures.over(output)
    if output.decisions is not None:
        yield f"decided otherwise/{name}", output.decisions.flips
        yield f"decided otherwise beyond rounding/{name}", output.decisions.clear
        yield f"margin of the clearest/{name}", output.decisions.margin


def _text(report: Report, row: Agreement, cells: tuple[Cell, ...], command: str) -> str:
    """What was found, as Markdown in which nothing of it is taken for markup."""
    lines = [words.headline(report), row.why, *(cell.told for cell in cells if cell.glyph)]
    lines += [one.said for one in words.noticed(report) if one.subject == row.subject]
    lines += [words.located(one) for one in report.located if one.subject == row.subject]
    lines += [words.again(command)] if command else []
    return "\n".join(f"    {line}" for text in lines if text for line in text.splitlines())
