"""What servers can be asked beside predictions, in the same words for all of them, for threads and for asyncio."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import wraps
from types import MethodType, TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from deploy_clients import asynchronous, client
from deploy_clients.answering import answered, answered_async
from deploy_clients.asking import Asking, exchange
from deploy_clients.opening import seconds, transport_to
from deploy_clients.tls import Tls
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UsageError
from deploy_core.table import Table
from deploy_dialects.management import ModelStatus, Operation, Page, Statistics, Wish
from deploy_dialects.tables import MANAGEMENT

_PAGES = 1000  # of 100 models each; a server that has more is making them up
P = ParamSpec("P")
T = TypeVar("T")


class _Word(Generic[P, T]):
    """A method that is written as a question: `Management` gives the answer, `AsyncManagement` what is awaited for it."""

    def __init__(self, question: Callable[Concatenate[Any, P], Asking[T]]) -> None:
        self._question = question

    @overload
    def __get__(self, management: Management, kind: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, management: AsyncManagement, kind: type) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, management: None, kind: type) -> Callable[Concatenate[Any, P], Asking[T]]: ...
    def __get__(self, management: Management | AsyncManagement | None, kind: type) -> Any:
        if management is None:
            return self._question
        question = MethodType(self._question, management)

        @wraps(question)
        def ask(*args: P.args, **options: P.kwargs) -> T | Awaitable[T]:
            return management._answer(question(*args, **options))

        return ask


class _Words:
    """What there is to ask of a management address, whoever asks: each method is a question."""

    def __init__(self, endpoint: Endpoint, operations: Any, transport: Any, timeout: float) -> None:
        self.endpoint = endpoint
        self._operations: Mapping[str, Operation] = operations.OPERATIONS[endpoint.transport]
        self._elsewhere: Mapping[str, str] = operations.ELSEWHERE
        self._transport = transport
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.endpoint)!r})"

    @_Word
    def live(self) -> Asking[bool]:
        """Tell whether the server answers at all."""
        return self._ask("live")

    @_Word
    def ready(self, model: str = "", version: str | None = None) -> Asking[bool]:
        """Tell whether a model answers predictions; without one, whether the server says so of itself."""
        return self._ask("model_ready", model, version) if model else self._ask("ready")

    @_Word
    def index(self) -> Asking[tuple[ModelStatus, ...]]:
        """Give all models that the server knows of."""
        statuses: list[ModelStatus] = []
        deadline, page = time.monotonic() + self._timeout, Page((), "")
        for _ in range(_PAGES):
            page = yield from self._ask("index", wish=Wish(page=page.next), deadline=deadline)
            statuses.extend(page.statuses)
            if not page.next:
                return tuple(statuses)
        raise EndpointError(f"{self.endpoint} has no end of models", hint="is that the server you mean?")

    @_Word
    def status(self, model: str, version: str | None = None) -> Asking[tuple[ModelStatus, ...]]:
        """Give the states of a model's versions, or of one."""
        page: Page = yield from self._ask("status", model, version)
        return page.statuses

    @_Word
    def load(self, model: str, *, options: Mapping[str, str] | None = None) -> Asking[None]:
        """Have a model loaded; returns when it is. The options are the server's own: TorchServe needs `url`."""
        return self._ask("load", model, wish=Wish(options=options or {}))

    @_Word
    def unload(self, model: str, version: str | None = None) -> Asking[None]:
        """Have a model, or one version of it, leave memory."""
        return self._ask("unload", model, version)

    @_Word
    def scale(self, model: str, workers: int, version: str | None = None) -> Asking[None]:
        """Give a model that many workers; returns when they are there."""
        if workers < 0:
            raise UsageError(f"{workers} workers cannot be", hint="give 0 or more")
        return self._ask("scale", model, version, wish=Wish(workers=workers))

    @_Word
    def set_default(self, model: str, version: str) -> Asking[None]:
        """Have requests that name no version answered by this one."""
        return self._ask("set_default", model, version)

    @_Word
    def reload(self, config: str) -> Asking[None]:
        """Have the server serve what a configuration says, in place of all that it serves; TensorFlow Serving's models.config."""
        return self._ask("reload", wish=Wish(text=config))

    @_Word
    def statistics(self, model: str, version: str | None = None) -> Asking[Statistics]:
        """Give what the server has summed up of a model's predictions; TorchServe tells it at its metrics address."""
        return self._ask("statistics", model, version)

    def _ask(
        self,
        word: str,
        model: str = "",
        version: str | None = None,
        *,
        wish: Wish | None = None,
        deadline: float | None = None,
    ) -> Asking[Any]:
        operation = self._operation(word)
        endpoint = replace(self.endpoint, model=model, version=version)
        until = time.monotonic() + self._timeout if deadline is None else deadline
        try:
            request = operation.encode(endpoint, wish or Wish())
            reply = yield from exchange(request, until, repeatable=operation.repeatable)
            return operation.decode(endpoint, reply)
        except EndpointError as error:
            if error.status is not None and error.status in operation.means:
                return operation.means[error.status]
            if error.status is not None and error.status in operation.hints:
                raise EndpointError(str(error), hint=operation.hints[error.status], status=error.status) from error
            raise

    def _operation(self, word: str) -> Operation:
        if word not in self._operations:
            what = f"{self.endpoint.dialect} over {self.endpoint.transport}"
            raise UsageError(f"{what} has nothing for {word.replace('_', ' ')}", hint=self._elsewhere[word])
        return self._operations[word]


class Management(_Words):
    """A server's management address. What such a server cannot be asked raises UsageError, with what to do instead.

    Every method raises EndpointError for a refusal, and for no answer within the timeout; `live` and `ready` answer
    False where there is nobody.
    """

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, asking: Asking[T]) -> T:
        return answered(asking, self._transport.send)


class AsyncManagement(_Words):
    """The same as `Management`, of one event loop: what its methods give is awaited."""

    async def close(self) -> None:
        """Close the connection; may be called twice."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _answer(self, asking: Asking[T]) -> T:
        return await answered_async(asking, self._transport.send)


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
    return Management(*_opened(url, client.TRANSPORTS, timeout, headers, tls))


def management_async(
    url: str | Endpoint,
    *,
    timeout: float = 30.0,
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
) -> AsyncManagement:
    """Give the management of a server to the event loop in which this is called; all as for `management`."""
    return AsyncManagement(*_opened(url, asynchronous.TRANSPORTS, timeout, headers, tls))


def _opened(
    url: str | Endpoint, transports: Table, timeout: float, headers: Mapping[str, str] | None, tls: Tls | None
) -> tuple[Endpoint, Any, Any, float]:
    seconds(timeout)
    endpoint = replace(_address(url), model="", version=None)
    operations = MANAGEMENT.load(endpoint.dialect)
    transport = transport_to(endpoint, transports, headers, tls, kind="management")
    return endpoint, operations, transport, timeout


def _address(url: str | Endpoint) -> Endpoint:
    if isinstance(url, Endpoint):
        return url
    _, _, rest = url.partition("://")
    return Endpoint.parse(url if rest.rstrip("/").count("/") else f"{url.rstrip('/')}/any")
