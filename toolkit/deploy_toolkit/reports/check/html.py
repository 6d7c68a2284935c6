"""What `deploy check` found, as one page that needs nothing else: no script, no request to anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deploy_core.table import require
from deploy_toolkit import documents
from deploy_toolkit.reports import pages, writing
from deploy_toolkit.reports.check import figures, words
from deploy_toolkit.reports.check.leading import leading, plain
from deploy_toolkit.reports.check.legend import CHECKS, legend
from deploy_toolkit.reports.check.matrix import GLYPHS, WORDS, matrix, signs, verdict
from deploy_toolkit.reports.check.parts import bar, bars, drawings, inputs, tint

if TYPE_CHECKING:
    from deploy_agreement import Report

TEMPLATE = "page.html.j2"


def require_writable(path: Path) -> None:
    """Raise UsageError or UnavailableError where the page cannot be made, before anything is compared for it."""
    _require_extra()
    writing.require_writable(path)


def write(report: Report, path: Path, command: str = "") -> None:
    """Write the page; `command` is the one that was given. Raises UsageError for a place where it cannot be, UnavailableError."""
    writing.write(path, page(report, command).encode("utf-8", "replace"))


def page(report: Report, command: str = "") -> str:
    """Give the page. Raises UnavailableError without the extra."""
    _require_extra()
    filters = {"number": figures.number, "times": figures.times}
    document = documents.text(report.to_json())
    return pages.rendered(
        __package__,
        TEMPLATE,
        filters,
        report=report,
        command=command,
        headline=words.headline(report),
        matrix=matrix(report),
        words=words,
        figures=figures,
        verdict=verdict,
        glyphs=GLYPHS,
        legend=legend,
        meanings=CHECKS,
        said=WORDS,
        signs=signs,
        drawings=drawings,
        leading=leading,
        plain=plain,
        inputs=inputs,
        bars=bars,
        bar=bar,
        tint=tint,
        document=pages.data("application/json", document),
    )


def _require_extra() -> None:
    require("an HTML report", ("jinja2",), "report")
