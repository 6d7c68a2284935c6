"""The real clock: how exact it is, and that there is one call to come at most."""

from __future__ import annotations

import asyncio
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable

import pytest
import uvloop

from deploy_latency.clock import LoopClock, TimerFdClock, clock

LOOPS = [pytest.param(uvloop.new_event_loop, id="uvloop"), pytest.param(asyncio.new_event_loop, id="asyncio")]
CLOCKS = [LoopClock] if sys.platform != "linux" else [LoopClock, TimerFdClock]
Loop = Callable[[], asyncio.AbstractEventLoop]
Clock = type[LoopClock] | type[TimerFdClock]


def _run(loop: Loop, main: Callable[[], object]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
@pytest.mark.parametrize("loop", LOOPS)
def test_it_rings_well_within_a_millisecond(loop: Loop) -> None:
    late: list[float] = []

    async def main() -> None:
        time = clock(asyncio.get_running_loop())
        for number in range(100):
            rung = asyncio.Event()
            when = time.now() + 0.0013 + number * 1e-5
            time.at(when, rung.set)
            await rung.wait()
            late.append(time.now() - when)
        time.close()

    _run(loop, main)
    assert min(late) >= 0  # never early
    assert statistics.quantiles(late, n=4)[0] < 0.5e-3  # the rest is this machine's other work


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", CLOCKS)
def test_only_the_last_call_comes(kind: Clock, loop: Loop) -> None:
    rung: list[str] = []

    async def main() -> None:
        time, end = kind(asyncio.get_running_loop()), asyncio.Event()
        time.at(time.now() + 0.02, lambda: rung.append("forgotten"))
        time.at(time.now() - 5, lambda: rung.append("past"))
        while not rung:
            await asyncio.sleep(0)
        time.at(time.now() + 0.03, end.set)
        await end.wait()
        time.at(time.now(), lambda: rung.append("closed"))
        time.close()
        await asyncio.sleep(0.005)

    _run(loop, main)
    assert rung == ["past"]


@pytest.mark.parametrize("kind", CLOCKS)
def test_a_call_may_ask_for_the_next(kind: Clock) -> None:
    rung: list[float] = []

    async def main() -> None:
        time, end = kind(asyncio.get_running_loop()), asyncio.Event()

        def ring() -> None:
            rung.append(time.now())
            time.at(rung[-1] + 0.002, end.set if len(rung) == 5 else ring)

        time.at(0.0, ring)
        await end.wait()
        time.close()

    _run(uvloop.new_event_loop, main)
    assert len(rung) == 5
    assert rung == sorted(rung)


@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "aarch64"}, reason="the number of the system call is not known"
)
@pytest.mark.skipif(sys.platform != "linux", reason="Linux schedules so")
def test_short_slices_are_taken_and_nothing_else_changes() -> None:
    code = (
        "import os; from deploy_latency.clock import be_punctual; os.nice(3); "
        "print(be_punctual(), os.nice(0), os.sched_getscheduler(0) == os.SCHED_OTHER)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "3", "True"]
