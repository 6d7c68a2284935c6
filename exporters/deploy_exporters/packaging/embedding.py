"""Metadata put into a .tflite without touching what is in it.

References in a flatbuffer lead forward only. So a new root stands in front of the published bytes, which stay as they
are to the last one: it points at the tables in there, and at one buffer more.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

from deploy_core.errors import ExportError
from deploy_exporters.plain_zip import entry

NAME = b"TFLITE_METADATA"
_FIELDS = 10  # of the table Model: its version, then references
_BUFFERS, _METADATA = 4, 6
_ALIGNED = 64  # what weights may rely on is 16


def with_metadata(model: bytes, metadata: bytes, files: Mapping[str, bytes]) -> bytes:
    """Give the model with that metadata, and the files that these name as a zip behind it. Raises ExportError."""
    _require_whole(model)
    body = io.BytesIO(_front(model, metadata) + model)
    if files:
        with zipfile.ZipFile(body, "a") as archive:
            for name, content in files.items():
                archive.writestr(entry(name), content)
    return body.getvalue()


def has_metadata(model: bytes) -> bool:
    """Tell whether somebody has described the file already."""
    entries = _entries(model, _target(model, _u32(model, 0), _METADATA))
    return any(_string(model, _target(model, table, 0)) == NAME for table in entries)


def _require_whole(model: bytes) -> None:
    root = _u32(model, 0)
    buffers = _entries(model, _target(model, root, _BUFFERS))
    outside = any(_slot(model, table, field) for table in buffers for field in (1, 2, 3))
    if model[4:8] != b"TFL3" or _u16(model, _vtable(model, root)) > 4 + 2 * _FIELDS or outside:
        raise ExportError(
            "the .tflite keeps its weights outside of its flatbuffer, or is of a newer kind: it cannot be described",
            hint="export a model of less than 2 GB, with the TensorFlow of deploy-toolkit[tensorflow]",
        )


def _front(model: bytes, metadata: bytes) -> bytes:
    """Header, root table, the two vectors that grow by one, and what they point at; padded to `_ALIGNED`."""
    root = _u32(model, 0)
    targets = {field: _target(model, root, field) for field in range(1, _FIELDS)}
    buffers, entries = (_entries(model, targets[field]) for field in (_BUFFERS, _METADATA))
    table = 8 + 4 + 2 * _FIELDS
    at_buffers = table + 4 + 4 * _FIELDS
    at_entries = at_buffers + 4 + 4 * (len(buffers) + 1)
    at_new = at_entries + 4 + 4 * (len(entries) + 1)
    entry_at, buffer_at, tail = _new_tables(at_new, len(buffers), metadata)
    base = at_new + len(tail)
    # Every reference is a distance from where it stands; those into the model are `base` further than they were.
    moved = {field: target + base for field, target in targets.items() if target}
    moved |= {_BUFFERS: at_buffers, _METADATA: at_entries}
    front = struct.pack("<I4sHH", table, b"TFL3", table - 8, 4 + 4 * _FIELDS)
    front += b"".join(
        struct.pack("<H", 4 + 4 * field if field in moved or field == 0 else 0) for field in range(_FIELDS)
    )
    front += struct.pack("<iI", table - 8, _version(model, root))
    front += b"".join(_reference(table + 4 + 4 * field, moved.get(field)) for field in range(1, _FIELDS))
    front += _references(at_buffers, [*(place + base for place in buffers), buffer_at])
    front += _references(at_entries, [*(place + base for place in entries), entry_at])
    return front + tail


def _new_tables(at: int, number: int, metadata: bytes) -> tuple[int, int, bytes]:
    """Give where the new entry of `metadata` and the new buffer stand, and their bytes from `at` on."""
    # The entry: a table of two fields (name, number of the buffer) behind its vtable, then its name.
    entry_at = at + 8
    tail = struct.pack("<HHHH", 8, 12, 4, 8) + struct.pack("<iII", 8, 8, number)
    tail += struct.pack("<I", len(NAME)) + NAME + b"\0"
    # The buffer: a table of one field (its bytes), which begin at a multiple of 16.
    buffer_at = at + len(tail) + 8
    tail += struct.pack("<HHHxx", 6, 8, 4)
    data_at = _up(buffer_at + 8 + 4, 16)
    tail += struct.pack("<iI", 8, data_at - 4 - (buffer_at + 4))
    tail += bytes(data_at - 4 - at - len(tail)) + struct.pack("<I", len(metadata)) + metadata
    return entry_at, buffer_at, tail + bytes(_up(at + len(tail), _ALIGNED) - at - len(tail))


def _reference(place: int, target: int | None) -> bytes:
    return struct.pack("<I", 0 if target is None else target - place)


def _references(place: int, targets: list[int]) -> bytes:
    cells = (_reference(place + 4 + 4 * number, target) for number, target in enumerate(targets))
    return struct.pack("<I", len(targets)) + b"".join(cells)


def _vtable(model: bytes, table: int) -> int:
    return table - int(struct.unpack_from("<i", model, table)[0])


def _slot(model: bytes, table: int, field: int) -> int:
    """Give where a table's field stands, 0 if it is left out."""
    vtable = _vtable(model, table)
    inside = _u16(model, vtable + 4 + 2 * field) if 4 + 2 * field < _u16(model, vtable) else 0
    return table + inside if inside else 0


def _target(model: bytes, table: int, field: int) -> int:
    place = _slot(model, table, field)
    return place + _u32(model, place) if place else 0


def _entries(model: bytes, vector: int) -> list[int]:
    places = range(vector + 4, vector + 4 + 4 * _u32(model, vector), 4) if vector else ()
    return [place + _u32(model, place) for place in places]


def _version(model: bytes, root: int) -> int:
    place = _slot(model, root, 0)
    return _u32(model, place) if place else 0


def _string(model: bytes, place: int) -> bytes:
    return model[place + 4 : place + 4 + _u32(model, place)] if place else b""


def _u16(model: bytes, at: int) -> int:
    return int(struct.unpack_from("<H", model, at)[0])


def _u32(model: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", model, at)[0])


def _up(size: int, step: int) -> int:
    return -(-size // step) * step
