"""HTTP requests that are awaited, over kept connections of asyncio's own.

There is nothing here of what would have to be switched off elsewhere: no proxies, redirects, cookies or decoding.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from dataclasses import dataclass

from deploy_clients import failures
from deploy_clients.headers import Secret
from deploy_clients.limits import CONNECTIONS
from deploy_clients.reading import Answer, NotHttpError
from deploy_clients.tls import Tls, context
from deploy_core.endpoint import Endpoint
from deploy_dialects.wire import HttpReply, HttpRequest


def transport(endpoint: Endpoint, headers: Secret, tls: Tls) -> RestAsyncTransport:
    """Give the transport to an endpoint; nothing is opened yet."""
    return RestAsyncTransport(endpoint, headers, tls)


class RestAsyncTransport:
    """Connections to one server, of one event loop; each carries one request at a time."""

    def __init__(self, endpoint: Endpoint, headers: Secret, tls: Tls) -> None:
        self._endpoint = endpoint
        self._headers = Secret({**headers, "accept-encoding": "identity"})
        self._context = context(tls) if endpoint.tls else None
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._closed = False

    async def send(self, request: HttpRequest, timeout: float) -> HttpReply:
        """Give the reply, whatever its status. Raises EndpointError if there is none in time."""
        if self._closed:
            raise failures.closed(self._endpoint)
        try:
            async with asyncio.timeout(max(timeout, 0.001)):
                connection = self._kept() or await self._opened()
                return await self._exchanged(connection, request)
        except TimeoutError as error:
            raise failures.late(self._endpoint, timeout) from error

    async def close(self) -> None:
        """Close all connections; may be called twice."""
        self._closed = True
        for connection in (*self._idle, *self._busy):
            connection.writer.transport.abort()
        self._idle.clear()
        await asyncio.sleep(0)  # in which the loop lets them go

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        return None

    async def _opened(self) -> _Connection:
        endpoint = self._endpoint
        try:
            streams = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=self._context)
        except ssl.SSLError as error:
            raise failures.untrusted(endpoint, error) from error
        except TimeoutError:
            raise
        except OSError as error:
            raise failures.unreachable(endpoint, _why(error)) from error
        return _Connection(*streams)

    async def _exchanged(self, connection: _Connection, request: HttpRequest) -> HttpReply:
        self._busy.add(connection)
        answer = Answer(self._endpoint)
        try:
            await self._talk(connection, self._written(request), answer)
            kept = answer.reusable and len(self._idle) < CONNECTIONS and not self._closed
        except BaseException:
            connection.writer.close()
            raise
        finally:
            self._busy.discard(connection)
        if kept:
            connection.uses += 1
            self._idle.append(connection)
        else:
            connection.writer.close()
        return answer.reply()

    async def _talk(self, connection: _Connection, data: bytes, answer: Answer) -> None:
        try:
            connection.writer.write(data)
            await connection.writer.drain()
            while not answer.complete:
                answer.feed(await connection.reader.read(answer.wants))
        except ssl.SSLError as error:
            raise failures.untrusted(self._endpoint, error) from error
        except TimeoutError:
            raise
        except (OSError, NotHttpError, EOFError) as error:
            if self._closed:
                raise failures.closed(self._endpoint) from error
            if connection.uses and not answer.begun and isinstance(error, OSError | EOFError):
                raise failures.dropped(self._endpoint) from error
            raise failures.broken(self._endpoint, error) from error

    def _written(self, request: HttpRequest) -> bytes:
        headers = {"host": self._endpoint.address, **request.headers, **self._headers}
        if request.body or request.method in ("POST", "PUT"):
            headers["content-length"] = str(len(request.body))
        lines = [f"{request.method} {request.target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
        return "\r\n".join((*lines, "", "")).encode() + request.body


@dataclass(eq=False)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    uses: int = 0


def _why(error: OSError) -> str:
    """Give the system's own words, where asyncio has put others in their place."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or "no connection"
