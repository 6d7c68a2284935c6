"""What goes out over an HTTP/2 connection, as far as the server's windows allow."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from deploy_latency.wires import frames
from deploy_latency.wires.dialling import WireError
from deploy_latency.wires.frames import Message
from deploy_latency.wires.streams import Stream

_TABLE = 4096  # bytes of a table of headers, as long as nobody asks for another size
_EMPTY_TABLE = b"\x20"
_number = Struct(">L").pack


class Sending:
    """Requests leave in one piece where they may, else in frames, in the order in which they came."""

    __slots__ = ("_at_once", "_blocked", "_frame", "_initial", "_prefix", "_window", "_write")

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._window = self._initial = frames.WINDOW_SIZE
        self._frame = self._at_once = frames.FRAME
        self._prefix = b""
        self._blocked: list[Stream] = []

    def start(self, stream: Stream, message: Message) -> None:
        """Send a request, or the part of it that may be sent now."""
        size = message.size
        number = _number(stream.number)
        if size > self._window or size > self._at_once or self._blocked or self._prefix:
            self._start_slowly(stream, message)
            return
        self._window -= size
        self._write(b"".join((message.opening, number, message.middle, number, message.data)))

    def forget(self, stream: Stream) -> None:
        """Send no more of a request."""
        if stream.rest is not None:
            stream.rest = None
            self._blocked.remove(stream)

    def allow(self, more: int, stream: Stream | None = None) -> None:
        """Send on: the server takes so many bytes more, in all or of one request."""
        if stream is None:
            self._window += more
        else:
            stream.window += more
        if self._blocked:
            self._pump()

    def settle(self, what: int, value: int) -> None:
        """Obey a setting. Raises WireError for a value that cannot be."""
        if what == frames.INITIAL_WINDOW:
            for stream in self._blocked:
                stream.window += value - self._initial
            self._initial = value
        elif what == frames.MAX_FRAME:
            if not frames.FRAME <= value < 2**24:
                raise WireError("not HTTP/2")
            self._frame = value
        elif what == frames.TABLE_SIZE and value < _TABLE:
            self._prefix = _EMPTY_TABLE  # which has to be said once
        self._at_once = min(self._frame, self._initial)
        self._pump()

    def _start_slowly(self, stream: Stream, message: Message) -> None:
        block = self._prefix + message.block
        self._prefix = b""
        self._write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream.number, block))
        stream.rest = memoryview(message.data)
        stream.window = self._initial
        self._blocked.append(stream)
        self._pump()

    def _pump(self) -> None:
        if self._blocked:
            self._blocked = [stream for stream in self._blocked if self._unfinished(stream)]

    def _unfinished(self, stream: Stream) -> bool:
        """Send what may be sent of a request; tell whether that was not all."""
        while stream.rest is not None:
            size = min(len(stream.rest), self._window, stream.window, self._frame)
            if size <= 0:
                return True
            last = size == len(stream.rest)
            piece = bytes(stream.rest[:size])
            self._write(frames.frame(frames.DATA, frames.END_STREAM if last else 0, stream.number, piece))
            self._window -= size
            stream.window -= size
            stream.rest = None if last else stream.rest[size:]
        return False
