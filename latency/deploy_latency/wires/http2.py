"""HTTP/2 as a gRPC client needs it: many calls on one connection, nothing pushed, nothing ranked."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deploy_clients.limits import MAX_HEAD
from deploy_latency.calls import Call
from deploy_latency.wires import frames
from deploy_latency.wires.blocks import Blocks
from deploy_latency.wires.dialling import CLOSED, WireError, short
from deploy_latency.wires.pool import Pool
from deploy_latency.wires.sending import Sending
from deploy_latency.wires.streams import Stream

_NO_HTTP2 = "not HTTP/2"
_ANY = _LAST = 2**31 - 1
_Handler = Callable[[int, int, bytes], None]


class Http2(asyncio.Protocol):
    """One connection. It is free from the server's first settings on, up to the number of streams that these allow."""

    __slots__ = (
        "_allowed", "_blocks", "_handlers", "_held", "_limit", "_messages", "_next", "_now", "_over", "_part", "_pool", "_reading",
        "_received", "_rest", "_retired", "_said", "_sending", "_settled", "_streams", "_transport", "_used", "_when",
        "listed",
    )  # fmt: skip

    def __init__(self, pool: Pool, messages: Sequence[frames.Message]) -> None:
        self.listed = False
        self._transport: Any = None
        self._pool = pool
        self._now = pool.now
        self._messages = messages
        self._streams: dict[int, Stream] = {}
        self._sending = Sending(self._write)
        self._blocks = Blocks()
        self._handlers: Mapping[int, _Handler] = {frames.SETTINGS: self._on_settings}  # nothing may come before
        self._part: tuple[int, int, bytearray] | None = None  # of a block: stream, flags, bytes
        self._settled = asyncio.Event()
        self._over: BaseException | None = None
        self._next = 1
        self._limit = 0  # streams at a time, now
        self._allowed = _ANY
        self._received = 0  # bytes since the server was last allowed more
        self._rest = b""
        self._held: list[bytes] = []
        self._reading = self._retired = self._used = False
        self._said = ""  # why it ended
        self._when = 0.0  # when the bytes came that are being read

    @property
    def free(self) -> bool:
        """Whether it takes a call now."""
        return len(self._streams) < self._limit

    async def opened(self) -> None:
        """Wait for the server's settings. Raises WireError or OSError if there will be none."""
        await self._settled.wait()
        if self._over is not None:
            raise self._over

    def start(self, call: Call) -> None:
        """Send a call."""
        number = self._next
        self._next = number + 2
        stream = self._streams[number] = Stream(self, number, call)
        call.wire = stream
        call.sent = self._now()
        self._sending.start(stream, self._messages[call.request])
        if self._next > _LAST:
            self._retire("out of streams")

    def give_up(self, stream: Stream) -> None:
        """Reset a stream."""
        if self._streams.pop(stream.number, None) is not None:
            self._sending.forget(stream)
            self._write(frames.reset(stream.number))
            self._make_room()

    def abort(self) -> None:
        """Close at once."""
        self._limit = 0
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: Any) -> None:
        """Greet the server, if TLS has agreed on HTTP/2."""
        self._transport = transport
        self._pool.connected(self)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None and secured.selected_alpn_protocol() != "h2":
            self._break(_NO_HTTP2)
        else:
            transport.write(frames.HELLO)

    def data_received(self, data: bytes) -> None:
        """Read frames; what they make us send goes out together."""
        self._when = self._now()
        self._reading = True
        try:
            self._read(self._rest + data if self._rest else data)
        except (WireError, struct.error, IndexError) as error:
            self._break(str(error) if isinstance(error, WireError) else _NO_HTTP2)
        finally:
            self._reading = False
        if self._held:
            self._transport.write(b"".join(self._held))
            self._held.clear()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the pool, and what becomes of the calls."""
        why = self._said or (short(error) if isinstance(error, ssl.SSLError) else CLOSED)
        self._over = error or WireError(why)
        self._limit, self._retired = 0, True
        self._handlers = {}
        self._settled.set()
        calls = [stream.call for stream in self._streams.values()]
        self._streams.clear()
        self._pool.disconnected(self)
        self._pool.lost(self, why, blame=not self._used)
        for call in calls:
            self._pool.fail(call, why)

    def _write(self, data: bytes) -> None:
        if self._reading:
            self._held.append(data)
        else:
            self._transport.write(data)

    def _read(self, data: bytes) -> None:
        at, size = 0, len(data)
        unpack = frames.head.unpack_from
        while size - at >= 9:
            high, low, kind, flags, number = unpack(data, at)
            if high or low > frames.FRAME:
                raise WireError(_NO_HTTP2)
            end = at + 9 + low
            if end > size:
                break
            handler = self._handlers.get(kind)
            if handler is not None:
                handler(flags, number, data[at + 9 : end])
            elif len(self._handlers) == 1:
                raise WireError(_NO_HTTP2)  # there is only one kind that may come
            at = end
        self._rest = data[at:]

    # What frames do.

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received > frames.OURS // 2:
            self._write(frames.window(0, self._received))
            self._received = 0
        stream = self._streams.get(number)
        if stream is None:
            return  # it was dropped
        if error := stream.take(frames.stripped(flags, payload) if flags & frames.PADDED else payload):
            self.give_up(stream)
            self._complete(stream.call, error)
        elif flags & frames.END_STREAM:
            self._end(stream, None)

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & (frames.PADDED | frames.PRIORITISED):
            payload = frames.stripped(flags, payload)
        if flags & frames.END_HEADERS:
            self._on_block(flags, number, payload)
        else:
            self._part = number, flags, bytearray(payload)
            self._handlers = {frames.CONTINUATION: self._on_continuation}

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if self._part is None or self._part[0] != number or len(self._part[2]) > MAX_HEAD:
            raise WireError(_NO_HTTP2)
        _, first, block = self._part
        block += payload
        if flags & frames.END_HEADERS:
            self._part = None
            self._handlers = self._all()
            self._on_block(first, number, bytes(block))

    def _on_block(self, flags: int, number: int, data: bytes) -> None:
        block = self._blocks.read(data)  # always: later blocks may depend on it
        stream = self._streams.get(number)
        if stream is None or block.interim:
            return
        if flags & frames.END_STREAM:
            self._end(stream, block)
        else:
            stream.first = block

    def _on_reset(self, flags: int, number: int, payload: bytes) -> None:
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        self._sending.forget(stream)
        code = int.from_bytes(payload, "big")
        if code == frames.REFUSED and self._streams:
            # Servers count a stream a little longer than it lasts: until the next one ends, there is no more room.
            self._limit = 0
            self._pool.again((stream.call,))
        else:
            self._complete(stream.call, f"RST_STREAM {frames.error_name(code)}")

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if flags & frames.ACK:
            return
        for what, value in frames.read_settings(payload):
            if what == frames.MAX_STREAMS:
                self._allowed = value
            self._sending.settle(what, value)
        self._write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._handlers = self._all()
        self._settled.set()
        self._make_room()

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if not flags & frames.ACK:
            self._write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, flags: int, number: int, payload: bytes) -> None:
        last, code = struct.unpack_from(">LL", payload)
        late = [stream for stream in self._streams.values() if stream.number > last & _LAST]
        for stream in late:
            del self._streams[stream.number]
            self._sending.forget(stream)
        self._retire(f"GOAWAY {frames.error_name(code)}")
        if self._used:
            self._pool.again([stream.call for stream in late])
            return
        for stream in late:
            self._pool.fail(stream.call, self._said)

    def _on_window(self, flags: int, number: int, payload: bytes) -> None:
        more = int.from_bytes(payload, "big") & _LAST
        stream = self._streams.get(number)
        if number == 0 or stream is not None:
            self._sending.allow(more, stream)

    def _end(self, stream: Stream, last: Any) -> None:
        """Have a whole answer; the server may give one before it has the whole request."""
        del self._streams[stream.number]
        if stream.rest is not None:
            self._sending.forget(stream)
            self._write(frames.reset(stream.number))
        stream.end(last)
        if not self._used:
            self._used = True
            self._pool.proved()
        self._complete(stream.call, stream.call.error)

    def _complete(self, call: Call, error: str) -> None:
        call.error = error
        call.done = self._when
        call.wire = None  # else the two would keep each other until the garbage collector comes
        self._make_room()
        self._pool.on_done(call)

    def _make_room(self) -> None:
        """Take the next call, or go when all that were taken are over."""
        self._limit = 0 if self._retired else self._allowed
        if self._retired:
            if not self._streams:
                self._transport.close()
        elif not self.listed:
            self._pool.freed(self)

    def _retire(self, why: str) -> None:
        """Take no more calls."""
        self._said = self._said or why
        self._limit = 0
        self._retired = True
        self._pool.lost(self, self._said, blame=not self._used)
        self._make_room()

    def _break(self, why: str) -> None:
        """Close, because there is no understanding each other."""
        self._said = why
        self.abort()

    def _all(self) -> Mapping[int, _Handler]:
        return {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.RESET: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_goaway,
            frames.WINDOW: self._on_window,
        }
