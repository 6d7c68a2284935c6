"""Waiting for processes that are not our children."""

from __future__ import annotations

import time

from deploy_core import state


def wait_until_gone(pid: int, timeout: float) -> bool:
    """Wait for a process that is not our child; tell whether it went within `timeout` seconds."""
    end = time.monotonic() + timeout
    while state.start_time(pid) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
