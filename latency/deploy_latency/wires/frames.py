"""The bytes of HTTP/2 frames, and those of a gRPC request, which differ from call to call only by the stream's number."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20
TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME = 1, 2, 3, 4, 5
REFUSED, CANCEL = 7, 8
FRAME = 2**14  # bytes of a frame, as long as nobody allows more
WINDOW_SIZE = 2**16 - 1  # bytes under way, as long as nobody allows more
OURS = 2**30 - 1  # bytes that a server may send: more than an answer may have, so that no stream needs more of it
ERRORS = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)
head = struct.Struct(">BHBBL")  # the length in two parts, kind, flags, stream
_SETTING = struct.Struct(">HL")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Give one frame."""
    return opening(kind, flags, len(payload)) + stream.to_bytes(4, "big") + payload


def opening(kind: int, flags: int, length: int) -> bytes:
    """Give the first five bytes of a frame: all that stands before the stream's number."""
    return head.pack(length >> 16, length & 0xFFFF, kind, flags, 0)[:5]


def settings(values: Mapping[int, int]) -> bytes:
    """Give a frame of settings."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in values.items()))


def read_settings(payload: bytes) -> Sequence[tuple[int, int]]:
    """Give what a frame of settings says. Raises struct.error for one that is cut off."""
    return list(_SETTING.iter_unpack(payload))


def window(stream: int, more: int) -> bytes:
    """Allow that many bytes more."""
    return frame(WINDOW, 0, stream, more.to_bytes(4, "big"))


def reset(stream: int, code: int = CANCEL) -> bytes:
    """End a stream."""
    return frame(RESET, 0, stream, code.to_bytes(4, "big"))


def stripped(flags: int, payload: bytes) -> bytes:
    """Give what is left without padding and rank. Raises IndexError if they are longer than the frame."""
    begin, end = 0, len(payload)
    if flags & PADDED:
        begin, end = 1, end - payload[0]
    if flags & PRIORITISED:
        begin += 5
    if begin > end:
        raise IndexError("padding")
    return payload[begin:end]


def error_name(code: int) -> str:
    """Give what an error code is called."""
    return ERRORS[code] if code < len(ERRORS) else "unknown error"


HELLO = PREFACE + settings({ENABLE_PUSH: 0, INITIAL_WINDOW: OURS}) + window(0, OURS - WINDOW_SIZE)


class Message:
    """A gRPC request as bytes: `opening` + stream + `middle` + stream + `data`, if it fits into one frame."""

    __slots__ = ("block", "data", "middle", "opening", "size")

    def __init__(self, block: bytes, body: bytes) -> None:
        self.block = block
        self.data = b"\0" + len(body).to_bytes(4, "big") + body
        self.size = len(self.data)
        self.opening = opening(HEADERS, END_HEADERS, len(block))
        self.middle = block + opening(DATA, END_STREAM, self.size)
