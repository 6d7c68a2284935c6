"""What must not be cut in two by Ctrl-C, SIGTERM or SIGHUP."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def postponed() -> Generator[threading.Event]:
    """Do what is inside to its end; a signal that asks us to stop sets the event that is given, and is heard afterwards.

    On any thread but the main one nothing changes: signals are not handled there.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    came: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        came.append(number)
        asked.set()

    before = {number: signal.getsignal(number) for number in _STOPS}
    # One that is ignored, as nohup has it, stays so; None is a handler that Python does not know.
    ours = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in ours:
        signal.signal(number, hear)
    try:
        yield asked
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
