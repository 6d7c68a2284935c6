"""What servers can be asked beside predictions, in the same words for all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from deploy_clients.asking import Asking, answered, exchange
from deploy_clients.client import TRANSPORTS, Transport
from deploy_clients.opening import seconds, transport_to
from deploy_clients.tls import Tls
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UsageError
from deploy_dialects.management import ModelStatus, Operation, Page, Wish
from deploy_dialects.tables import MANAGEMENT

_PAGES = 1000  # of 100 models each; a server that has more is making them up


class Management:
    """A server's management address. What such a server cannot be asked raises UsageError, with what to do instead.

    Every method raises EndpointError for a refusal, and for no answer within the timeout; `live` and `ready` answer
    False where there is nobody.
    """

    def __init__(self, endpoint: Endpoint, operations: Any, transport: Transport, timeout: float) -> None:
        self.endpoint = endpoint
        self._operations: Mapping[str, Operation] = operations.OPERATIONS[endpoint.transport]
        self._elsewhere: Mapping[str, str] = operations.ELSEWHERE
        self._transport = transport
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"Management({str(self.endpoint)!r})"

    def live(self) -> bool:
        """Tell whether the server answers at all."""
        return bool(self._ask("live"))

    def ready(self, model: str = "", version: str | None = None) -> bool:
        """Tell whether a model answers predictions; without one, whether the server says so of itself."""
        return bool(self._ask("model_ready", model, version) if model else self._ask("ready"))

    def index(self) -> tuple[ModelStatus, ...]:
        """Give all models that the server knows of."""
        statuses: list[ModelStatus] = []
        deadline, page = time.monotonic() + self._timeout, Page((), "")
        for _ in range(_PAGES):
            page = self._ask("index", wish=Wish(page=page.next), deadline=deadline)
            statuses.extend(page.statuses)
            if not page.next:
                return tuple(statuses)
        raise EndpointError(f"{self.endpoint} has no end of models", hint="is that the server you mean?")

    def status(self, model: str, version: str | None = None) -> tuple[ModelStatus, ...]:
        """Give the states of a model's versions, or of one."""
        page: Page = self._ask("status", model, version)
        return page.statuses

    def load(self, model: str, *, options: Mapping[str, str] | None = None) -> None:
        """Have a model loaded; returns when it is. The options are the server's own: TorchServe needs `url`."""
        self._ask("load", model, wish=Wish(options=options or {}))

    def unload(self, model: str, version: str | None = None) -> None:
        """Have a model, or one version of it, leave memory."""
        self._ask("unload", model, version)

    def scale(self, model: str, workers: int, version: str | None = None) -> None:
        """Give a model that many workers; returns when they are there."""
        if workers < 0:
            raise UsageError(f"{workers} workers cannot be", hint="give 0 or more")
        self._ask("scale", model, version, wish=Wish(workers=workers))

    def set_default(self, model: str, version: str) -> None:
        """Have requests that name no version answered by this one."""
        self._ask("set_default", model, version)

    def reload(self, config: str) -> None:
        """Have the server serve what a configuration says, in place of all that it serves; TensorFlow Serving's models.config."""
        self._ask("reload", wish=Wish(text=config))

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(
        self,
        word: str,
        model: str = "",
        version: str | None = None,
        *,
        wish: Wish | None = None,
        deadline: float | None = None,
    ) -> Any:
        endpoint = replace(self.endpoint, model=model, version=version)
        operation = self._operation(word)
        until = time.monotonic() + self._timeout if deadline is None else deadline
        try:
            return answered(_operated(operation, endpoint, wish or Wish(), until), self._transport.send)
        except EndpointError as error:
            if error.status is not None and error.status in operation.means:
                return operation.means[error.status]
            raise

    def _operation(self, word: str) -> Operation:
        if word not in self._operations:
            what = f"{self.endpoint.dialect} over {self.endpoint.transport}"
            raise UsageError(f"{what} has nothing for {word.replace('_', ' ')}", hint=self._elsewhere[word])
        return self._operations[word]


def management(
    url: str | Endpoint,
    *,
    timeout: float = 30.0,
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
) -> Management:
    """Give the management of the server at `DIALECT+rest|grpc[s]://HOST:PORT`; a model in the URL is of no account.

    TorchServe has a port of its own for it, one over REST and one over gRPC. `timeout` is in seconds and for one call
    as a whole; `headers` and `tls` are as for `connect`. Raises UsageError for a URL that is none.
    """
    seconds(timeout)
    endpoint = replace(_address(url), model="", version=None)
    operations = MANAGEMENT.load(endpoint.dialect)
    transport = transport_to(endpoint, TRANSPORTS, headers, tls, kind="management")
    return Management(endpoint, operations, transport, timeout)


def _address(url: str | Endpoint) -> Endpoint:
    if isinstance(url, Endpoint):
        return url
    _, _, rest = url.partition("://")
    return Endpoint.parse(url if rest.rstrip("/").count("/") else f"{url.rstrip('/')}/any")


def _operated(operation: Operation, endpoint: Endpoint, wish: Wish, deadline: float) -> Asking[Any]:
    request = operation.encode(endpoint, wish)
    reply = yield from exchange(request, deadline, repeatable=operation.repeatable)
    return operation.decode(endpoint, reply)
