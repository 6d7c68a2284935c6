"""Child processes that host conversions and Predictors, so that a crash, a hang or a gigabyte is their own affair."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from deploy_core import messages, usage
from deploy_core.errors import DeployError, ExportError
from deploy_core.scratch import Scratch

# The hash seed: TorchScript writes sets in their order, and the same model should give the same bytes.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
_SHARE = 0.8  # of the machine's memory: beyond, it begins to kill or to swap what others run
ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "source": {**_QUIET, "KERAS_BACKEND": "tensorflow"},
    "tensorflow": {**_QUIET, "KERAS_BACKEND": "tensorflow"},
    "keras_torch": {**_QUIET, "KERAS_BACKEND": "torch"},
    "runtime": {**_QUIET, "KERAS_BACKEND": "tensorflow"},
}


class Worker:
    """One child process that runs functions by name, one call at a time."""

    def __init__(
        self, kind: str, log: Path, temporary: str, *, cpu_seconds: float, wall_seconds: float, memory: float
    ) -> None:
        self.kind = kind
        self.loaded: tuple[str, ...] = ()
        self.blamed = False
        self._unheard = 0
        self._limits = (cpu_seconds, wall_seconds)
        self._memory = memory
        self._lock = threading.Lock()
        environment = {**ENVIRONMENTS[kind], "TMPDIR": temporary}
        self.child, self._connection = messages.worker(
            f"worker {kind}", "deploy_exporters.worker_process", log=log, env=environment
        )

    @property
    def alive(self) -> bool:
        """Whether it can still be called."""
        return self._connection.fileno() != -1 and self.child.returncode is None

    def call(self, function: str, *args: Any, step: str = "", **kwargs: Any) -> Any:
        """Run `module:function` there and give what it returns. Raises its DeployError, or ExportError naming `step`."""
        packed = messages.parts((function, args, kwargs))
        step = step or function.rpartition(":")[2]
        with self._lock:
            if not self.alive:
                raise self._dead(step)
            outcome, value, self.loaded = self._exchange(step, packed)
        if outcome == "value":
            return value
        raise value if outcome == "refused" else self._failed(step, value)

    def begin(self, function: str, *args: Any) -> None:
        """Have it run `module:function` while we do something else; the next call waits, and nobody hears the answer."""
        with self._lock, suppress(OSError):  # of a worker that has died the next call tells
            messages.send(self._connection, messages.parts((function, args, {})), seconds=self._limits[1])
            self._unheard += 1

    def stop(self) -> None:
        """End the process; its log stays only if an error names it. May be called twice."""
        self.child.stop(grace=0.5)  # first: a thread that waits for an answer sees the end of the other side
        self._connection.close()
        if not self.blamed:
            self.child.log.unlink(missing_ok=True)

    def _exchange(self, step: str, packed: messages.Parts) -> Any:
        cpu, wall = self._limits
        self.child.allow_cpu(cpu)
        try:
            messages.send(self._connection, packed, seconds=wall)
            for _ in range(self._unheard):
                messages.receive(self._connection, seconds=wall, watch=partial(self._watch, step))
            self._unheard = 0
            return messages.receive(self._connection, seconds=wall, watch=partial(self._watch, step))
        except TimeoutError:
            error = ExportError(f"{step} did not end within {wall:g} seconds", hint=self._hint())
            self.stop()
            raise error from None
        except (EOFError, ConnectionError):
            self.child.wait(5)
            dead = self._dead(step)
            self.stop()
            raise dead from None
        except BaseException:
            self.stop()  # The answer to this call would be taken for the answer to the next.
            raise

    def _watch(self, step: str) -> None:
        # A limit of the kernel's would hold for addresses, of which TensorFlow and torch reserve what they never use.
        if sys.platform != "linux" or self.child.returncode is not None:
            return
        with suppress(FileNotFoundError, ProcessLookupError):
            taken = usage.memory(self.child.pid)
            if taken > self._memory:
                self.blamed = True
                raise ExportError(
                    f"{step} took {taken / 2**30:.2f} GB of memory, the limit is {self._memory / 2**30:.2f} GB",
                    hint=f"--step-memory GB allows more; the whole story is in {self.child.log}",
                )

    def _failed(self, step: str, told: str) -> DeployError:
        self.blamed = True
        return ExportError(f"{step} failed: {told}", hint=f"the whole story is in {self.child.log}")

    def _dead(self, step: str) -> DeployError:
        more = "--step-seconds S allows more; " if self.child.returncode == -signal.SIGXCPU else ""
        return ExportError(f"{step}: the worker process {self.child.death()}", hint=more + self._hint())

    def _hint(self) -> str:
        self.blamed = True
        last = [line.strip() for line in self.child.log_tail(5).splitlines() if line.strip()][-1:]
        return f"the log {self.child.log} ends with: {last[0][:300]}" if last else f"its log {self.child.log} is empty"


class Workers:
    """The workers of one command, started when they are first called, ended together.

    A call may use `cpu_seconds` of processor time, `wall_seconds` of waiting and `memory` bytes, without which it is most
    of the machine's; the logs of those that failed stay in `logs`.
    """

    def __init__(
        self, logs: Path, *, cpu_seconds: float = 600, wall_seconds: float = 3600, memory: float | None = None
    ) -> None:
        self._logs = logs
        most = _SHARE * usage.machine_memory() if memory is None else memory
        self._limits = {"cpu_seconds": cpu_seconds, "wall_seconds": wall_seconds, "memory": most}
        self._workers: dict[str, Worker] = {}
        # A worker that is killed cannot remove its temporary files: they lie where we remove them.
        self._temporary: Scratch | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, kind: str) -> Worker:
        """Give the live worker of that kind, started if need be."""
        with self._lock:
            worker = self._workers.get(kind)
            if worker is not None and not worker.alive:
                worker.stop()
                worker = None
            if worker is None:
                self._temporary = self._temporary or Scratch()
                log = self._logs / f"worker-{kind}-{os.getpid()}.log"
                worker = Worker(kind, log, str(self._temporary.path), **self._limits)
                self._workers[kind] = worker
            return worker

    def having(self, library: str) -> Worker:
        """Give a live worker that has imported `library` already, else the one of kind `runtime`."""
        with self._lock:
            for worker in self._workers.values():
                if library in worker.loaded and worker.alive:
                    return worker
        return self.get("runtime")

    def call(self, kind: str, function: str, *args: Any, **kwargs: Any) -> Any:
        """Run `module:function` in the worker of that kind. Raises its DeployError; ExportError if it failed or died."""
        return self.get(kind).call(function, *args, **kwargs)

    def close(self) -> None:
        """End every worker; may be called twice."""
        with self._lock:
            while self._workers:
                self._workers.popitem()[1].stop()
            if self._temporary is not None:
                self._temporary.close()
                self._temporary = None
