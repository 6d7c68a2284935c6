"""What is done while a server serves: it is started again if it dies, and follows the store if it is to."""

from __future__ import annotations

import time

from deploy_core.errors import UnavailableError
from deploy_servers.launch import Running
from deploy_servers.restarts import MOST, WINDOW, Restarts
from deploy_toolkit.flows.following import Follower
from deploy_toolkit.flows.serve import START_SECONDS
from deploy_toolkit.output import OnEvent, silent

_LONG = 3600.0
_LOOK = 0.5  # seconds between looks of what follows the store


def wait(
    running: Running, *, restart: bool = True, follower: Follower | None = None, on_event: OnEvent = silent
) -> None:
    """Wait until the user asks to stop (Ctrl-C, SIGTERM).

    A server that dies is started again on the same ports, and judged again. Raises UnavailableError if it dies without
    `restart`, or too often.
    """
    restarts = Restarts()
    try:
        while True:
            if running.process.wait(_LONG if follower is None else _LOOK) is not None:
                _revive(running, restarts if restart else None, on_event)
            if follower is not None:
                follower.look(running)
    except KeyboardInterrupt:
        return


def _revive(running: Running, restarts: Restarts | None, on_event: OnEvent) -> None:
    last = _why(running)
    while restarts is not None and (pause := restarts.pause()) is not None:
        running.note(ready=False)
        on_event(f"{last}; it is started again in {pause:g} s")
        time.sleep(pause)
        try:
            running.revive(START_SECONDS)
        except UnavailableError as error:
            last = error
        else:
            return
    if restarts is not None:
        last.add_note(f"it was started again {MOST} times within {WINDOW / 60:g} minutes")
    raise last


def _why(running: Running) -> UnavailableError:
    try:
        running.require_alive()
    except UnavailableError as error:
        return error
    raise AssertionError("a server that has ended is alive")
