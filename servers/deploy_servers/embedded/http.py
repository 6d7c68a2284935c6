"""HTTP/1.1 for the embedded server: an asyncio protocol that answers pipelined requests in their order."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import cast

from deploy_dialects.wire import HttpReply, HttpRequest
from deploy_servers.embedded.parse import HostRule, Incoming, Limits, Rejected, RequestParser

Respond = Callable[[HttpReply], None]
Answer = Callable[[HttpRequest, Respond], None]

_NEVER = float("inf")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SWEEP = 0.25  # seconds between looks at the connections' deadlines


class _Slot:
    """One request's place in the order of answers; the last one may be asked to end the connection."""

    __slots__ = ("head", "keep_alive", "reply")

    def __init__(self, *, keep_alive: bool, head: bool = False) -> None:
        self.keep_alive = keep_alive
        self.head = head
        self.reply: HttpReply | None = None


class Connection(asyncio.Protocol):
    """One client. `deadline` is when its patience ends; the listener looks at it."""

    def __init__(self, listener: HttpListener) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser(self._limits, self._take, self._expect, listener.host)
        self._slots: deque[_Slot] = deque()
        self._expected = False  # a client waits for 100 Continue
        self._ending = False  # an answer that ends the connection is on its way, or has gone
        self._rejected = False
        self._blocked = False  # the client does not read what we write
        self._draining = False
        self.deadline = _NEVER

    @property
    def owes_answers(self) -> bool:
        """Whether a whole request has no answer yet."""
        return bool(self._slots)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by the loop)."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own classes do not inherit from it
        self._listener.connections.add(self)
        self._set_deadline("new")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything; answers that still come are dropped."""
        self._ending = True
        self._slots.clear()
        self._listener.lost(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; what comes after the last request of a connection is thrown away."""
        if self._ending:
            return
        before = self._parser.stage
        try:
            self._parser.feed(data)
        except Rejected as rejected:
            self._reject(rejected)
            return
        if len(self._slots) >= self._limits.pipelined:
            self._transport.pause_reading()
        self._set_deadline(before)

    def eof_received(self) -> bool:
        """Answer what was asked before the client said that nothing more comes."""
        self._ending = True
        return bool(self._slots)

    def pause_writing(self) -> None:
        """Stop reading while the client does not take its answers."""
        self._blocked = True
        self._transport.pause_reading()
        self.deadline = self._loop.time() + self._limits.receive

    def resume_writing(self) -> None:
        """Go on reading."""
        self._blocked = False
        self._settle()

    def expire(self) -> None:
        """End a connection whose deadline has passed: an unfinished request is told so, all else is closed."""
        if self._blocked or self._ending:
            self._transport.abort()
        elif self._parser.stage == "idle":
            self._transport.close()
        else:
            self._reject(Rejected(408, f"the request was not complete within {self._limits.receive:g} s"))

    def drain(self) -> None:
        """Close as soon as the requests that have begun are answered."""
        self._draining = True
        if not self._slots and self._parser.stage == "idle" and not self._ending:
            self._transport.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()

    def _take(self, incoming: Incoming) -> None:
        if self._ending:
            return
        slot = _Slot(keep_alive=incoming.keep_alive, head=incoming.request.method == "HEAD")
        self._slots.append(slot)
        self._expected = False
        self._ending = not incoming.keep_alive
        self._listener.answer(incoming.request, partial(self._complete, slot))

    def _expect(self) -> None:
        self._expected = True
        self._say_continue()

    def _say_continue(self) -> None:
        # Only when every earlier answer has gone: an interim answer belongs to the request that asked for it.
        if self._expected and not self._slots:
            self._expected = False
            self._transport.write(_CONTINUE)

    def _reject(self, rejected: Rejected) -> None:
        slot = _Slot(keep_alive=False)
        self._slots.append(slot)
        self._ending = self._rejected = True
        self._complete(slot, plain_error(rejected.status, rejected.message))

    def _complete(self, slot: _Slot, reply: HttpReply) -> None:
        slot.reply = reply
        out = []
        while self._slots and self._slots[0].reply is not None:
            out.append(self._encoded(self._slots.popleft()))
        if out and not self._transport.is_closing():
            self._transport.write(b"".join(out))
            self._settle()

    def _encoded(self, slot: _Slot) -> bytes:
        assert slot.reply is not None
        if self._draining and not self._slots and self._parser.stage == "idle":
            slot.keep_alive = False
            self._ending = True
        return encode(slot.reply, keep_alive=slot.keep_alive, head=slot.head)

    def _settle(self) -> None:
        if self._ending and not self._slots:
            self._finish()
            return
        self._say_continue()
        if not self._blocked and len(self._slots) < self._limits.pipelined:
            self._transport.resume_reading()
        self._set_deadline("new")

    def _finish(self) -> None:
        if self._rejected:
            # Closing on unread bytes would reset the connection and could cost the client its answer.
            self.deadline = self._loop.time() + self._limits.linger
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self.deadline = self._loop.time() + self._limits.receive
            self._transport.close()

    def _set_deadline(self, before: str) -> None:
        stage = self._parser.stage
        if self._blocked or (stage == "head" and before == "head"):
            return  # a head must be complete in time, however it drips
        patience = self._limits.idle if stage == "idle" else self._limits.receive
        self.deadline = _NEVER if self._slots else self._loop.time() + patience


class HttpListener:
    """Listens on one address, keeps the connections, ends those that take too long."""

    def __init__(
        self, answer: Answer, *, host: str = "127.0.0.1", published: str = "", limits: Limits | None = None
    ) -> None:
        self.answer = answer
        self.limits = limits or Limits()
        self.host = HostRule(published or host)
        self.connections: set[Connection] = set()
        self._address = host
        self._empty = asyncio.Event()

    async def start(self, port: int) -> int:
        """Listen on `port` (0: the system chooses) and give it. Raises OSError if it is taken."""
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(
            lambda: Connection(self), self._address, port, reuse_address=True, backlog=1024
        )
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace: float) -> bool:
        """Accept nobody, let what has begun be answered for `grace` seconds, then cut; tell whether all was answered."""
        self._server.close()
        self._empty.clear()
        for connection in list(self.connections):
            connection.drain()
        with suppress(TimeoutError):
            if self.connections:
                await asyncio.wait_for(self._empty.wait(), grace)
        self._sweeper.cancel()
        left = list(self.connections)
        answered = not any(connection.owes_answers for connection in left)
        for connection in left:
            connection.abort()
        return answered

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in [c for c in self.connections if c.deadline < now]:
            connection.expire()
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep)


def plain_error(status: int, message: str) -> HttpReply:
    """Give the answer to what reached no dialect."""
    body = json.dumps({"error": message}).encode()
    return HttpReply(status, {"content-type": "application/json"}, body)


def encode(reply: HttpReply, *, keep_alive: bool, head: bool = False) -> bytes:
    """Give the bytes of an answer; one to HEAD has no body."""
    lines = [f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    lines += [f"content-length: {len(reply.body)}", f"connection: {'keep-alive' if keep_alive else 'close'}", "\r\n"]
    return "\r\n".join(lines).encode("latin-1") + (b"" if head else reply.body)


_REASONS = {status.value: status.phrase for status in HTTPStatus}
