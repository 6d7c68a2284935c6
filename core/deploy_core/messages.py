"""Whole pickled messages over a socket, with a deadline: what a worker and its parent say to each other."""

from __future__ import annotations

import os
import pickle
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from deploy_core import child

# The worker searches for modules where its parent does, whatever folder it is started in.
_CODE = "import sys; sys.path[:] = sys.argv[3:]; from importlib import import_module; import_module(sys.argv[1]).main(int(sys.argv[2]))"
_LENGTHS = struct.Struct("!QQ")  # of the pickle in bytes, and how many arrays follow it
_LENGTH = struct.Struct("!Q")
_LARGE = 1 << 16  # bytes of an array from which it is worth a message part of its own
Parts = Sequence[bytes | memoryview]
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
    """Pickle a message behind its lengths."""
    return b"".join(parts(message))


def parts(message: object) -> Parts:
    """Give what `pack` gives in parts, without a copy of large arrays: they must not change until it is sent."""
    large: list[memoryview] = []

    def small(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes >= _LARGE:
            large.append(view)
        return view.nbytes < _LARGE

    body = pickle.dumps(message, protocol=5, buffer_callback=small)
    lengths = b"".join(_LENGTH.pack(view.nbytes) for view in large)
    return [_LENGTHS.pack(len(body), len(large)) + lengths + body, *large]


def send(connection: socket.socket, packed: bytes | Parts, *, seconds: float | None = None) -> None:
    """Send what `pack` or `parts` gave. Raises TimeoutError, and ConnectionError if the other side is gone."""
    connection.settimeout(seconds)
    for part in (packed,) if isinstance(packed, bytes) else packed:
        connection.sendall(part)


def receive(connection: socket.socket, *, seconds: float | None = None, watch: Callable[[], None] = _nothing) -> Any:
    """Wait for one message. Raises TimeoutError after `seconds`, EOFError if the other side is gone.

    `watch` is called now and then as long as there is a deadline, and may raise.
    """
    end = None if seconds is None else time.monotonic() + seconds
    read = partial(_read, connection, end, watch)
    length, count = _LENGTHS.unpack(read(_LENGTHS.size))
    large = [size for (size,) in _LENGTH.iter_unpack(read(count * _LENGTH.size))]
    body = read(length)
    return pickle.loads(body, buffers=[read(size) for size in large])


def _read(connection: socket.socket, end: float | None, watch: Callable[[], None], count: int) -> bytearray:
    body = bytearray(count)
    rest = memoryview(body)
    while rest:
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        connection.settimeout(left and min(left, _TICK))
        try:
            came = connection.recv_into(rest)
        except TimeoutError:
            watch()
            continue
        if not came:
            raise EOFError("the other side is gone")
        rest = rest[came:]
    return body
