"""What `deploy bench` found, as event files that TensorBoard shows: a run for each subject.

Three small messages of `tensorflow/core/util/event.proto` and `framework/summary.proto` are written here by hand, so that
nothing of TensorFlow has to be installed.
"""

from __future__ import annotations

import math
import re
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_core.errors import UsageError, first_line
from deploy_dialects.tfserving.records import write_records
from deploy_latency.histogram import counts, decode
from deploy_toolkit.reports.writing import write as write_file

if TYPE_CHECKING:
    from deploy_latency.report import Measured, Moment, Report

FILE = "events.out.tfevents.0.deploy-bench"  # the name has to have tfevents in it; a later report replaces the file
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5


def require_writable(folder: Path) -> None:
    """Raise UsageError for a folder that cannot be made there, before a benchmark is run for it."""
    if not folder.parent.is_dir():
        raise UsageError(f"{folder} cannot be made: there is no folder {folder.parent}", hint="make it first")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="name a folder for TensorBoard, which may be a new one")


def write(report: Report, folder: Path) -> None:
    """Write an event file into a folder for each subject, below `folder`, which is made. Raises UsageError."""
    require_writable(folder)
    at = time.time()
    for name, one in zip(_names(report.measured), report.measured, strict=True):
        run = folder / name
        try:
            run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{run} cannot be made: {first_line(error)}", hint="name another folder") from error
        write_file(run / FILE, write_records(events(one, at)))


def events(one: Measured, at: float) -> Iterator[bytes]:
    """Give the events of one subject, which ended at that time: figures, the histogram, and how it went over time.

    Times are milliseconds. A step is a slice of the run for what is below `over time`, else there is one only.
    """
    yield _event(at, 0, _bytes(3, b"brain.Event:2"))
    yield _event(at, 0, _summary(_scalars(_figures(one))))
    if one.histogram:
        yield _event(at, 0, _summary([_histogram("latency ms", one.histogram)]))
    begin = at - sum(moment.seconds for moment in one.over_time)
    for step, moment in enumerate(one.over_time):
        yield _event(begin + moment.begin, step, _summary(_scalars(_moment(moment))))


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


def _names(measured: Sequence[Measured]) -> list[str]:
    """Give a folder's name for each subject, no two alike."""
    names: list[str] = []
    for one in measured:
        name = re.sub(r"[^\w@.+,-]+", "_", one.subject).strip("._")[:100] or "subject"
        again = sum(before == name or re.fullmatch(rf"{re.escape(name)}-\d+", before) is not None for before in names)
        names.append(f"{name}-{again + 1}" if again else name)
    return names


def _scalars(figures: Iterable[tuple[str, float | None]]) -> list[bytes]:
    # TensorBoard draws no line through infinity and says so: it is not left out.
    return [_bytes(1, tag.encode()) + _float(2, value) for tag, value in figures if value is not None]


def _histogram(tag: str, text: str) -> bytes:
    """HistogramProto: every bucket that something fell into, and the limits between them."""
    # TensorBoard draws nothing at all of a histogram with an infinite end; failed requests have a figure of their own.
    counted = [(1e3 * value, count) for value, count in counts(decode(text)) if math.isfinite(value)]
    total = sum(count for _, count in counted)
    sums = [sum(count * value**power for value, count in counted) for power in (1, 2)]
    ends = [counted[0][0], counted[-1][0]] if counted else [0.0, 0.0]
    proto = b"".join(_double(number, value) for number, value in enumerate((*ends, total, *sums), 1))
    proto += _bytes(6, _packed(value for value, _ in counted)) + _bytes(7, _packed(count for _, count in counted))
    return _bytes(1, tag.encode()) + _bytes(5, proto)


def _event(at: float, step: int, content: bytes) -> bytes:
    return _double(1, at) + _varint(_VARINT | 2 << 3) + _varint(step) + content


def _summary(values: Sequence[bytes]) -> bytes:
    return _bytes(5, b"".join(_bytes(1, value) for value in values))


def _packed(values: Iterable[float]) -> bytes:
    return b"".join(struct.pack("<d", value) for value in values)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | _DOUBLE) + struct.pack("<d", value)


def _float(number: int, value: float) -> bytes:
    largest = 3.4028234663852886e38
    value = value if math.isinf(value) or math.isnan(value) else min(max(value, -largest), largest)
    return _varint(number << 3 | _FLOAT) + struct.pack("<f", value)


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
