"""Small pictures as PNG files, without a library for it."""

from __future__ import annotations

import struct
import zlib
from typing import Any

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2


def png(pixels: Any) -> bytes:
    """Give a picture of bytes, [height, width] in grey or [height, width, 3] in red, green and blue."""
    high, wide = pixels.shape[:2]
    kind = _GREY if pixels.ndim == 2 else _COLOUR
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    head = struct.pack(">IIBBBBB", wide, high, 8, kind, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(lines, 9)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
