"""How endpoints are reached, as plain data: one for all that a command is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from deploy_core.errors import UsageError

if TYPE_CHECKING:
    from deploy_clients import Client, Tls
    from deploy_core.endpoint import Endpoint


@dataclass(frozen=True)
class Access:
    """Seconds for a request as a whole, headers that go with each, and TLS for the endpoints that use it."""

    timeout: float = 30.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: Tls | None = None

    @property
    def ours(self) -> Access:
        """The access to servers that were started for this: what is for the user's own endpoints does not go there."""
        return replace(self, headers={}, tls=None)

    def require_fit(self, endpoints: Iterable[Endpoint]) -> None:
        """Raise UsageError for what goes to none of the endpoints, or cannot."""
        from deploy_clients import tls
        from deploy_clients.headers import checked_headers, checked_metadata
        from deploy_clients.opening import seconds

        named = list(endpoints)
        seconds(self.timeout)
        headers = checked_headers(self.headers)
        if not named and (headers or self.tls):
            raise UsageError(
                "headers, a token or TLS files are given, but no endpoint is named",
                hint="name one: DIALECT+rest|grpc[s]://HOST:PORT/MODEL",
            )
        if any(endpoint.transport == "grpc" for endpoint in named):
            checked_metadata(headers)
        if self.tls is not None:
            tls.context(self.tls)
            tls.checked(next((endpoint for endpoint in named if endpoint.tls), named[0]), self.tls)

    def client(self, endpoint: Endpoint, *, binary: bool = False) -> Client:
        """Connect; the client's libraries are imported here. With `binary`, and where there is no other form, by raw bytes."""
        from deploy_clients import connect
        from deploy_dialects.carrying import only_binary

        tls = self.tls if endpoint.tls else None
        opened = partial(connect, endpoint, timeout=self.timeout, headers=self.headers, tls=tls)
        client = opened(binary=binary)
        if binary or not only_binary(endpoint.dialect, client.signature):
            return client
        client.close()
        return opened(binary=True)


USUAL = Access()
