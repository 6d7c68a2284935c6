"""Whole pickled messages over a socket, with a deadline: what a worker and its parent say to each other."""

from __future__ import annotations

import os
import pickle
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy_core import child

# The worker searches for modules where its parent does, whatever folder it is started in.
_CODE = "import sys; sys.path[:] = sys.argv[3:]; from importlib import import_module; import_module(sys.argv[1]).main(int(sys.argv[2]))"
_LENGTH = struct.Struct("!Q")
_CHUNK = 1 << 20
_TICK = 0.1  # seconds between two looks at who is waited for


def _nothing() -> None: ...


def worker(what: str, module: str, *, log: Path, env: Mapping[str, str]) -> tuple[child.Child, socket.socket]:
    """Start a Python process that calls `main` of the module with the number of a socket, the other end of which is given.

    Raises UnavailableError.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        search = [os.path.abspath(folder) for folder in sys.path]  # noqa: PTH100  Path("") is "."; so is abspath("")
        command = [sys.executable, "-P", "-c", _CODE, module, str(theirs.fileno()), *search]
        try:
            return child.start(what, command, log=log, env=env, pass_fds=(theirs.fileno(),)), ours
        except BaseException:
            ours.close()
            raise


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
