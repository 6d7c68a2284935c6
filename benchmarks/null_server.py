"""A server that answers the same bytes to everything, as cheaply as can be: `python -m benchmarks.null_server`.

It prints its two ports, of HTTP/1.1 and of gRPC, and ends with its standard input. What it does not do: look at requests, but
for where they end. So whatever time passes is that of whoever asks.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import Any

import uvloop

BODY = b'{"model_name":"null","outputs":[{"name":"y","datatype":"FP32","shape":[1,1],"data":[0.5]}]}'
HTTP = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
MESSAGE = b"\x0a\x04null" + b"\x3a\x04\x00\x00\x00\x3f"
_HEADERS, _SETTINGS, _PING = 1, 4, 6
_END_STREAM = 1
_frame = struct.Struct(">BHBBL")


class Http(asyncio.Protocol):
    """Takes all requests of a connection to be as long as the first one."""

    def connection_made(self, transport: Any) -> None:
        """Have a transport."""
        self._transport = transport
        self._size = 0
        self._come = 0

    def data_received(self, data: bytes) -> None:
        """Answer as many requests as have come."""
        if not self._size:
            head = data[: data.index(b"\r\n\r\n")]
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            self._size = len(head) + 4 + length
        whole, self._come = divmod(self._come + len(data), self._size)
        if whole:
            self._transport.write(HTTP * whole)


class Grpc(asyncio.Protocol):
    """Answers a stream as soon as the client has sent all of its request."""

    def connection_made(self, transport: Any) -> None:
        """Allow all that can be allowed: the greatest windows."""
        self._transport = transport
        self._rest = b""
        self._skip = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._taken = 0
        transport.write(_packed(_SETTINGS, 0, 0, struct.pack(">HL", 4, 2**31 - 1)) + _more(2**31 - 2**16))

    def data_received(self, data: bytes) -> None:
        """Answer every request that has come to its end."""
        data = self._rest + data
        at, out = self._skip, []
        self._skip = 0
        self._taken += len(data)
        while len(data) - at >= _frame.size:
            high, low, kind, flags, stream = _frame.unpack_from(data, at)
            end = at + _frame.size + (high << 16 | low)
            if end > len(data):
                break
            if kind == 0 and flags & _END_STREAM:
                number = stream.to_bytes(4, "big")
                out.append(number.join(_ANSWER))
            elif kind in (_SETTINGS, _PING) and not flags & 1:
                out.append(_packed(kind, 1, 0, data[at + _frame.size : end] if kind == _PING else b""))
            at = end
        self._rest = data[at:]
        if self._taken > 2**30:
            out.append(_more(self._taken))
            self._taken = 0
        if out:
            self._transport.write(b"".join(out))


def _packed(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _frame.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _more(size: int) -> bytes:
    return _packed(8, 0, 0, size.to_bytes(4, "big"))


def _answer() -> tuple[bytes, ...]:
    """Give the three frames of an answer, cut where the stream's number belongs."""
    # :status 200 and content-type from the static table, the rest as literals that change nothing.
    first = b"\x88\x0f\x10\x10application/grpc"
    data = b"\0" + len(MESSAGE).to_bytes(4, "big") + MESSAGE
    last = b"\x00\x0bgrpc-status\x010"
    pieces = [b""]
    for kind, flags, payload in ((_HEADERS, 4, first), (0, 0, data), (_HEADERS, 5, last)):
        pieces[-1] += _frame.pack(0, len(payload), kind, flags, 0)[:5]
        pieces.append(payload)
    return tuple(pieces)


_ANSWER = _answer()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(kind, "127.0.0.1", 0, backlog=1024) for kind in (Http, Grpc)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    uvloop.run(_serve())
