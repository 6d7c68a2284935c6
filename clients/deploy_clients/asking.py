"""What is asked of a server, in which order and how often; who moves the bytes, threads or asyncio, is not known here.

Each question is a generator: it yields what is to be done next and is given the outcome.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from deploy_clients.retries import pause_before_next
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_core.signature import Array, Signature, Tensors, TensorSpec
from deploy_dialects.wire import Description


@dataclass(frozen=True)
class Send:
    """The outcome is the reply, or the EndpointError that there is instead."""

    request: Any
    timeout: float


@dataclass(frozen=True)
class Pause:
    """There is no outcome."""

    seconds: float


T = TypeVar("T")


Asking = Generator[Send | Pause, Any, T]


def exchange(request: Any, deadline: float, *, repeatable: bool) -> Asking[Any]:
    """Give the reply to a request, which is made again where that is safe. Raises EndpointError if there is none in time."""
    for made in count(1):
        outcome = yield Send(request, deadline - time.monotonic())
        pause = pause_before_next(outcome, made, repeatable=repeatable)
        if pause is None or time.monotonic() + pause >= deadline:
            break
        yield Pause(pause)
    if isinstance(outcome, EndpointError):
        raise outcome
    return outcome


@dataclass(frozen=True)
class Model:
    """A model at an endpoint, and how it is asked."""

    endpoint: Endpoint
    description: Description
    dialect: Any
    timeout: float
    binary: bool

    def prediction(self, inputs: Mapping[str, object]) -> Asking[Tensors]:
        """Give the outputs. Raises InputError before anything is sent, EndpointError for no answer or one that is none."""
        deadline = time.monotonic() + self.timeout
        signature = self.description.signature
        arrays = signature.conform(inputs)
        request = self.dialect.encode(self.endpoint, signature, arrays, binary=self.binary)
        reply = yield from exchange(request, deadline, repeatable=False)
        answer: Tensors = self.dialect.decode(self.endpoint, signature, reply)
        sizes = _sizes(signature, arrays)
        outputs = {spec.name: _completed(spec, answer[spec.name], sizes) for spec in signature.outputs}
        _check_sizes(self.endpoint, signature, sizes, outputs)
        return outputs


def introduction(
    endpoint: Endpoint, dialect: Any, signature: Signature | None, *, timeout: float, binary: bool
) -> Asking[Model]:
    """Give the model at an endpoint; without `signature` its server is asked for it. Raises EndpointError."""
    described = Description(signature, endpoint.version) if signature else None
    if described is None:
        reply = yield from exchange(dialect.describe(endpoint), time.monotonic() + timeout, repeatable=True)
        described = dialect.read_description(endpoint, reply)
    return Model(endpoint, described, dialect, timeout, binary)


def _sizes(signature: Signature, inputs: Tensors) -> dict[str, int]:
    """Give the size that each symbol, such as the batch, has in the inputs."""
    return {
        dim: size
        for spec in signature.inputs
        for dim, size in zip(spec.shape, inputs[spec.name].shape, strict=True)
        if isinstance(dim, str)
    }


def _completed(spec: TensorSpec, array: Array, sizes: Mapping[str, int]) -> Array:
    """Give an answer without elements the sizes that were asked for: nested lists end at the first size that is 0."""
    if array.size or not array.ndim:
        return array
    known = array.shape.index(0) + 1
    rest = (
        sizes.get(dim, size) if isinstance(dim, str) else size
        for dim, size in zip(spec.shape[known:], array.shape[known:], strict=True)
    )
    return array.reshape((*array.shape[:known], *rest))


def _check_sizes(endpoint: Endpoint, signature: Signature, known: Mapping[str, int], outputs: Tensors) -> None:
    """Raise EndpointError if a symbol has one size in the inputs and another in the outputs."""
    sizes = dict(known)
    for spec in signature.outputs:
        shape = outputs[spec.name].shape
        for dim, size in zip(spec.shape, shape, strict=True):
            if isinstance(dim, str) and sizes.setdefault(dim, size) != size:
                raise EndpointError(
                    f"{endpoint} answered output {spec.name!r} of shape {list(shape)} for {dim} = {sizes[dim]}",
                    hint=f"rows were lost or added, or {spec} has no such {dim}: then give connect() the signature",
                )
