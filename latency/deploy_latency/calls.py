"""One request under way, and what moves it: the generator knows only these, so a test can give it another world."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Call:
    """One request; times are seconds on the run's clock.

    `intended` is when the schedule wanted it to leave, `fired` when the generator took it up, `sent` when its bytes went to
    the socket (it may wait for a free connection before; infinite until then), `done` when its answer was complete. `error`
    is empty for an answer that the protocol calls good, else a short text without anything that differs from call to call.
    """

    __slots__ = ("body", "done", "error", "fired", "headers", "intended", "request", "sent", "wire")

    def __init__(self, request: int, intended: float, fired: float) -> None:
        self.request = request  # its index in `Load.requests`
        self.intended = intended
        self.fired = fired
        self.sent = math.inf
        self.done = 0.0
        self.error = ""
        self.headers: Mapping[str, str] = {}  # of the answer; trailing metadata, too
        self.body = b""
        self.wire: Any = None  # what the wire keeps with it, such as its connection


class Wire(Protocol):
    """Connections to one server, of one thread. Made by `wire(endpoint, headers, tls, requests, clock, on_done)`.

    What can be encoded once is encoded when it is made. `send` never waits; `on_done(call)` is called exactly once for
    every call that was sent and not dropped, with `sent`, `done`, `error`, `headers` and `body` set.
    """

    async def open(self, connections: int, timeout: float) -> None:
        """Open that many connections. Raises EndpointError."""

    def send(self, call: Call) -> None:
        """Put the request on a free connection, or queue it until there is one."""

    def drop(self, call: Call) -> None:
        """Give up a call that is late; its answer is not wanted any more."""

    async def close(self) -> None:
        """Close all connections; calls under way are dropped."""


class Clock(Protocol):
    """Time as the generator knows it."""

    def now(self) -> float:
        """Give seconds since an arbitrary moment; never goes back."""

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Call `act` once at that time, as exactly as can be; there is at most one such call to come."""
