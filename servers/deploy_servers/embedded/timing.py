"""Where the time of one prediction goes, for a client that asks for it.

Its parts follow each other without a gap, so that their sum is the whole time from the request's last byte to its answer:
`decode` reads the request; `queue` is until the model takes it up; `batch` is the way to a thread and back, which other
models may keep busy, and joining with other requests and parting from them; `compute` is the model's run, of the whole
batch; `encode` writes the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from deploy_core.signature import Tensors
from deploy_dialects.server_timing import written

Predict = Callable[[Tensors], Tensors]


class Timing:
    """The moments of one request, from now on; each is None until it has come."""

    __slots__ = ("_began", "_begun", "_decoded", "_ended", "_returned", "_taken")

    def __init__(self) -> None:
        self._begun = perf_counter()
        self._decoded = self._taken = self._began = self._ended = self._returned = 0.0

    def decoded(self) -> None:
        """Note that it is known what to predict."""
        self._decoded = perf_counter()

    def taken(self) -> None:
        """Note that the model takes it up."""
        self._taken = perf_counter()

    def ran(self, began: float, ended: float) -> None:
        """Note a run; one that is repeated began with the first."""
        self._began = self._began or began
        self._ended = ended

    def returned(self) -> None:
        """Note that the outputs are there."""
        self._returned = perf_counter()

    def text(self) -> str:
        """Give the parts up to now; empty for what was answered without a prediction."""
        if not self._returned:
            return ""
        now = perf_counter()
        return written(
            {
                "decode": self._decoded - self._begun,
                "queue": self._taken - self._decoded,
                "batch": self._began - self._taken + self._returned - self._ended,
                "compute": self._ended - self._began,
                "encode": now - self._returned,
            }
        )


def timed(predict: Predict, timings: Sequence[Timing]) -> Predict:
    """Give what does the same and notes its runs; begins now, when the model takes them up."""
    if not timings:
        return predict
    for timing in timings:
        timing.taken()

    def run(inputs: Tensors) -> Tensors:
        began = perf_counter()
        try:
            return predict(inputs)
        finally:
            ended = perf_counter()
            for timing in timings:
                timing.ran(began, ended)

    return run
