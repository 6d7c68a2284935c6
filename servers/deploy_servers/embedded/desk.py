"""Where both transports bring their requests: the dialects' handlers, the data plane, the batcher."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from deploy_core.errors import InputError
from deploy_core.signature import Tensors
from deploy_dialects.wire import Ask, Handler, Plane, Refused
from deploy_servers.embedded.batching import Batcher
from deploy_servers.embedded.timing import Timing

Reply = TypeVar("Reply")
Request = TypeVar("Request")

log = logging.getLogger("deploy.embedded")


class Desk:
    """Has requests answered; nothing but `replied` or `refused` comes back, once, on the loop's thread."""

    def __init__(self, plane: Plane, batcher: Batcher) -> None:
        self._plane = plane
        self._batcher = batcher

    def ask(
        self,
        handler: Handler[Request, Reply],
        request: Request,
        match: re.Match[str] | None,
        replied: Callable[[Reply], None],
        refused: Callable[[Refused], None],
        timing: Timing | None = None,
    ) -> None:
        """Run a handler and the prediction that it asks for; one that gives a task is answered when that is done."""
        try:
            outcome = handler(self._plane, request, match)
            if isinstance(outcome, Ask):
                if outcome.prepare is not None:
                    self._prepare(outcome, outcome.prepare, replied, refused, timing)
                    return
                if timing is not None:
                    timing.decoded()
                done = partial(_finish, outcome, replied, refused, timing)
                self._batcher.submit((outcome.served.name, outcome.served.version), outcome.inputs, done, timing)
                return
        except Exception as error:
            refused(_refusal(error))
            return
        if isinstance(outcome, asyncio.Task):
            outcome.add_done_callback(partial(_settle, replied, refused))
            return
        replied(outcome)

    def _prepare(
        self,
        ask: Ask[Reply],
        prepare: Callable[[], Tensors],
        replied: Callable[[Reply], None],
        refused: Callable[[Refused], None],
        timing: Timing | None,
    ) -> None:
        """Have raw bytes prepared beside the loop, and then the prediction made as any other."""

        def prepared(future: asyncio.Future[Tensors]) -> None:
            if future.cancelled():
                refused(Refused("CANCELLED", "the server stops"))
                return
            self.ask(partial(_ready, ask, future), None, None, replied, refused, timing)

        self._batcher.aside(prepare).add_done_callback(prepared)


def _ready(ask: Ask[Reply], future: asyncio.Future[Tensors], plane: Plane, request: None, match: None) -> Ask[Reply]:
    return replace(ask, inputs=future.result(), prepare=None)


def _finish(
    ask: Ask[Reply],
    replied: Callable[[Reply], None],
    refused: Callable[[Refused], None],
    timing: Timing | None,
    outcome: Tensors | Exception,
) -> None:
    if timing is not None:
        timing.returned()
    try:
        if isinstance(outcome, Exception):
            raise outcome
        reply = ask.render(outcome)
    except Exception as error:
        refused(_refusal(error))
        return
    replied(reply)


def _settle(replied: Callable[[Reply], None], refused: Callable[[Refused], None], task: asyncio.Task[Reply]) -> None:
    if task.cancelled():
        refused(Refused("CANCELLED", "the server stops"))
        return
    error = task.exception()
    if isinstance(error, Exception):
        refused(_refusal(error))
    else:
        replied(task.result())


def _refusal(error: Exception) -> Refused:
    if isinstance(error, Refused):
        return error
    if isinstance(error, InputError):
        return Refused("INVALID_ARGUMENT", str(error))
    # What went wrong inside may name paths and versions: that is for the log, not for the network.
    log.error("a request failed", exc_info=error)
    return Refused("INTERNAL", "the request failed inside the server; its log says why")
