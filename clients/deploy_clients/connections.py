"""HTTP connections of urllib3's that hold a deadline and know whether they were used before."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class DroppedError(http.client.RemoteDisconnected):
    """A connection that was used before ended without a byte of an answer."""


class _Clocked(io.RawIOBase):
    """Reads from a socket until a deadline: a socket's own timeout begins anew with every byte that drips in."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        # urllib3 has just given the socket what is left of the request's total.
        raw: Any = self.fp.detach()
        self.fp = io.BufferedReader(_Clocked(raw, sock, time.monotonic() + (sock.gettimeout() or 0)))


class _Used:
    """Tells a connection that a server has tired of from a server that dies of a request."""

    sock: Any
    _uses = 0

    def connect(self) -> None:
        self._uses = 0
        super().connect()  # type: ignore[misc]

    def getresponse(self) -> Any:
        self._uses += 1
        try:
            return super().getresponse()  # type: ignore[misc]
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
            if self._uses > 1:
                raise DroppedError(str(error)) from error
            raise


class _Plain(_Used, HTTPConnection):
    response_class = _Answer


class _Secure(_Used, HTTPSConnection):
    response_class = _Answer


class Plain(HTTPConnectionPool):
    """Connections without TLS."""

    ConnectionCls = _Plain


class Secure(HTTPSConnectionPool):
    """Connections with TLS."""

    ConnectionCls = _Secure
