"""Whole pickled messages over a socket, with a deadline: what a worker and its parent say to each other."""

from __future__ import annotations

import pickle
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

_LENGTH = struct.Struct("!Q")
_CHUNK = 1 << 20
_TICK = 0.1  # seconds between two looks at who is waited for


def _nothing() -> None: ...


def pack(message: object) -> bytes:
    """Pickle a message behind its length."""
    body = pickle.dumps(message, protocol=5)
    return _LENGTH.pack(len(body)) + body


def send(connection: socket.socket, packed: bytes, *, seconds: float | None = None) -> None:
    """Send what `pack` gave. Raises TimeoutError, and ConnectionError if the other side is gone."""
    connection.settimeout(seconds)
    connection.sendall(packed)


def receive(connection: socket.socket, *, seconds: float | None = None, watch: Callable[[], None] = _nothing) -> Any:
    """Wait for one message. Raises TimeoutError after `seconds`, EOFError if the other side is gone.

    `watch` is called now and then as long as there is a deadline, and may raise.
    """
    end = None if seconds is None else time.monotonic() + seconds
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size, end, watch))
    return pickle.loads(_read(connection, length, end, watch))


def _read(connection: socket.socket, count: int, end: float | None, watch: Callable[[], None]) -> bytearray:
    body = bytearray()
    while len(body) < count:
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        connection.settimeout(left and min(left, _TICK))
        try:
            part = connection.recv(min(_CHUNK, count - len(body)))
        except TimeoutError:
            watch()
            continue
        if not part:
            raise EOFError("the other side is gone")
        body += part
    return body
