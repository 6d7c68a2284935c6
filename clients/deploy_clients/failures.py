"""What goes wrong between a client and an HTTP server, in the same words whoever moves the bytes."""

from __future__ import annotations

from deploy_clients import tls
from deploy_clients.limits import MAX_ANSWER
from deploy_clients.retries import UnansweredError
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError

_WHICH = "is that the server you mean?"


def unreachable(endpoint: Endpoint, why: str) -> UnansweredError:
    """There is no connection."""
    return UnansweredError(
        f"{endpoint} cannot be reached: {why}",
        hint="is the server running on that host and port?",
        status="UNAVAILABLE",
    )


def dropped(endpoint: Endpoint) -> UnansweredError:
    """A kept connection was closed while it lay idle, as servers do after a while."""
    return UnansweredError(
        f"{endpoint} closed the connection before it answered", hint="the server's log says more", status="UNAVAILABLE"
    )


def late(endpoint: Endpoint, timeout: float) -> EndpointError:
    """There is no whole answer in time."""
    hint = "give a longer timeout (--timeout, connect(timeout=…)), or look at the server's load"
    return EndpointError(f"{endpoint} did not answer within {timeout:.3g} s", hint=hint, status="DEADLINE_EXCEEDED")


def untrusted(endpoint: Endpoint, error: BaseException) -> EndpointError:
    """The handshake of TLS failed."""
    what, hint = tls.reason(str(error))
    return EndpointError(
        f"{endpoint} failed at TLS: {what or error}",
        hint=hint or "does the port speak TLS, and is its certificate trusted here?",
    )


def broken(endpoint: Endpoint, error: BaseException) -> EndpointError:
    """The answer is not HTTP, or ends too early."""
    return EndpointError(
        f"{endpoint} broke off: {type(error).__name__}: {error}", hint="does the port speak HTTP?", status=None
    )


def encoded(endpoint: Endpoint, coding: str) -> EndpointError:
    """The answer is packed, and could unpack to any size."""
    return EndpointError(
        f"{endpoint} answered with content-encoding {coding[:100]}, which was not asked for", hint=_WHICH
    )


def oversized(endpoint: Endpoint, limit: int = MAX_ANSWER) -> EndpointError:
    """The answer has no end, or might as well have none."""
    return EndpointError(f"{endpoint} answered more than {limit} bytes", hint=_WHICH)


def closed(endpoint: Endpoint) -> EndpointError:
    """Our own side has been closed."""
    return EndpointError(f"the connection to {endpoint} is closed", hint="connect again")
