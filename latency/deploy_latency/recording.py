"""What one process of a generator remembers of its calls: a row of numbers each, and a few whole answers."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

import numpy as np
from numpy.typing import NDArray

from deploy_dialects.server_timing import TOLD
from deploy_latency.calls import Call
from deploy_latency.samples import Samples, Seconds

OTHER = "another failure"
_KINDS = 100  # texts of failures that are told apart
_COLUMNS = 6
_ALONE = 10_000  # of the last calls that were alone
_TIMED = 1_000  # answers of which the server's own times are kept, by each process


@dataclass(frozen=True)
class Kept:
    """An answer kept to be looked at: `sample` is its row, `request` which of the load's requests it answers."""

    sample: int
    request: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Recorded:
    """What was remembered; `alone` has the seconds from sending to answer of calls that found none other under way.

    `timed` are answers, without their bodies, that tell the server's own times.
    """

    samples: Samples
    kept: tuple[Kept, ...]
    alone: Seconds
    timed: tuple[Kept, ...] = ()


class Recording:
    """Takes calls that have ended; those that were meant to leave before `zero` were there to warm up."""

    def __init__(self, zero: float, keep: int, seed: int) -> None:
        self.zero = zero
        self.launched = 0
        self.failed = 0
        self._rows = array("d")
        self._failures = {"": 0}
        self._sample = _Reservoir(keep, seed)
        self._timed = _Reservoir(_TIMED, seed)
        self._alone: deque[float] = deque(maxlen=_ALONE)

    @property
    def ended(self) -> int:
        """How many rows there are."""
        return len(self._rows) // _COLUMNS

    def launch(self, call: Call) -> None:
        """Count a call that begins."""
        if call.intended >= self.zero:
            self.launched += 1

    def alone(self, call: Call) -> None:
        """Remember how fast a call was that had the server to itself."""
        if not call.error:
            self._alone.append(call.done - call.sent)

    def add(self, call: Call) -> None:
        """Write down a call that has ended."""
        if call.intended < self.zero:
            return
        failure = self._failure(call.error) if call.error else 0
        if not failure:
            self._sample.offer(self.ended, call, call.body)
            if TOLD in call.headers:
                self._timed.offer(self.ended, call, b"")
        self._rows.extend((call.intended, call.fired, call.sent, call.done, failure, call.request))

    def latencies(self, since: int) -> Seconds:
        """Give those of the good answers among the rows from `since` on."""
        rows = self._table(since)
        latencies: Seconds = (rows[:, 3] - rows[:, 0])[rows[:, 4] == 0]
        return latencies

    def recorded(self) -> Recorded:
        """Give all of it, in the order of the intended times, which count from `zero`."""
        rows = self._table(0)
        order = np.argsort(rows[:, 0], kind="stable")
        rows = rows[order]
        times = rows[:, :4] - self.zero
        intended, fired, sent, done = (np.ascontiguousarray(times[:, column]) for column in range(4))
        samples = Samples(
            intended,
            fired,
            sent,
            done,
            rows[:, 4].astype(np.int16),
            rows[:, 5].astype(np.int32),
            tuple(self._failures),
        )
        places = _places(order)
        return Recorded(
            samples, _moved(self._sample.kept, places), np.array(self._alone), _moved(self._timed.kept, places)
        )

    def _failure(self, text: str) -> int:
        self.failed += 1
        if text not in self._failures and len(self._failures) >= _KINDS:
            text = OTHER
        return self._failures.setdefault(text, len(self._failures))

    def _table(self, since: int) -> NDArray[np.float64]:
        # A copy: an array that numpy looks at cannot grow.
        return np.array(self._rows[since * _COLUMNS :]).reshape(-1, _COLUMNS)


def joined(parts: list[Recorded]) -> Recorded:
    """Join what several processes remember. Raises ValueError for none."""
    samples = Samples.merged([part.samples for part in parts])
    places = _places(np.argsort(np.concatenate([part.samples.intended for part in parts]), kind="stable"))
    begins = np.cumsum([0, *(len(part.samples) for part in parts)])
    return Recorded(
        samples,
        _together([_moved(part.kept, places[begin:]) for part, begin in zip(parts, begins, strict=False)]),
        np.concatenate([part.alone for part in parts]),
        _together([_moved(part.timed, places[begin:]) for part, begin in zip(parts, begins, strict=False)]),
    )


def _places(order: NDArray[np.intp]) -> NDArray[np.intp]:
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places


def _together(parts: Iterable[tuple[Kept, ...]]) -> tuple[Kept, ...]:
    return tuple(sorted((one for part in parts for one in part), key=lambda one: one.sample))


def _moved(kept: tuple[Kept, ...], places: NDArray[np.intp]) -> tuple[Kept, ...]:
    moved = [replace(one, sample=int(places[one.sample])) for one in kept]
    return tuple(sorted(moved, key=lambda one: one.sample))


class _Reservoir:
    """An even draw of `size` answers out of however many come (Li's algorithm L: it thinks only when it takes one).

    Each k-th would be simpler, and would meet the same requests again and again, which are sent in turn.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._draw = Random(seed)
        self._held: list[Kept] = []
        self._seen = 0
        self._next = 0
        self._weight = 1.0

    @property
    def kept(self) -> tuple[Kept, ...]:
        return tuple(self._held)

    def offer(self, sample: int, call: Call, body: bytes) -> None:
        if self._seen == self._next and self._size:
            self._take(Kept(sample, call.request, dict(call.headers), bytes(body)))
        self._seen += 1

    def _take(self, kept: Kept) -> None:
        if len(self._held) < self._size:
            self._held.append(kept)
        else:
            self._held[self._draw.randrange(self._size)] = kept
        self._next += 1
        if len(self._held) == self._size:
            self._weight *= math.exp(math.log(1 - self._draw.random()) / self._size)
            self._next += int(math.log(1 - self._draw.random()) / math.log1p(-self._weight))
