"""What `deploy bench` found, as a table for spreadsheets: one line for each subject, or rate that a search tried, and percentile."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy_toolkit.reports.bench import figures
from deploy_toolkit.reports.writing import write as write_file

if TYPE_CHECKING:
    from deploy_latency.estimate import Estimate
    from deploy_latency.report import Measured, Report

# Times are seconds, memory bytes, rates per second. Empty: not known; inf: among requests that failed.
COLUMNS = (
    "subject", "percentile", "latency", "low", "high", "confidence", "n", "needs", "mean", "worst", "requests", "failed",
    "checked", "wrong", "rate", "rate_low", "rate_high", "offered", "steady_from", "limited_by_generator", "cold_start",
    "memory", "server_cpu_per_request", "load",
)  # fmt: skip


def write(report: Report, path: Path) -> None:
    """Write the table. Raises UsageError for a place where that cannot be."""
    write_file(path, text(report).encode())


def text(report: Report) -> str:
    """Give the table; `latency` stands there also where an interval (`low`, `high`) takes more samples: `needs`."""
    file = io.StringIO()
    table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    table.writeheader()
    for one in report.measured:
        table.writerows(_rows(one.latency, _of_subject(one)))
    for sought in report.found:
        for step in sought.steps:
            load = f"{figures.number(step.rate)} requests/s, tried"
            table.writerows(_rows(step.latency, {"subject": sought.subject, "load": load, "offered": step.rate}))
    return file.getvalue()


def _rows(latency: Mapping[str, Estimate], same: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, found in latency.items():
        yield {
            **same,
            "percentile": name[1:],
            "latency": found.value,
            "low": found.low,
            "high": found.high,
            "confidence": found.confidence,
            "n": found.n,
            "needs": found.needs,
        }


def _of_subject(one: Measured) -> dict[str, Any]:
    return {
        "subject": one.subject,
        "load": one.load,
        "mean": one.mean,
        "worst": one.worst,
        "requests": one.requests,
        "failed": sum(one.failures.values()),
        "checked": one.checked.answers,
        "wrong": one.checked.wrong,
        "rate": one.rate.value,
        "rate_low": one.rate.low,
        "rate_high": one.rate.high,
        "offered": one.offered,
        "steady_from": one.steady_from,
        "limited_by_generator": one.generator.limited if one.generator else "",
        "cold_start": one.cold_start,
        "memory": one.memory,
        "server_cpu_per_request": one.facts.get("server_cpu_per_request"),
    }
