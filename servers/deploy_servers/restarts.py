"""How often a server that died is started again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

MOST = 5
WINDOW = 600.0  # seconds


class Restarts:
    """After 1, 2, 4… seconds, at most `MOST` times within `WINDOW` seconds: what dies more often has a cause that stays."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deaths: deque[float] = deque()

    def pause(self) -> float | None:
        """Count one more death; give the seconds until the next start, None if there is to be none."""
        now = self._clock()
        while self._deaths and self._deaths[0] <= now - WINDOW:
            self._deaths.popleft()
        if len(self._deaths) == MOST:
            return None
        self._deaths.append(now)
        return float(2 ** (len(self._deaths) - 1))
