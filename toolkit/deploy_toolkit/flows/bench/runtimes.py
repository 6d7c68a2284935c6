"""A stored file in a process of its own that does nothing but predict, so that what serving adds can be told."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import numpy as np

from deploy_core import messages, state
from deploy_core.artifact import Artifact
from deploy_core.child import Child
from deploy_core.errors import DeployError, UnavailableError
from deploy_core.signals import postponed
from deploy_core.signature import Tensors
from deploy_latency.load import Load
from deploy_latency.measuring import Run
from deploy_latency.workers import Progress
from deploy_toolkit.flows.bench.runtime_worker import Job, Loaded, Part, Predicted

_LOAD_SECONDS = 120.0
_PATIENCE = 60.0
_WORKER = "deploy_toolkit.flows.bench.runtime_worker"


class Runtime:
    """A loaded file; `cold_start` is seconds from the start of its process to the first answer, `memory` its bytes."""

    def __init__(self, child: Child, connection: socket.socket, loaded: Loaded) -> None:
        self.cold_start = loaded.seconds
        self.memory = loaded.memory
        self._child = child
        self._connection = connection

    def measure(self, load: Load, on_progress: Callable[[Progress], None]) -> Run:
        """Predict for the seconds of a load, in a closed loop of one. Raises DeployError if the process died."""
        messages.send(self._connection, messages.pack(load), seconds=_PATIENCE)
        while True:
            word = _heard(self._child, self._connection, load.warmup + load.seconds + _PATIENCE)
            if isinstance(word, Predicted):
                self.memory = word.memory
                return Run(load, word.samples, word.kept, np.empty(0), (word.cpu,), (word.wall,))
            assert isinstance(word, Part)
            on_progress(Progress(word.elapsed, load.seconds, word.ended, word.ended, 0, word.recent, word.over))


@contextmanager
def runtime(artifact: Artifact, threads: int, inputs: tuple[Tensors, ...]) -> Generator[Runtime]:
    """Load a file into a process of its own. Raises what loading raises."""
    log = state.logs() / f"runtime-{artifact.name}-{os.getpid()}.log"
    with postponed():
        # Libraries that read this at their start would take all cores for what is to use so many.
        env = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        child, connection = messages.worker(f"runtime of {artifact.name}", _WORKER, log=log, env=env)
    try:
        messages.send(connection, messages.pack(Job(artifact, threads, inputs)), seconds=_PATIENCE)
        loaded = _heard(child, connection, _LOAD_SECONDS)
        assert isinstance(loaded, Loaded)
        yield Runtime(child, connection, loaded)
    finally:
        with postponed():
            connection.close()
            failed = bool(child.returncode)
            child.stop(grace=0.5)
            if not failed:
                log.unlink(missing_ok=True)


def _heard(child: Child, connection: socket.socket, seconds: float) -> object:
    """Give what the process says next; raise what it raises."""
    try:
        word = messages.receive(connection, seconds=seconds)
    except (EOFError, ConnectionError):
        child.wait(5)
        raise UnavailableError(f"{child.what} {child.death()}", hint=f"its log is {child.log}") from None
    except TimeoutError:
        raise UnavailableError(f"{child.what} said nothing for {seconds:g} s", hint=f"its log is {child.log}") from None
    if isinstance(word, DeployError):
        raise word
    return word
