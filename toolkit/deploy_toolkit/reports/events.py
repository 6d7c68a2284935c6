"""Event files that TensorBoard shows: a run for each subject.

Some small messages of `tensorflow/core/util/event.proto` and `framework/summary.proto` are written here by hand, so that
nothing of TensorFlow has to be installed.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from deploy_core.errors import UsageError, first_line
from deploy_dialects.tfserving.records import write_records
from deploy_toolkit.reports.writing import require_folder
from deploy_toolkit.reports.writing import write as write_file

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
_STRING = 7  # DT_STRING
_RGB = 3


def require_writable(folder: Path) -> None:
    """Raise UsageError for a folder that cannot be made there, before anything is done for it."""
    if not folder.parent.is_dir():
        raise UsageError(f"{folder} cannot be made: there is no folder {folder.parent}", hint="make it first")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="name a folder for TensorBoard, which may be a new one")
    require_folder(folder)


def write(runs: Iterable[tuple[str, Iterable[bytes]]], folder: Path, file: str) -> None:
    """Write the events of each subject into a file of a folder of its own, below `folder`, which is made.

    The name of the file has to have `tfevents` in it; one that is there is replaced. Raises UsageError.
    """
    require_writable(folder)
    kept = list(runs)
    for name, (_, events) in zip(_names([subject for subject, _ in kept]), kept, strict=True):
        run = folder / name
        try:
            run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{run} cannot be made: {first_line(error)}", hint="name another folder") from error
        write_file(run / file, write_records(events))


def begin(at: float) -> bytes:
    """Give the event that every file begins with; times are seconds since 1970."""
    return _event(at, 0, _bytes(3, b"brain.Event:2"))


def event(at: float, step: int, values: Sequence[bytes]) -> bytes:
    """Give an event that holds these values."""
    return _event(at, step, _bytes(5, b"".join(_bytes(1, value) for value in values)))


def scalars(figures: Iterable[tuple[str, float | None]]) -> list[bytes]:
    """Give figures that are known."""
    # TensorBoard draws no line through infinity and says so: it is not left out.
    return [_bytes(1, tag.encode()) + _float(2, value) for tag, value in figures if value is not None]


def histogram(tag: str, counted: Sequence[tuple[float, float]]) -> bytes:
    """Give how often each value came, in order: every bucket that something fell into, and the limits between them."""
    # TensorBoard draws nothing at all of a histogram with an infinite end.
    counted = [(value, count) for value, count in counted if math.isfinite(value)]
    total = sum(count for _, count in counted)
    sums = [sum(count * value**power for value, count in counted) for power in (1, 2)]
    ends = [counted[0][0], counted[-1][0]] if counted else [0.0, 0.0]
    proto = b"".join(_double(number, value) for number, value in enumerate((*ends, total, *sums), 1))
    proto += _bytes(6, _packed(value for value, _ in counted)) + _bytes(7, _packed(count for _, count in counted))
    return _bytes(1, tag.encode()) + _bytes(5, proto)


def text(tag: str, markdown: str) -> bytes:
    """Give a text, which is shown as Markdown."""
    plugin = _bytes(9, _bytes(1, _bytes(1, b"text")))
    shape = _bytes(2, _bytes(2, _number(1, 1)))  # one of it
    return (
        _bytes(1, tag.encode())
        + plugin
        + _bytes(8, _number(1, _STRING) + shape + _bytes(8, markdown.encode("utf-8", "replace")))
    )


def image(tag: str, picture: bytes, wide: int, high: int) -> bytes:
    """Give a picture, a PNG file of that size in pixels."""
    size = _number(1, high) + _number(2, wide) + _number(3, _RGB)
    return _bytes(1, tag.encode()) + _bytes(4, size + _bytes(4, picture))


def _names(subjects: Sequence[str]) -> list[str]:
    """Give a folder's name for each subject, no two alike."""
    names: list[str] = []
    for subject in subjects:
        name = re.sub(r"[^\w@.+,-]+", "_", subject).strip("._")[:100] or "subject"
        again = sum(before == name or re.fullmatch(rf"{re.escape(name)}-\d+", before) is not None for before in names)
        names.append(f"{name}-{again + 1}" if again else name)
    return names


def _event(at: float, step: int, content: bytes) -> bytes:
    return _double(1, at) + _number(2, step) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


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
