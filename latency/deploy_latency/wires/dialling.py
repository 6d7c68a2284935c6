"""Why a server could not be reached, and how long to leave it alone after that."""

from __future__ import annotations

import os
import socket
import ssl

from deploy_clients import failures, tls
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError

CLOSED = "connection closed"
_FIRST = 0.05  # seconds of leaving alone after the first failure; they double
_LONGEST = 1.0


class WireError(Exception):
    """The server does not keep to the protocol; the text is short and has nothing that differs from call to call."""


class Patience:
    """How long to wait before the next connection: not at all, unless the last ones came to nothing."""

    __slots__ = ("_failures", "_until")

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    @property
    def tried(self) -> bool:
        """Whether the last attempt came to nothing."""
        return self._failures > 0

    def left(self, now: float) -> float:
        """Give the seconds that are still to be waited; 0 or less for none."""
        return self._until - now

    def failed(self, now: float) -> None:
        """Wait longer; failures at the same time are one."""
        if now >= self._until:
            self._until = now + min(_FIRST * 2**self._failures, _LONGEST)
            self._failures = min(self._failures + 1, 10)

    def proved(self) -> None:
        """Wait no more: the server has answered."""
        self._failures = 0
        self._until = 0.0


def short(error: BaseException) -> str:
    """Give why there is no connection, in words that are the same for all calls."""
    if isinstance(error, WireError):
        return str(error)
    if isinstance(error, ssl.SSLError):
        return f"TLS: {tls.reason(str(error))[0] or 'handshake failed'}"
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, socket.gaierror):
        return "unknown host"
    if isinstance(error, ConnectionResetError | ConnectionAbortedError | BrokenPipeError):
        return CLOSED  # which of them it is, is a matter of chance
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    return CLOSED


def told(endpoint: Endpoint, error: BaseException, timeout: float) -> EndpointError:
    """Give what to raise where connections were to be opened."""
    if isinstance(error, ssl.SSLError):
        return failures.untrusted(endpoint, error)
    if isinstance(error, TimeoutError):
        return failures.late(endpoint, timeout)
    if isinstance(error, WireError):
        hint = "is that the server's gRPC port?" if endpoint.transport == "grpc" else ""
        return EndpointError(f"{endpoint} cannot be asked: {error}", hint=hint)
    return failures.unreachable(endpoint, short(error))
