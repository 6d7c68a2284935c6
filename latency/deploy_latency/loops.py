"""Who sends what when: the open loop, which waits for no answer, and the closed loop, which is all waiting.

They know a `Clock` and a `Wire` and nothing else of the world, so that a test can give them one in which time is simulated.
Both begin with `start`, hear of answers by `landed`, which is the wire's `on_done`, and say by `on_end` that no call is under
way and none is to come: at the latest `timeout` seconds after the last was meant to leave.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import cycle

from deploy_latency.calls import Call, Clock, Wire
from deploy_latency.recording import Recording
from deploy_latency.samples import Seconds

NOT_SENT = "not sent in time: the generator could not keep up"


class Flight:
    """The calls under way; `requests` are their numbers, in the order in which they are sent."""

    def __init__(self, clock: Clock, wire: Wire, recording: Recording, requests: Iterator[int], timeout: float) -> None:
        self.clock = clock
        self.timeout = timeout
        self._wire = wire
        self._recording = recording
        self._requests = requests
        self._calls: OrderedDict[Call, None] = OrderedDict()  # in the order of their intended times
        self._alone: Call | None = None
        self._late = f"no answer within {timeout:g} s"
        self.deadline = math.inf  # before which no call is late

    def __len__(self) -> int:
        return len(self._calls)

    def launch(self, intended: float, fired: float) -> None:
        """Send the next request."""
        call = Call(next(self._requests), intended, fired)
        self._recording.launch(call)
        if not self._calls:
            self._alone = call
            self.deadline = intended + self.timeout
        self._calls[call] = None
        self._wire.send(call)

    def skip(self, intended: float, now: float) -> None:
        """Write down a call that is too late to be sent at all."""
        call = Call(next(self._requests), intended, now)
        self._recording.launch(call)
        self._fail(call, NOT_SENT)

    def land(self, call: Call) -> None:
        """Take an answer."""
        del self._calls[call]
        if call.done - call.intended > self.timeout:
            self._fail(call, self._late)
            return
        if call is self._alone:
            self._recording.alone(call)
        self._recording.add(call)

    def sweep(self, now: float) -> int:
        """Give up the calls that are late; give their number."""
        if now < self.deadline:
            return 0
        late = 0
        while (first := next(iter(self._calls), None)) and first.intended + self.timeout <= now:
            del self._calls[first]
            self._wire.drop(first)
            self._fail(first, self._late)
            late += 1
        self.deadline = first.intended + self.timeout if first else math.inf
        return late

    def _fail(self, call: Call, why: str) -> None:
        call.error = why
        call.done = math.inf
        self._recording.add(call)


class OpenLoop:
    """Sends at the given times, of the clock, whatever comes back."""

    def __init__(self, flight: Flight, times: Seconds, on_end: Callable[[], None]) -> None:
        self._flight = flight
        self._clock = flight.clock
        self._times = array("d", times.tobytes())
        self._next = 0
        self._on_end: Callable[[], None] | None = on_end

    def start(self) -> None:
        """Begin; returns at once."""
        self._rest()

    def landed(self, call: Call) -> None:
        """Take an answer."""
        self._flight.land(call)
        if self._next == len(self._times) and not self._flight:
            self._end()

    def _wake(self) -> None:
        now = self._clock.now()
        self._flight.sweep(now)
        self._send(now)
        self._rest()

    def _send(self, due: float) -> None:
        # What falls due meanwhile waits for the next turn, so that answers are read in between.
        times, flight, clock = self._times, self._flight, self._clock
        while self._next < len(times) and times[self._next] <= due:
            intended = times[self._next]
            self._next += 1
            if due - intended > flight.timeout:
                flight.skip(intended, due)
            else:
                flight.launch(intended, clock.now())

    def _rest(self) -> None:
        if self._next < len(self._times):
            self._clock.at(min(self._times[self._next], self._flight.deadline), self._wake)
        elif self._flight:
            self._clock.at(self._flight.deadline, self._wake)
        else:
            self._end()

    def _end(self) -> None:
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()


class ClosedLoop:
    """Keeps `concurrency` calls under way until `end`: the next is sent when one is answered, and is meant to leave then."""

    def __init__(self, flight: Flight, concurrency: int, end: float, on_end: Callable[[], None]) -> None:
        self._flight = flight
        self._clock = flight.clock
        self._idle = self._concurrency = concurrency
        self._stop = end
        self._sending = False
        self._rings = math.inf
        self._on_end: Callable[[], None] | None = on_end

    def start(self) -> None:
        """Begin; returns at once."""
        self._send()

    def landed(self, call: Call) -> None:
        """Take an answer, and send the next."""
        self._flight.land(call)
        self._idle += 1
        if not self._sending:  # else an answer that comes at once would send within sending, deeper and deeper
            self._send()

    def _wake(self) -> None:
        self._rings = math.inf
        late = self._flight.sweep(self._clock.now())
        self._idle += late
        self._send()

    def _send(self) -> None:
        self._sending = True
        now = self._clock.now()
        for _ in range(min(self._idle, self._concurrency) if now < self._stop else 0):
            self._idle -= 1
            self._flight.launch(now, now)
            now = self._clock.now()
        self._sending = False
        self._rest(now)

    def _rest(self, now: float) -> None:
        if now < self._stop:
            # Calls that failed at once leave some idle: they are sent in the next turn.
            self._ring(now if self._idle else min(self._stop, self._flight.deadline))
        elif self._flight:
            self._ring(self._flight.deadline)
        elif self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()

    def _ring(self, when: float) -> None:
        if when < self._rings:  # one that comes too early does no harm, and a system call for each answer would
            self._rings = when
            self._clock.at(when, self._wake)


def turns(requests: int, part: int, parts: int) -> Iterator[int]:
    """Give the numbers of requests that one of several generators sends, so that all of them together send them in turn."""
    return cycle([(part + turn * parts) % requests for turn in range(requests)])
