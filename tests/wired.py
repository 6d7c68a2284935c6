"""Servers that do as a test says, one for each transport, and a caller that sends over a wire and takes what comes back."""

from __future__ import annotations

import asyncio
import math
import ssl
import struct
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hpack import Decoder, Encoder

from deploy_core.endpoint import Endpoint
from deploy_dialects.wire import HttpRequest, RpcRequest
from deploy_latency.calls import Call
from deploy_latency.wires import WIRES

PATH = "/a.B/C"
PATIENCE = 20.0


@dataclass
class Asked:
    """One request, and what may be done with it."""

    side: Any
    number: int  # its stream, over gRPC
    headers: Mapping[str, str]
    body: bytes

    def answer(self, body: bytes | None = None) -> None:
        self.side.answer(self.number, self.body if body is None else body)

    def refuse(self) -> None:
        self.side.refuse(self.number)

    def break_off(self) -> None:
        """End in the middle of an answer."""
        self.side.begin(self.number)
        self.side.transport.close()

    def close(self) -> None:
        """End without an answer."""
        self.side.transport.close()


class HttpSide(asyncio.Protocol):
    """One connection, of HTTP/1.1."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.open = True
        self.rest = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.peer.connected(self)

    def hello(self) -> None: ...

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while (at := self.rest.find(b"\r\n\r\n")) >= 0:
            lines = self.rest[:at].decode().split("\r\n")
            headers = {
                ":first": lines[0],
                **{name: text for name, _, text in (line.partition(": ") for line in lines[1:])},
            }
            end = at + 4 + int(headers.get("content-length", 0))
            if len(self.rest) < end:
                return
            body, self.rest = self.rest[at + 4 : end], self.rest[end:]
            self.peer.take(Asked(self, 0, headers, body))

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        self.peer.changed.set()

    def answer(self, number: int, body: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Who: peer\r\n\r\n%s" % (len(body), body))

    def refuse(self, number: int) -> None:
        self.transport.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy")

    def begin(self, number: int) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")


def frame(kind: int, flags: int, number: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + number.to_bytes(4, "big") + payload


def message(body: bytes) -> bytes:
    return b"\0" + len(body).to_bytes(4, "big") + body


class GrpcSide(asyncio.Protocol):
    """One connection, of HTTP/2; its headers use the table of HPACK as much as they can."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.open = True
        self.rest = b""
        self.skip = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.encoder, self.decoder = Encoder(), Decoder()
        self.streams: dict[int, tuple[dict[str, str], bytearray]] = {}
        self.frames: list[tuple[int, int, int, bytes]] = []  # all that came

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.peer.connected(self)

    def hello(self) -> None:
        self.write(4, 0, 0, b"".join(struct.pack(">HL", *each) for each in self.peer.settings.items()))

    def write(self, *parts: Any) -> None:
        self.transport.write(frame(*parts))

    def headers(self, number: int, fields: Sequence[tuple[str, str]], flags: int = 4) -> None:
        self.write(1, flags, number, self.encoder.encode(fields))

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while len(self.rest) >= self.skip + 9:
            at = self.skip
            end = at + 9 + int.from_bytes(self.rest[at : at + 3], "big")
            if len(self.rest) < end:
                return
            kind, flags, number = struct.unpack(">BBL", self.rest[at + 3 : at + 9])
            payload, self.rest, self.skip = self.rest[at + 9 : end], self.rest[end:], 0
            self.frames.append((kind, flags, number, payload))
            self.take(kind, flags, number, payload)
            self.peer.changed.set()

    def take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == 1:
            self.streams[number] = dict(self.decoder.decode(payload)), bytearray()
        elif kind == 0:
            self.streams[number][1].extend(payload)
            for stream in (0, number):
                if self.peer.generous and payload:
                    self.write(8, 0, stream, len(payload).to_bytes(4, "big"))
            if flags & 1:
                headers, body = self.streams.pop(number)
                assert body[:5] == message(bytes(body[5:]))[:5]
                self.peer.take(Asked(self, number, headers, bytes(body[5:])))

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        self.peer.changed.set()

    def answer(self, number: int, body: bytes) -> None:
        self.begin(number)
        packed = message(body)
        for at in range(0, len(packed), 16384):
            self.write(0, 0, number, packed[at : at + 16384])
        self.headers(number, [("grpc-status", "0"), ("x-turn", str(number))], 5)

    def refuse(self, number: int) -> None:
        fields = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "14")]
        self.headers(number, [*fields, ("grpc-message", "zu viel: %C3%BC %25 %zz")], 5)

    def begin(self, number: int) -> None:
        self.headers(number, [(":status", "200"), ("content-type", "application/grpc"), ("x-who", "peer")])


