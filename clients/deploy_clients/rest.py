"""HTTP requests over a pool of kept connections: no proxies, no redirects, no retries, bounded answers."""

from __future__ import annotations

import time
from typing import Any

import urllib3
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from deploy_clients import failures, tls
from deploy_clients.connections import DroppedError, Plain, Secure
from deploy_clients.headers import Secret
from deploy_clients.limits import CONNECTIONS, MAX_ANSWER
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_dialects.wire import HttpReply, HttpRequest

_CHUNK = 2**20


def transport(endpoint: Endpoint, headers: Secret, trust: tls.Tls) -> RestTransport:
    """Give the transport to an endpoint; nothing is opened yet."""
    return RestTransport(endpoint, headers, trust)


class RestTransport:
    """Connections to one server. A pool is used and not a pool manager, which would ask the environment for proxies."""

    def __init__(self, endpoint: Endpoint, headers: Secret, trust: tls.Tls) -> None:
        self._endpoint = endpoint
        self._pool = _pool(endpoint, trust)
        # An encoded answer could unpack to any size.
        self._headers = Secret({**headers, "accept-encoding": "identity"})

    def send(self, request: HttpRequest, timeout: float) -> HttpReply:
        """Give the reply, whatever its status. Raises EndpointError if there is none in time."""
        deadline = time.monotonic() + timeout
        try:
            reply = self._open(request, timeout)
            try:
                body = self._body(reply, deadline)
            except BaseException:
                reply.close()
                raise
            reply.release_conn()
        except (HTTPError, OSError) as error:
            raise self._failure(error, timeout) from error
        return HttpReply(reply.status, {name.lower(): value for name, value in reply.headers.items()}, body)

    def close(self) -> None:
        """Close all connections; may be called twice."""
        self._pool.close()

    def _open(self, request: HttpRequest, timeout: float) -> Any:
        return self._pool.urlopen(
            request.method,
            request.target,
            body=request.body or None,
            headers={**request.headers, **self._headers},
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=urllib3.Timeout(total=max(timeout, 0.001)),
            preload_content=False,
            decode_content=False,
        )

    def _body(self, reply: Any, deadline: float) -> bytes:
        """Read to the end, to the deadline, or to what is too much."""
        coding = reply.headers.get("content-encoding", "identity")
        if coding != "identity":
            raise failures.encoded(self._endpoint, coding)
        parts: list[bytes] = []
        size = 0
        while part := reply.read1(_CHUNK):
            size += len(part)
            if size > MAX_ANSWER:
                raise failures.oversized(self._endpoint, MAX_ANSWER)
            if time.monotonic() > deadline:
                raise ReadTimeoutError(self._pool, None, "")
            parts.append(part)
        return b"".join(parts)

    def _failure(self, error: Exception, timeout: float) -> EndpointError:
        if isinstance(error, NewConnectionError | ConnectTimeoutError):
            # The error's own text names the pool; the system's words are in its cause.
            return failures.unreachable(self._endpoint, getattr(error.__cause__, "strerror", None) or "no connection")
        if isinstance(error, ReadTimeoutError | TimeoutError):
            return failures.late(self._endpoint, timeout)
        if isinstance(error, SSLError):
            return failures.untrusted(self._endpoint, error)
        if isinstance(error, ClosedPoolError):
            return failures.closed(self._endpoint)
        if isinstance(error, ProtocolError) and isinstance(error.args[-1], DroppedError):
            return failures.dropped(self._endpoint)
        return failures.broken(self._endpoint, error)


def _pool(endpoint: Endpoint, trust: tls.Tls) -> Any:
    if not endpoint.tls:
        return Plain(endpoint.host, endpoint.port, maxsize=CONNECTIONS)
    return Secure(endpoint.host, endpoint.port, maxsize=CONNECTIONS, ssl_context=tls.context(trust))
