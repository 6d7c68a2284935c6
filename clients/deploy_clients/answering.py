"""How a question is answered, in a thread or in an event loop: what it wants done is done by a transport, until it is answered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from deploy_clients.asking import Asking, Pause, Send
from deploy_core.errors import EndpointError

T = TypeVar("T")


@dataclass(frozen=True)
class _Done(Generic[T]):
    answer: T


def answered(asking: Asking[T], send: Callable[[Any, float], Any]) -> T:
    """Give the answer to a question, with a transport's `send`."""
    step = _advanced(asking, None)
    while not isinstance(step, _Done):
        step = _advanced(asking, _outcome(step, send))
    return step.answer


async def answered_async(asking: Asking[T], send: Callable[[Any, float], Awaitable[Any]]) -> T:
    """Give the answer to a question, with a `send` that is awaited."""
    step = _advanced(asking, None)
    while not isinstance(step, _Done):
        step = _advanced(asking, await _outcome_async(step, send))
    return step.answer


def _advanced(asking: Asking[T], outcome: Any) -> Send | Pause | _Done[T]:
    """Give what is to be done next, after the outcome of what was done before; None at first."""
    try:
        return asking.send(outcome)
    except StopIteration as stop:
        return _Done(stop.value)


def _outcome(step: Send | Pause, send: Callable[[Any, float], Any]) -> Any:
    if isinstance(step, Pause):
        return time.sleep(step.seconds)
    try:
        return send(step.request, step.timeout)
    except EndpointError as error:
        return error


async def _outcome_async(step: Send | Pause, send: Callable[[Any, float], Awaitable[Any]]) -> Any:
    import asyncio

    if isinstance(step, Pause):
        return await asyncio.sleep(step.seconds)
    try:
        return await send(step.request, step.timeout)
    except EndpointError as error:
        return error
