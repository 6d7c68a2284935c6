"""TCP ports: free ones, taken ones, answering ones."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

from deploy_core.errors import UnavailableError, UsageError

_LAST = 65535
_NOWHERE = (errno.EADDRNOTAVAIL, socket.EAI_NONAME, socket.EAI_AGAIN)  # no address of ours, and no name of one


def free_ports(count: int) -> list[int]:
    """Give as many different ports of 127.0.0.1 that nobody listens on."""
    with ExitStack() as stack:
        # All are held until the last is found, else the system could give one twice.
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in sockets]


def require_free(host: str, port: int) -> None:
    """Raise UnavailableError, naming the port, if it cannot be listened on; UsageError if it is no port."""
    if not 0 <= port <= _LAST:
        raise UsageError(f"{port} is no port", hint=f"give one of 1 to {_LAST}, or 0 for any that is free")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family):
            pass
    except OSError as error:
        if error.errno in _NOWHERE:
            raise UnavailableError(
                f"{host} is no address of this machine",
                hint="give one that `ip address` lists: 127.0.0.1 is for this machine alone, 0.0.0.0 for everybody",
            ) from error
        raise UnavailableError(
            f"port {port} of {host} cannot be listened on: {error.strerror}",
            hint=f"`ss -ltnp 'sport = :{port}'` shows who holds it; stop that, or choose another port",
        ) from error


def is_listening(host: str, port: int) -> bool:
    """Tell whether somebody takes connections there now."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
