"""The one error of the codecs, and what it becomes on either side of the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, InputError
from deploy_core.signature import Signature, Tensors
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
    """Ask for a prediction after checking the inputs against the signature. Raises Refused INVALID_ARGUMENT.

    Strings for a model that takes raw bytes, and has no strings itself, are those bytes.
    """
    raw = served.raw
    if raw is not None and is_text(inputs.get(raw.input)):
        return ask_raw(served, [bytes(file) for file in np.asarray(inputs[raw.input]).ravel()], render)
    with refusing():
        return Ask(served, served.signature.conform(inputs), render)


def is_text(value: object) -> bool:
    """Tell whether it is an array of strings."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "O"


def ask_raw(served: Served, files: Sequence[bytes], render: Callable[[Tensors], Reply]) -> Ask[Reply]:
    """Ask for a prediction on raw bytes, which are prepared later, beside the server's loop."""
    raw = served.raw
    assert raw is not None

    def prepare() -> Tensors:
        with refusing():
            return served.signature.conform(raw.inputs(files))

    return Ask(served, {}, render, prepare)


def read_as(served: Served, *, strings: bool) -> Signature:
    """Give the signature to read a request by: with a string for each raw file where it brings strings for such a model."""
    return served.raw.signature(served.signature) if strings and served.raw is not None else served.signature
