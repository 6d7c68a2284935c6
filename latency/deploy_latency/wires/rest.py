"""HTTP/1.1 requests whose bytes are made once, over connections that each carry one at a time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deploy_clients.headers import Secret
from deploy_clients.opening import sent_headers
from deploy_clients.reading import Answer, NotHttpError
from deploy_clients.tls import Tls, checked, context
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_dialects.wire import HttpRequest
from deploy_latency.calls import Call, Clock
from deploy_latency.wires.answers import Heads, status_error
from deploy_latency.wires.dialling import CLOSED, short
from deploy_latency.wires.pool import Pool

_RACE = 0.5  # seconds in which the end of a kept connection may have crossed the request on its way


def wire(
    endpoint: Endpoint,
    headers: Mapping[str, str] | None,
    tls: Tls | None,
    requests: Sequence[HttpRequest],
    clock: Clock,
    on_done: Callable[[Call], None],
) -> Pool:
    """Give the wire; nothing is opened yet. Raises UsageError for headers or TLS that cannot be."""
    trust = checked(endpoint, tls)
    security = context(trust) if endpoint.tls else None
    given = Secret({**sent_headers(endpoint, headers), "accept-encoding": "identity"})
    written = [_written(endpoint, given, request) for request in requests]
    heads = Heads()
    return Pool(endpoint, security, lambda pool: _Connection(pool, written, heads), clock, on_done)


class _Connection(asyncio.Protocol):
    """One connection. Answers that are anything but whole and plain are read by `Answer`."""

    __slots__ = (
        "_answer",
        "_call",
        "_heads",
        "_now",
        "_over",
        "_pool",
        "_transport",
        "_used",
        "_written",
        "free",
        "listed",
    )

    def __init__(self, pool: Pool, written: Sequence[bytes], heads: Heads) -> None:
        self.free = False
        self.listed = False
        self._transport: Any = None
        self._pool = pool
        self._now = pool.now
        self._written = written
        self._heads = heads
        self._call: Call | None = None
        self._answer: Answer | None = None
        self._used = False
        self._over: BaseException | None = None

    async def opened(self) -> None:
        """Take calls from now on. Raises OSError if the connection is lost already."""
        if self._over is not None:
            raise self._over
        self.free = True

    def start(self, call: Call) -> None:
        """Send a call."""
        self.free = False
        self._call = call
        call.wire = self
        call.sent = self._now()
        self._transport.write(self._written[call.request])

    def drop(self, call: Call) -> None:
        """Close, since an answer that nobody wants would come before the next one."""
        if call is self._call:
            self._call = None
            self.abort()
            self._pool.lost(self, CLOSED, blame=False)

    def abort(self) -> None:
        """Close at once."""
        self.free = False
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: Any) -> None:
        """Have a transport."""
        self._transport = transport
        self._pool.connected(self)

    def data_received(self, data: bytes) -> None:
        """Read an answer, or the next piece of one."""
        call = self._call
        if call is None:
            self._leave()  # nothing was asked
            return
        now = self._now()
        found = self._heads.whole(data) if self._answer is None else None
        if found is None:
            self._read(call, data, now)
            return
        head, call.body = found
        call.headers = head.headers
        self._finish(call, head.error, now)

    def eof_received(self) -> None:
        """Take the end as that of an answer, if that one has no other end."""
        if self._call is not None and self._answer is not None:
            self._read(self._call, b"", self._now())

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the pool, and what becomes of the call."""
        self.free = False
        self._over = error or ConnectionResetError(CLOSED)
        self._pool.disconnected(self)
        call, self._call = self._call, None
        why = short(error) if isinstance(error, ssl.SSLError) else CLOSED
        if call is None:
            self._pool.lost(self, why, blame=not self._used)
        elif self._used and self._answer is None and self._now() - call.sent < _RACE:
            self._pool.lost(self, why, blame=False)
            self._pool.again((call,))
        else:
            self._pool.lost(self, why, blame=not self._used)
            self._pool.fail(call, why)

    def _read(self, call: Call, data: bytes, now: float) -> None:
        """Read an answer of any form."""
        answer = self._answer = self._answer or Answer(self._pool.endpoint)
        try:
            answer.feed(data)
        except (NotHttpError, EOFError, EndpointError) as error:
            self._call = None
            self._leave()
            self._pool.fail(call, _fault(error, self._pool.endpoint))
            return
        if answer.complete:
            reply = answer.reply()
            call.headers, call.body = reply.headers, reply.body
            self._finish(call, status_error(reply.status), now, kept=answer.reusable)

    def _finish(self, call: Call, error: str, now: float, *, kept: bool = True) -> None:
        """Be ready for the next call before this one is looked at."""
        call.error = error
        call.done = now
        self._call = self._answer = None
        if not self._used:
            self._used = True
            self._pool.proved()
        if kept:
            self.free = True
            self._pool.freed(self)
        else:
            self._leave()
        self._pool.on_done(call)

    def _leave(self) -> None:
        """Close, and let the pool open another at once."""
        self.abort()
        self._pool.lost(self, CLOSED, blame=not self._used)


def _fault(error: BaseException, endpoint: Endpoint) -> str:
    if isinstance(error, NotHttpError):
        return "not HTTP"
    if isinstance(error, EndpointError):
        return str(error).removeprefix(f"{endpoint} ")
    return CLOSED


def _written(endpoint: Endpoint, given: Secret, request: HttpRequest) -> bytes:
    headers = {"host": endpoint.address, **request.headers, **given}
    if request.body or request.method in ("POST", "PUT"):
        headers["content-length"] = str(len(request.body))
    lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join((*lines, "", "")).encode() + request.body