@dataclass
class Peer:
    """A server; `script` is what it does with a request, `greet` what it does with a connection."""

    side: type[Any]
    sides: list[Any] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    script: Callable[[Asked], None] = Asked.answer
    greet: Callable[[Any], None] = lambda side: side.hello()
    settings: dict[int, int] = field(default_factory=dict)
    generous: bool = True  # allows as many bytes more as came
    port: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def connected(self, side: Any) -> None:
        self.sides.append(side)
        self.greet(side)
        self.changed.set()

    def take(self, asked: Asked) -> None:
        self.asked.append(asked)
        self.script(asked)
        self.changed.set()

    async def until(self, happened: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not happened():
                self.changed.clear()
                await self.changed.wait()


SIDES = {"rest": HttpSide, "grpc": GrpcSide}


@asynccontextmanager
async def peer(transport: str, *, context: ssl.SSLContext | None = None, **traits: Any) -> AsyncGenerator[Peer]:
    """Have a server run."""
    made = Peer(SIDES[transport], **traits)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: made.side(made), "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for side in made.sides:
            side.transport.abort()
        await made.until(lambda: not any(side.open for side in made.sides))


class Caller:
    """Sends calls and collects those that are done; all its answers are to be fetched."""

    def __init__(self, url: str, bodies: Sequence[bytes], headers: Mapping[str, str], tls: Any) -> None:
        endpoint = Endpoint.parse(url)
        self.now = time.perf_counter
        self.done: asyncio.Queue[Call] = asyncio.Queue()
        kinds: dict[str, Callable[[bytes], Any]] = {
            "rest": lambda body: HttpRequest("POST", PATH, {"content-type": "text/plain"}, body),
            "grpc": lambda body: RpcRequest(PATH, body),
        }
        requests = [kinds[endpoint.transport](body) for body in bodies]
        wire = WIRES.load(endpoint.transport).wire
        self.wire = wire(endpoint, headers, tls, requests, self, self.done.put_nowait)

    def at(self, when: float, act: Callable[[], None]) -> None:
        raise AssertionError("a wire has nothing to do with time to come")

    def send(self, request: int = 0) -> Call:
        now = self.now()
        call = Call(request, now, now)
        assert call.sent == math.inf
        self.wire.send(call)
        return call

    async def next(self) -> Call:
        async with asyncio.timeout(PATIENCE):
            call = await self.done.get()
        assert call.intended <= call.done
        return call


@asynccontextmanager
async def calling(
    url: str,
    bodies: Sequence[bytes] = (b"hello",),
    *,
    connections: int = 1,
    headers: Mapping[str, str] | None = None,
    tls: Any = None,
) -> AsyncGenerator[Caller]:
    """Have a wire open; at the end nothing may have come that was not fetched."""
    caller = Caller(url, bodies, headers or {}, tls)
    await caller.wire.open(connections, PATIENCE)
    try:
        yield caller
    finally:
        await caller.wire.close()
    assert caller.done.empty()


def url(transport: str, port: int, *, secure: bool = False) -> str:
    """Give an endpoint here."""
    return f"oip+{transport}{'s' if secure else ''}://127.0.0.1:{port}/m"
