"""Whole pickled messages over a socket, with a deadline: what a worker and its parent say to each other."""

from __future__ import annotations

import pickle
import socket
import struct
import time
from typing import Any

_LENGTH = struct.Struct("!Q")
_CHUNK = 1 << 20


def pack(message: object) -> bytes:
    """Pickle a message behind its length."""
    body = pickle.dumps(message, protocol=5)
    return _LENGTH.pack(len(body)) + body


def send(connection: socket.socket, packed: bytes, *, seconds: float | None = None) -> None:
    """Send what `pack` gave. Raises TimeoutError, and ConnectionError if the other side is gone."""
    connection.settimeout(seconds)
    connection.sendall(packed)


def receive(connection: socket.socket, *, seconds: float | None = None) -> Any:
    """Wait for one message. Raises TimeoutError after `seconds`, EOFError if the other side is gone."""
    end = None if seconds is None else time.monotonic() + seconds
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size, end))
    return pickle.loads(_read(connection, length, end))


def _read(connection: socket.socket, count: int, end: float | None) -> bytearray:
    body = bytearray()
    while len(body) < count:
        connection.settimeout(None if end is None else max(end - time.monotonic(), 1e-6))
        part = connection.recv(min(_CHUNK, count - len(body)))
        if not part:
            raise EOFError("the other side is gone")
        body += part
    return body
