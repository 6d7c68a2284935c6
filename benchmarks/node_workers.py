"""Worker processes for the node tests: replaced after some cases, and when one hangs or dies."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.node_cases import NodeCase
from benchmarks.node_runs import FAIL, WAYS, Outcome

SECONDS_PER_CASE = 120.0
CASES_PER_WORKER = 150  # TensorFlow keeps something of every function that was traced


def run_all(cases: Sequence[NodeCase], workers: int, log: Path) -> Iterator[tuple[NodeCase, dict[str, Outcome]]]:
    """Give each case with its outcomes as they come; what the runtimes print goes to the log."""
    parts = [cases[i : i + CASES_PER_WORKER] for i in range(0, len(cases), CASES_PER_WORKER)]
    if len(parts) < workers:
        parts = [cases[i::workers] for i in range(min(workers, len(cases)))]
    with ThreadPoolExecutor(workers) as pool:
        for done in as_completed([pool.submit(_run_part, part, log) for part in parts]):
            yield from done.result()


def _run_part(cases: Sequence[NodeCase], log: Path) -> list[tuple[NodeCase, dict[str, Outcome]]]:
    found, worker = [], None
    for case in cases:
        worker = worker or _Worker(log)
        outcomes = worker.run(case)
        found.append((case, outcomes or dict.fromkeys(WAYS, Outcome(FAIL, f"the worker {worker.end}"))))
        worker = None if outcomes is None else worker
    if worker is not None:
        worker.stop("is done")
    return found


class _Worker:
    """One process that runs cases until it is stopped."""

    def __init__(self, log: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, str(log)), daemon=True)
        self._process.start()
        theirs.close()
        self.end = ""

    def run(self, case: NodeCase) -> dict[str, Outcome] | None:
        """Run a case; None where the process hung or died, and is gone."""
        try:
            self._pipe.send(case)
            if self._pipe.poll(SECONDS_PER_CASE):
                answer: dict[str, Outcome] = self._pipe.recv()
                return answer
            self.stop(f"took more than {SECONDS_PER_CASE:.0f} s")
        except (EOFError, OSError):
            self._process.join()
            self.stop(f"died with exit code {self._process.exitcode}")
        return None

    def stop(self, why: str) -> None:
        """End the process."""
        self.end = why
        self._pipe.close()
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection[Any, Any], log: str) -> None:
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "", "TF_ENABLE_ONEDNN_OPTS": "0"}
    with Path(log).open("ab") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    from benchmarks.node_runs import run

    while True:
        try:
            case = pipe.recv()
        except EOFError:
            return
        pipe.send(run(case))
