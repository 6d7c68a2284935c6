"""The process that predicts: loads one file, then asks it the same questions in turn, as long as each load lasts.

It says `Loaded`, then for each `Load` that it is sent `Part` now and then, and `Predicted`. Run by `runtimes`.
"""

from __future__ import annotations

import gc
import os
import pickle
import socket
import sys
import time
import traceback
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import numpy as np

from deploy_core import messages, usage
from deploy_core.artifact import Artifact
from deploy_core.errors import DeployError
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors
from deploy_latency.load import Load
from deploy_latency.recording import Kept
from deploy_latency.samples import Samples, Seconds

_TOLD = 0.25  # seconds between two words of how far we are


@dataclass(frozen=True)
class Job:
    """What to load, how many threads one prediction may use, and what is asked in turn."""

    artifact: Artifact
    threads: int
    inputs: tuple[Tensors, ...]


@dataclass(frozen=True)
class Loaded:
    """It has given its first answer, so many seconds after its process was started."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Part:
    """How far it is."""

    elapsed: float
    ended: int
    recent: Seconds
    over: float


@dataclass(frozen=True)
class Predicted:
    """What it measured, with a few answers, and the CPU and wall seconds of it."""

    samples: Samples
    kept: tuple[Kept, ...]
    cpu: float
    wall: float
    memory: int


def main(number: int) -> None:
    """Serve whoever is at the other end of the inherited socket of that number until it goes."""
    with socket.socket(fileno=number) as connection:
        try:
            _serve(connection)
        except DeployError as error:
            traceback.print_exc()
            messages.send(connection, messages.pack(error))
        except (EOFError, ConnectionError):
            sys.exit(0)


def _serve(connection: socket.socket) -> None:
    from deploy_exporters.formats import load as load_file

    job: Job = messages.receive(connection)
    predictor = load_file(job.artifact, threads=job.threads)
    predictor.predict(job.inputs[0])
    messages.send(connection, messages.pack(Loaded(_age(), usage.memory(os.getpid()))))
    gc.collect()
    gc.freeze()
    while True:
        load: Load = messages.receive(connection)
        tell = partial(messages.send, connection)
        messages.send(connection, messages.pack(_predicted(predictor, job.inputs, load, tell)))


def _predicted(
    predictor: Predictor, inputs: tuple[Tensors, ...], load: Load, tell: Callable[[bytes], None]
) -> Predicted:
    _Turn(predictor, inputs).go(load.warmup, 0, lambda part: None)
    turn = _Turn(predictor, inputs)
    cpu, wall = time.process_time(), time.perf_counter()
    turn.go(load.seconds, load.keep, lambda part: tell(messages.pack(part)))
    used = time.process_time() - cpu, time.perf_counter() - wall
    kept = tuple(Kept(at, request, {}, pickle.dumps(dict(outputs))) for at, request, outputs in turn.kept)
    return Predicted(turn.samples(), kept, *used, usage.memory(os.getpid()))


class _Turn:
    """Predictions one after another; their times are seconds since the first."""

    def __init__(self, predictor: Predictor, inputs: tuple[Tensors, ...]) -> None:
        self.kept: list[tuple[int, int, Tensors]] = []
        self._predict = predictor.predict
        self._inputs = inputs
        self._begun, self._ended = array("d"), array("d")

    def go(self, seconds: float, keep: int, tell: Callable[[Part], None]) -> None:
        """Predict for so many seconds; answers are kept evenly over the time."""
        clock, begun, ended = time.perf_counter, self._begun, self._ended
        zero = told = clock()
        since = 0
        questions = cycle(enumerate(self._inputs))
        while (begin := clock()) - zero < seconds:
            request, inputs = next(questions)
            outputs = self._predict(inputs)
            end = clock()
            begun.append(begin - zero)
            ended.append(end - zero)
            if (end - zero) / seconds * keep >= len(self.kept) and len(self.kept) < keep:
                self.kept.append((len(ended) - 1, request, outputs))
            if end - told > _TOLD:
                tell(Part(end - zero, len(ended), np.array(ended[since:]) - np.array(begun[since:]), end - told))
                told, since = clock(), len(ended)

    def samples(self) -> Samples:
        """Give what was measured: nothing waits, so that all begins coincide."""
        begun, ended = np.array(self._begun), np.array(self._ended)
        count = len(ended)
        requests = np.arange(count, dtype=np.int32) % len(self._inputs)
        return Samples(begun, begun, begun, ended, np.zeros(count, np.int16), requests)


def _age() -> float:
    """Give the seconds since our process was started."""
    started = int(usage.stat(os.getpid())[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started
