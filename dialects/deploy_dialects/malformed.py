"""The one error of the codecs, and what it becomes on either side of the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, InputError
from deploy_core.signature import Tensors
from deploy_dialects.wire import Ask, Refused, Served

Reply = TypeVar("Reply")
_LONGEST = 200


class Malformed(ValueError):  # noqa: N818  reads as what it says of the bytes
    """Bytes or values that do not mean what they should; the text is fit for whoever sent them."""


def shown(value: object) -> str:
    """Give a value for an error text, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


@contextmanager
def refusing() -> Iterator[None]:
    """On the server: a malformed request is refused with INVALID_ARGUMENT."""
    try:
        yield
    except Malformed as error:
        raise Refused("INVALID_ARGUMENT", str(error)) from error
    except InputError as error:
        raise Refused("INVALID_ARGUMENT", f"{error} ({error.hint})" if error.hint else str(error)) from error


@contextmanager
def doubting(endpoint: Endpoint) -> Iterator[None]:
    """On the client: a malformed answer is an EndpointError that names the endpoint."""
    try:
        yield
    except Malformed as error:
        raise EndpointError(
            f"{endpoint} answered what is no {endpoint.dialect} answer: {error}",
            hint="is this server's dialect the one in the URL, and the model the one you mean?",
        ) from error


def ask(served: Served, inputs: Mapping[str, object], render: Callable[[Tensors], Reply]) -> Ask[Reply]:
    """Ask for a prediction after checking the inputs against the signature. Raises Refused INVALID_ARGUMENT."""
    with refusing():
        return Ask(served, served.signature.conform(inputs), render)
