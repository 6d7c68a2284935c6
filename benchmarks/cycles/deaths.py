"""The ways in which `deploy serve` is started and ended."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.cycles.serving import Serving

READY = " is ready"


def _stop_and_kill(serving: Serving) -> None:
    serving.send(signal.SIGTERM)
    serving.until_stopping()
    serving.send(signal.SIGKILL)


def _twice(serving: Serving) -> None:
    serving.send(signal.SIGINT)
    serving.until_stopping()
    serving.send(signal.SIGINT)


def _later(serving: Serving) -> None:
    time.sleep(random.uniform(0.2, 6))  # while workers are started, models loaded, endpoints judged
    serving.send(signal.SIGKILL)


def _both(serving: Serving) -> None:
    serving.kill_server()
    serving.send(signal.SIGKILL)


def _while_restarting(serving: Serving) -> None:
    serving.kill_server()
    serving.until_told("started again")
    serving.send(signal.SIGINT)


def _while_swapping(serving: Serving, number: signal.Signals) -> None:
    serving.swap()
    serving.until_told("loading")
    serving.send(number)


def _send(number: signal.Signals) -> Callable[[Serving], None]:
    return partial(Serving.send, number=number)


@dataclass(frozen=True)
class Death:
    """What is done when a line `at` is told; `ours` says that we die by SIGKILL, and cannot tidy up."""

    name: str
    act: Callable[[Serving], None]
    at: str = READY
    ours: bool = False
    options: tuple[str, ...] = ()
    swaps: bool = False


START, WAIT = "starting ", "waiting for "
DEATHS = (
    Death("Ctrl-C", _send(signal.SIGINT)),
    Death("kill -9 of us", _send(signal.SIGKILL), ours=True),
    Death("kill -9 of the server", Serving.kill_server, options=("--no-restart",)),
    Death("kill -9 of us during the start", _send(signal.SIGKILL), WAIT, ours=True),
    Death("kill -9 of us while stopping", _stop_and_kill, ours=True),
    Death("SIGTERM", _send(signal.SIGTERM)),
    Death("SIGHUP", _send(signal.SIGHUP)),
    Death("Ctrl-C during the start", _send(signal.SIGINT), WAIT),
    Death("SIGTERM at the very start", _send(signal.SIGTERM), START),
    Death("kill -9 of us at the very start", _send(signal.SIGKILL), START, ours=True),
    Death("kill -9 of us somewhere in the start", _later, WAIT, ours=True),
    Death("kill -9 of the server during the start", Serving.kill_server, WAIT),
    Death("Ctrl-C twice", _twice),
    Death("kill -9 of us and the server", _both, ours=True),
    Death("Ctrl-C while it is started again", _while_restarting),
    Death("Ctrl-C while swapping", partial(_while_swapping, number=signal.SIGINT), options=("--follow",), swaps=True),
    Death(
        "kill -9 of us while swapping",
        partial(_while_swapping, number=signal.SIGKILL),
        ours=True,
        options=("--follow",),
        swaps=True,
    ),
)
QUICK = DEATHS[:4]
