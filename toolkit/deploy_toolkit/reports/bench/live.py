"""How a benchmark is going, for whoever waits for it."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy_toolkit.output import Output
from deploy_toolkit.reports.bench import figures

if TYPE_CHECKING:
    from deploy_latency.workers import Progress

OnProgress = Callable[[str, "Progress"], None]
_WINDOW = 1.0  # seconds that "now" is
_SELDOM = 5.0  # seconds between two lines where there is no terminal


@contextmanager
def live(output: Output, *, clock: Callable[[], float] = time.monotonic) -> Generator[OnProgress]:
    """Give a function that hears of progress, by the title of what is measured.

    On a terminal a line is kept up to date on stderr and is gone in the end; elsewhere there is a line every few seconds.
    With `--quiet` there is nothing.
    """
    if output.quiet:
        yield lambda title, progress: None
    elif sys.stderr.isatty():
        with _terminal() as on_progress:
            yield on_progress
    else:
        yield _Lines(output, clock).hear


class Now:
    """The last second of what is measured just now; another title, or time that goes back, begins anew."""

    def __init__(self) -> None:
        self._title = ""
        self._elapsed = 0.0
        self._parts: deque[Progress] = deque()

    def hear(self, title: str, progress: Progress) -> None:
        """Take in how far it is."""
        if title != self._title or progress.elapsed < self._elapsed:
            self._parts.clear()
        self._title, self._elapsed = title, progress.elapsed
        self._parts.append(progress)
        while len(self._parts) > 1 and sum(part.over for part in self._parts) - self._parts[0].over >= _WINDOW:
            self._parts.popleft()

    def words(self) -> str:
        """Say the good answers a second, p50 and p99 of them, and how many wait; nothing while it warms up."""
        if self._elapsed < 0:
            return ""
        latencies = np.concatenate([part.recent for part in self._parts])
        over, last = sum(part.over for part in self._parts), self._parts[-1]
        told = [f"{figures.number(len(latencies) / over) if over else figures.NONE}/s"]
        if len(latencies):
            middle, high = np.percentile(latencies, (50, 99), method="inverted_cdf")
            told += [f"p50 {figures.seconds(float(middle))}", f"p99 {figures.seconds(float(high))}"]
        return "  ".join([*told, f"{last.waiting:,} under way"])


def position(progress: Progress) -> str:
    """Say how far it is: `3.2 of 10 s`, or that it warms up."""
    if progress.elapsed < 0:
        return "warming up"
    if progress.elapsed > progress.seconds:
        return f"{progress.seconds:g} s are over, waiting for the last answers"
    return f"{progress.elapsed:.1f} of {progress.seconds:g} s"


class _Lines:
    def __init__(self, output: Output, clock: Callable[[], float]) -> None:
        self._output, self._clock = output, clock
        self._now = Now()
        self._next = clock() + _SELDOM

    def hear(self, title: str, progress: Progress) -> None:
        self._now.hear(title, progress)
        if self._clock() < self._next:
            return
        self._next = self._clock() + _SELDOM
        failed = f"  {progress.failed:,} FAILED" if progress.failed else ""
        told = f"  {words}" if (words := self._now.words()) else ""
        self._output.say(f"{title}: {position(progress)}{told}{failed}")


@contextmanager
def _terminal() -> Generator[OnProgress]:
    from rich.console import Console
    from rich.live import Live

    now = Now()
    console = Console(stderr=True, highlight=False)
    # Each word of progress draws; a thread that draws as well would take time from what is measured.
    with Live(console=console, auto_refresh=False, transient=True) as shown:

        def hear(title: str, progress: Progress) -> None:
            now.hear(title, progress)
            shown.update(drawn(title, progress, now.words()), refresh=True)

        yield hear


def drawn(title: str, progress: Progress, words: str) -> Any:
    """Give the two lines of a terminal: what runs and how far it is, and how it goes."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    line = Table.grid(padding=(0, 2))
    done = min(max(progress.elapsed, 0.0), progress.seconds)
    line.add_row(
        Text(title, style="bold"), ProgressBar(total=progress.seconds, completed=done, width=24), position(progress)
    )
    told = Text(f"  {words}")
    if progress.failed:
        told.append(f"  {progress.failed:,} FAILED", style="bold red")
    return Group(line, told)
