"""Connections to one server and the calls that wait for one: what both wires share."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from deploy_core.endpoint import Endpoint
from deploy_latency.calls import Call, Clock
from deploy_latency.wires.dialling import Patience, WireError, short, told

_AT_ONCE = 64  # connections that are being opened; a server's backlog is often 128
_DROPPED = object()  # the wire of a call that was given up before it had one


class Connection(Protocol):
    """One connection, as the pool knows it: an asyncio protocol. `listed` is the pool's own."""

    listed: bool

    @property
    def free(self) -> bool:
        """Whether it takes a call now."""

    async def opened(self) -> None:
        """Wait until it can take calls. Raises WireError or OSError if it never will."""

    def start(self, call: Call) -> None:
        """Send a call; `call.wire` then has `drop(call)`."""

    def abort(self) -> None:
        """Close it at once; the calls on it are lost."""


class Pool:
    """A `Wire`; `connect` gives a connection that is not connected yet.

    A connection tells the pool when it has become `free`, that it is `proved` by its first answer, and when it is `lost`.
    One that is lost before it is proved is a failure of the server, so that the next is opened later and later.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        security: ssl.SSLContext | None,
        connect: Callable[[Pool], Connection],
        clock: Clock,
        on_done: Callable[[Call], None],
    ) -> None:
        self.endpoint = endpoint
        self.on_done = on_done
        self.now = clock.now
        self._security = security
        self._connect = connect
        self._free: deque[Connection] = deque()
        self._waiting: deque[Call] = deque()
        self._live: set[Connection] = set()  # may take calls, now or later
        self._open: set[Connection] = set()  # have a socket
        self._dials: set[asyncio.Task[None]] = set()
        self._patience = Patience()
        self._retry: asyncio.TimerHandle | None = None
        self._wanted = 0
        self._timeout = 0.0
        self._closed = False
        self._emptied = asyncio.Event()

    async def open(self, connections: int, timeout: float) -> None:
        """Open that many connections. Raises EndpointError if one of them fails."""
        self._loop = asyncio.get_running_loop()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._wanted, self._timeout = connections, timeout
        self._dials.update(self._loop.create_task(self._dial()) for _ in range(connections))
        try:
            async with asyncio.timeout(timeout):
                await asyncio.gather(*self._dials)
        except BaseException as error:
            await self.close()
            if isinstance(error, OSError | WireError):
                raise told(self.endpoint, error, timeout) from error
            raise
        self._dials.clear()

    def send(self, call: Call) -> None:
        """Put the request on a free connection, or queue it until there is one."""
        free = self._free
        while free:  # then nobody waits
            connection = free.popleft()
            if connection.free:
                connection.start(call)
                if connection.free:
                    free.append(connection)
                else:
                    connection.listed = False
                return
            connection.listed = False
        self._waiting.append(call)
        if len(self._live) + len(self._dials) < self._wanted:
            self._refill()

    def drop(self, call: Call) -> None:
        """Give up a call that is late."""
        if call.wire is not None:
            call.wire.drop(call)
            return
        call.wire = _DROPPED
        waiting = self._waiting
        while waiting and waiting[0].wire is _DROPPED:
            waiting.popleft()

    async def close(self) -> None:
        """Close all connections; calls under way are dropped."""
        self._closed = True
        self._waiting.clear()
        if self._retry is not None:
            self._retry.cancel()
        for dial in self._dials:
            dial.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        for connection in tuple(self._open):
            connection.abort()
        while self._open:
            self._emptied.clear()
            await self._emptied.wait()

    # What connections call.

    def connected(self, connection: Connection) -> None:
        """Know of a socket."""
        self._open.add(connection)

    def disconnected(self, connection: Connection) -> None:
        """Know that its socket is closed."""
        self._open.discard(connection)
        self._emptied.set()

    def freed(self, connection: Connection) -> None:
        """Let a connection have the calls that wait, or let calls have it."""
        if connection not in self._live:
            return
        waiting = self._waiting
        while waiting and connection.free:
            call = waiting.popleft()
            if call.wire is not _DROPPED:
                connection.start(call)
        if not connection.listed and connection.free:
            connection.listed = True
            self._free.append(connection)

    def proved(self) -> None:
        """Know that the server answers."""
        if self._patience.tried:
            self._patience.proved()
            self._refill()

    def lost(self, connection: Connection, why: str, *, blame: bool) -> None:
        """Give it no more calls; `blame` the server for that or not."""
        if connection not in self._live:
            return  # not opened yet, which `_dial` is told, or lost before
        self._live.discard(connection)
        if self._closed:
            return
        if blame:
            self._set_back(why)
        else:
            self._refill()

    def again(self, calls: Sequence[Call]) -> None:
        """Send calls that no server has taken up once more, before all others."""
        for call in reversed(calls):
            call.wire = None
            call.sent = math.inf
            self._waiting.appendleft(call)
        while self._waiting and self._free:
            spare = self._free.popleft()
            spare.listed = False
            self.freed(spare)
        if self._waiting:
            self._refill()

    def fail(self, call: Call, why: str) -> None:
        """End a call without an answer."""
        if not self._closed:
            call.done = self.now()
            call.error = why
            self.on_done(call)

    def _refill(self) -> None:
        """Open what is missing, or do so when patience says."""
        missing = self._wanted - len(self._live) - len(self._dials)
        if self._closed or missing <= 0 or self._retry is not None:
            return
        pause = self._patience.left(self._loop.time())
        if pause > 0:
            self._retry = self._loop.call_later(pause, self._try_again)
            return
        for _ in range(1 if self._patience.tried else missing):
            dial = self._loop.create_task(self._dial())
            self._dials.add(dial)
            dial.add_done_callback(self._dialled)

    def _try_again(self) -> None:
        self._retry = None
        if self._waiting:
            self._refill()

    async def _dial(self) -> None:
        endpoint = self.endpoint
        connection = self._connect(self)
        async with self._gate, asyncio.timeout(self._timeout):
            try:
                await self._loop.create_connection(
                    lambda: cast(Any, connection), endpoint.host, endpoint.port, ssl=self._security
                )
                await connection.opened()
            except BaseException:
                connection.abort()
                self.disconnected(connection)  # uvloop does not tell one whose dial was cancelled
                raise
        self._live.add(connection)
        self.freed(connection)

    def _dialled(self, dial: asyncio.Task[None]) -> None:
        self._dials.discard(dial)
        if not self._closed and not dial.cancelled() and (error := dial.exception()) is not None:
            self._set_back(short(error))

    def _set_back(self, why: str) -> None:
        """Leave the server alone for a while; calls that nobody is left to take have failed."""
        self._patience.failed(self._loop.time())
        if self._live or self._dials:
            return
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            if call.wire is not _DROPPED:
                self.fail(call, why)
