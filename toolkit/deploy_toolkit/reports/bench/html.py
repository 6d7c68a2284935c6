"""What `deploy bench` found, as one page that needs nothing else: no script, no request to anywhere."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy_core.table import require
from deploy_latency import histogram
from deploy_toolkit import documents
from deploy_toolkit.reports import pages, writing
from deploy_toolkit.reports.bench import figures
from deploy_toolkit.reports.bench.document import to_json
from deploy_toolkit.reports.pages import data

if TYPE_CHECKING:
    from deploy_latency.estimate import Estimate
    from deploy_latency.report import Measured, Report

TEMPLATE = "page.html.j2"


def require_writable(path: Path) -> None:
    """Raise UsageError or UnavailableError where the page cannot be made, before a benchmark is run for it."""
    _require_extra()
    writing.require_writable(path)


def _require_extra() -> None:
    require("an HTML report", ("jinja2", "matplotlib"), "report")


def write(report: Report, path: Path) -> None:
    """Write the page. Raises UsageError for a place where it cannot be, UnavailableError without the extra."""
    writing.write(path, page(report).encode("utf-8", "replace"))


def page(report: Report) -> str:
    """Give the page. Raises UnavailableError without the extra."""
    _require_extra()
    from deploy_toolkit.reports.bench.drawing import colour
    from deploy_toolkit.reports.bench.plots import plots

    filters = {
        "seconds": figures.seconds,
        "number": figures.number,
        "size": figures.size,
        "share": figures.share,
    }
    return pages.rendered(
        __package__,
        TEMPLATE,
        filters,
        report=report,
        percentiles=figures.columns(report.measured),
        plots=[(plot, pages.markup(plot.svg)) for plot in plots(report)],
        loud=[(one.subject, list(figures.loud(one))) for one in report.measured],
        colour=colour,
        figures=figures,
        time=_time,
        document=data("application/json", documents.text(to_json(report))),
        machine={name: _fact(name, value) for name, value in report.machine.items()},
        links={one.subject: data("text/plain", distribution(one)) for one in report.measured if one.histogram},
    )


def distribution(one: Measured) -> str:
    """Give the percentiles of a histogram in the text form that HdrHistogram's plotters read, in milliseconds."""
    file = io.BytesIO()
    histogram.decode(one.histogram).output_percentile_distribution(file, 1e6)
    return file.getvalue().decode()


def _time(estimate: Estimate | None) -> tuple[str, str]:
    return (figures.NONE, "") if estimate is None else figures.time(estimate)


def _fact(name: str, value: Any) -> str:
    return figures.size(value) if name == "memory" and isinstance(value, int) else str(value)
