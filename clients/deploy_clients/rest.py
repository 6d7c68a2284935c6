"""HTTP requests over a pool of kept connections: no proxies, no redirects, no retries, bounded answers."""

from __future__ import annotations

import time
from typing import Any

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from deploy_clients.headers import Secret
from deploy_clients.limits import MAX_ANSWER
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_dialects.wire import HttpReply, HttpRequest

_CHUNK = 2**20
_CONNECTIONS = 16  # kept open at most; more threads than that still get connections, which are closed afterwards


def transport(endpoint: Endpoint, headers: Secret) -> RestTransport:
    """Give the transport to an endpoint; nothing is opened yet."""
    return RestTransport(endpoint, headers)


class RestTransport:
    """Connections to one server. A pool is used and not a pool manager, which would ask the environment for proxies."""

    def __init__(self, endpoint: Endpoint, headers: Secret) -> None:
        kind = urllib3.HTTPSConnectionPool if endpoint.tls else urllib3.HTTPConnectionPool
        self._endpoint = endpoint
        self._pool = kind(endpoint.host, endpoint.port, maxsize=_CONNECTIONS)
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
        """Read to the end; each read has the socket's timeout, the whole has the deadline."""
        if reply.headers.get("content-encoding", "identity") != "identity":
            raise self._error(
                f"answered with content-encoding {reply.headers['content-encoding']}, which was not asked for"
            )
        parts: list[bytes] = []
        size = 0
        while part := reply.read1(_CHUNK):
            size += len(part)
            if size > MAX_ANSWER:
                raise self._error(f"answered more than {MAX_ANSWER} bytes")
            if time.monotonic() > deadline:
                raise ReadTimeoutError(self._pool, None, "")
            parts.append(part)
        return b"".join(parts)

    def _failure(self, error: Exception, timeout: float) -> EndpointError:
        if isinstance(error, NewConnectionError | ConnectTimeoutError):
            # The error's own text names the pool; the system's words are in its cause.
            why = getattr(error.__cause__, "strerror", None) or "no connection"
            return self._error(
                f"cannot be reached: {why}", "is the server running on that host and port?", "UNAVAILABLE"
            )
        if isinstance(error, ReadTimeoutError | TimeoutError):
            return self._error(
                f"did not answer within {timeout:g} s",
                "give connect() a longer timeout, or look at the server's load",
                "DEADLINE_EXCEEDED",
            )
        if isinstance(error, SSLError):
            return self._error(
                f"failed at TLS: {error}", "does the port speak TLS, and is its certificate trusted here?"
            )
        return self._error(f"broke off: {type(error).__name__}: {error}", "does the port speak HTTP?")

    def _error(self, what: str, hint: str = "is that the server you mean?", status: str | None = None) -> EndpointError:
        return EndpointError(f"{self._endpoint} {what}", hint=hint, status=status)
