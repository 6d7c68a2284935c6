"""What `deploy bench` found, as event files that TensorBoard shows: a run for each subject."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_latency.histogram import counts, decode
from deploy_toolkit.reports import events as wire

if TYPE_CHECKING:
    from deploy_latency.report import Measured, Moment, Report

FILE = "events.out.tfevents.0.deploy-bench"  # a later report replaces the file

require_writable = wire.require_writable


def write(report: Report, folder: Path) -> None:
    """Write an event file into a folder for each subject, below `folder`, which is made. Raises UsageError."""
    at = time.time()
    wire.write(((one.subject, events(one, at)) for one in report.measured), folder, FILE)


def events(one: Measured, at: float) -> Iterator[bytes]:
    """Give the events of one subject, which ended at that time: figures, the histogram, and how it went over time.

    Times are milliseconds. A step is a slice of the run for what is below `over time`, else there is one only.
    """
    yield wire.begin(at)
    yield wire.event(at, 0, wire.scalars(_figures(one)))
    if one.histogram:
        counted = [(1e3 * value, count) for value, count in counts(decode(one.histogram))]
        # Failed requests lie at infinity, and have a figure of their own.
        yield wire.event(at, 0, [wire.histogram("latency ms", counted)])
    begin = at - sum(moment.seconds for moment in one.over_time)
    for step, moment in enumerate(one.over_time):
        yield wire.event(begin + moment.begin, step, wire.scalars(_moment(moment)))


def _figures(one: Measured) -> Iterator[tuple[str, float | None]]:
    for name, found in one.latency.items():
        if found.sure:
            yield f"latency ms/{name}", _ms(found.value)
            yield f"latency ms/{name} low", _ms(found.low)
            yield f"latency ms/{name} high", _ms(found.high)
    yield "latency ms/mean", _ms(one.mean)
    yield "latency ms/worst", _ms(one.worst)
    yield "requests/good a second", one.rate.value
    yield "requests/asked a second", one.offered
    yield "requests/failed", sum(one.failures.values())
    yield "answers/checked", one.checked.answers
    yield "answers/wrong", one.checked.wrong
    yield "server/cold start s", one.cold_start
    yield "server/memory MiB", None if one.memory is None else one.memory / 2**20
    yield "server/CPU ms a request", _ms(one.facts.get("server_cpu_per_request"))
    for stage in one.stages:
        yield f"stages ms/{stage.name}", _ms(stage.seconds)


def _moment(moment: Moment) -> Iterator[tuple[str, float | None]]:
    yield "over time/p50 ms", _ms(moment.p50)
    yield "over time/p99 ms", _ms(moment.p99)
    yield "over time/worst ms", _ms(moment.worst)
    yield "over time/requests", moment.requests
    yield "over time/failed", moment.failed


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds
