"""What comparisons found, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy_toolkit.reports import degradation
from deploy_toolkit.reports.check import figures, words
from deploy_toolkit.reports.check.fitting import Fitting
from deploy_toolkit.reports.check.leading import Shown, beside, leading
from deploy_toolkit.reports.check.legend import legend
from deploy_toolkit.reports.check.matrix import DISAGREE, GLYPHS, GOLDEN, WORDS, Cell, Matrix, matrix, signs, verdict

if TYPE_CHECKING:
    from deploy_agreement import Agreement, Located, OutputAgreement, Report, Skew

_STYLES = {
    "agree": "green", "disagree": "bold red", "failed": "bold red", "not asked": "bold red", "told": "yellow",
    "skipped": "dim", "absent": "dim",
}  # fmt: skip
_COLUMNS = ("subject", "output", "max abs", "max rel", "max ULP", "tolerance", "its origin", "needed", "verdict")
_SPARE = ("max ULP", "max rel", "its origin", "tolerance")  # what narrow terminals do without, in this order
_NOTHING = ("–", "–", "–", "–", "", "")  # figures of what has none
_AROUND = 4  # matched tensors that are shown before and after the first that differs


def agreement(report: Report, title: str = "") -> RenderableType:
    """Give first what a user would notice, then every subject and output, what is wrong below them, and the verdict."""
    wrong = [
        Text(f"{row.subject}: {row.why}", style="yellow" if row.unavailable else "red")
        for row in report.rows
        if not row.ok
    ]
    failed = sum(row.verdict == "failed" for row in report.rows)
    told = f"{len(report.rows) - failed} compared, {len(wrong) - failed} disagree"
    told += f", {failed} could not be asked" if failed else ""
    told += ", preprocessing differs" if report.skewed else ""
    told += degradation.counted(report)
    return Group(
        *_noticed(report),
        Fitting([_figures(report, title, _SPARE[:count]) for count in range(len(_SPARE) + 1)]),
        *_checks(matrix(report)),
        *(Text(remark, style="dim") for remark in words.remarks(report)),
        *_origins(report),
        *degradation.parts(report),
        *_worst(report),
        *(part for one in report.located for part in _located(one)),
        *_skew(report.skew),
        *wrong,
        Text(told, style="green" if report.ok else "red"),
    )


def _noticed(report: Report) -> Iterator[Text]:
    noticed = words.noticed(report)
    if not report.ok and len(report.rows) > 1 and not noticed:
        yield Text(words.headline(report), style="bold red")
    for one in noticed:
        yield Text(str(one), style="bold red" if one.decisions.clear else "yellow")
    if nothing := words.nothing_noticed(report):
        yield Text(nothing, style="dim")


def _figures(report: Report, title: str, spared: Sequence[str]) -> Table:
    """The figures of every output, without the columns that are spared; narrow names fold only where all of those are."""
    kept = [name not in spared for name in _COLUMNS]
    table = _table(title, *compress(_COLUMNS, kept), folded=len(spared) == len(_SPARE))
    for cells in _figure_rows(report):
        table.add_row(*compress(cells, kept))
    return table


def _figure_rows(report: Report) -> Iterator[list[Text]]:
    for row in report.rows:
        if not row.outputs:
            yield [Text(row.subject), *map(Text, ("–", *_NOTHING)), _verdict(verdict(row))]
            continue
        lines = [[*_cells(one), _agrees(row, one.output)] for one in leading(row, report)]
        # What is wrong may be no output's own fault, as with a damaged file.
        lines += [[*map(Text, (told, *_NOTHING)), _verdict(DISAGREE)] for told in beside(row, report)]
        yield from ([Text("" if number else row.subject), *line] for number, line in enumerate(lines))


def _agrees(row: Agreement, found: OutputAgreement) -> Text:
    return (degradation.verdict(row, found.name) or _verdict("agree")) if found.ok else _verdict(DISAGREE)


def _cells(one: Shown) -> list[Text]:
    found = one.output
    errors = [figures.number(value) for value in (found.max_abs, found.max_rel, found.max_ulp)]
    rule = [figures.number(found.tolerance.value), found.tolerance.origin.partition(" (")[0]]
    needed = "" if found.ok or not found.compared else words.needed(found)
    return list(map(Text, (one.label, *errors, *rule, needed)))


def _checks(found: Matrix) -> Iterator[RenderableType]:
    """A sign for each subject and check."""
    if set(found.checks) <= {GOLDEN}:
        return
    wide, narrow = _table("", "subject", *found.checks), _table("", "subject", "what it was asked", folded=True)
    for row, cells in found.rows:
        wide.add_row(Text(row.subject), *map(_cell, cells))
        narrow.add_row(Text(row.subject), Text("  ").join(map(_named, (cell for cell in cells if cell.glyph))))
    yield Fitting([wide, narrow])
    yield Text("   ".join(f"{GLYPHS[name]} {WORDS[name].lower()}" for name in signs(found)), style="dim")
    wrong = {
        cell.check for _, cells in found.rows for cell in cells if cell.verdict == DISAGREE and cell.check != GOLDEN
    }
    for name, meaning in legend(name for name in found.checks if name in wrong):
        yield Text(f"“{name}” asks {meaning}", style="dim")


def _cell(cell: Cell) -> Text:
    return Text(f"{cell.glyph} {_figure(cell)}".rstrip(), style=_STYLES[cell.verdict])


def _named(cell: Cell) -> Text:
    """A sign with the name of its check and its figure, which no line end parts."""
    told = f"{cell.glyph} {cell.check} {_figure(cell)}".rstrip()
    return Text(told.replace(" ", "\N{NO-BREAK SPACE}"), style=_STYLES[cell.verdict])


def _figure(cell: Cell) -> str:
    return cell.figure if cell.verdict in ("disagree", "told") else ""


def _origins(report: Report) -> list[Text]:
    """The rules behind the tolerances, each once: the table has only their first words."""
    details = dict.fromkeys(found.tolerance.origin for row in report.rows for found in row.outputs)
    return [Text(f"tolerance {detail}", style="dim") for detail in details if " (" in detail]


def _worst(report: Report) -> Iterator[Text]:
    for one in (one for one in report.worst if one.over > 1):
        saved = f", saved in {one.file}" if one.file else ""
        yield Text(f"worst input: {words.worst(one)}{saved}", style="yellow" if one.ok else "red")
    fine = [one for one in report.worst if one.over <= 1]
    if fine:
        each = ", ".join(f"{one.subject} {figures.times(one.over)}" for one in fine)
        yield Text(f"the worst inputs that were found are within the tolerance: {each}", style="dim")


def _located(found: Located) -> Iterator[RenderableType]:
    """The matched tensors around the first that differs, with a bar of how far each is off."""
    yield Text(words.located(found), style="bold red" if found.first else "")
    if found.first is None:
        return
    at = found.matches.index(found.first) if found.first in found.matches else 0
    shown = found.matches[max(0, at - _AROUND) : at + _AROUND + 1]
    table = _table("", "tensor", "operator", "there", "off", "tolerances", "")
    for match in shown:
        style = "bold red" if match is found.first else "" if match.ok else "red"
        cells = (match.one.name, match.one.operator, match.other.name, figures.number(match.off))
        last = (figures.times(match.over), "first" if match is found.first else "")
        table.add_row(*map(Text, (*cells, *last)), style=style)
    yield table
    for name, one, other in words.differing(found):
        yield Text(f"  {name}: {one} in {found.against}, {other} in {found.subject}")


def _skew(found: Skew | None) -> Iterator[RenderableType]:
    if found is None:
        return
    table = _table(
        f"From raw bytes to inputs, {words.files(found)}", "step", "greatest", "mean", "tolerated", "verdict"
    )
    for step in found.steps:
        first = " first" if step.step == found.first else ""
        told = Text("agrees", style="green") if step.ok else Text(f"DIFFERS{first}", style="bold red")
        errors = [figures.number(value) for value in (step.off, step.mean, step.limit)]
        table.add_row(Text(step.step), *errors, told.append(f", {step.said}" if step.said else "", style="not bold"))
    yield table
    yield Text(words.skew(found), style="green" if found.ok else "bold red")


def _table(title: str, *columns: str, folded: bool = False) -> Table:
    table = Table(title=Text(title) if title else None, box=box.SIMPLE, title_justify="left")
    for column in columns:
        table.add_column(Text(column), overflow="fold", no_wrap=column == "subject" and not folded)
    return table


def _verdict(word: str) -> Text:
    return Text(WORDS[word], style=_STYLES[word])
