"""From a URL to a dialect and a transport, with all that goes along: headers, keys, TLS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy_clients import keys
from deploy_clients.headers import Secret, checked_headers
from deploy_clients.limits import LONGEST
from deploy_clients.tls import Tls, checked
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UsageError
from deploy_core.table import Table
from deploy_dialects.tables import DIALECTS


def opened(
    url: str | Endpoint, transports: Table, headers: Mapping[str, str] | None, tls: Tls | None
) -> tuple[Endpoint, Any, Any]:
    """Give endpoint, dialect and transport; nothing is sent yet. Raises UsageError, or UnavailableError for an extra."""
    endpoint = Endpoint.parse(url) if isinstance(url, str) else url
    dialect = DIALECTS.load(f"{endpoint.dialect}+{endpoint.transport}")
    return endpoint, dialect, transport_to(endpoint, transports, headers, tls)


def seconds(timeout: float) -> float:
    """Give the timeout. Raises UsageError for one that is over before it begins, or that no clock here can hold."""
    if not timeout > 0:
        raise UsageError(f"a timeout of {timeout:g} s leaves no time", hint="give seconds, more than 0")
    if timeout > LONGEST:
        raise UsageError(f"a timeout of {timeout:g} s is longer than a day", hint=f"give {LONGEST:g} seconds at most")
    return timeout


def transport_to(
    endpoint: Endpoint,
    transports: Table,
    headers: Mapping[str, str] | None,
    tls: Tls | None,
    kind: str = "inference",
) -> Any:
    """Give a transport; nothing is opened yet."""
    trust = checked(endpoint, tls)
    return transports.load(endpoint.transport).transport(endpoint, sent_headers(endpoint, headers, kind), trust)


def sent_headers(endpoint: Endpoint, headers: Mapping[str, str] | None, kind: str = "inference") -> Secret:
    """Give the headers that go with every request; a key that is known is one, unless the given ones say otherwise."""
    given = checked_headers(headers or {})
    return given if "authorization" in given else checked_headers({**keys.header(endpoint, kind), **given})
