"""A process for each model and side: bounded in time and memory, ended with all that it started."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.zoo.model import ROOT, Model
from benchmarks.zoo.results import Outcome, read
from deploy_core import child

_LOOK = 0.5
_QUIET = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}


def run(
    model: Model, by: str, formats: Sequence[str], *, seconds: float, gigabytes: float, python: str = ""
) -> list[Outcome]:
    """Run `benchmarks.zoo.OURS|PUBLIC` on one model in a child process; what it did not come to has failed."""
    with TemporaryDirectory(prefix="zoo-") as folder:
        results, log = Path(folder) / "results.jsonl", Path(folder) / "log.txt"
        command = [sys.executable, "-m", f"benchmarks.zoo.{by}", model.name, ",".join(formats), str(results)]
        env = {
            "DEPLOY_STATE": f"{folder}/state",
            "TMPDIR": folder,
            "DEPLOY_ZOO_PYTHON": python,
            "PYTHONHASHSEED": "0",
        } | _QUIET
        started = child.start(f"zoo {model.name}", command, log=log, env=env, cwd=ROOT)
        try:
            ended = _watched(started, seconds, gigabytes)
        finally:
            started.stop(grace=1.0)
        found = read(results)
        missing = [name for name in formats if (model.name, name, by) not in found]
        reason = ended or f"the process {started.death()}: {_last(started)}"
        return [*found.values(), *(Outcome(model.name, name, by, "failed", reason) for name in missing)]


def _watched(started: child.Child, seconds: float, gigabytes: float) -> str:
    end = time.monotonic() + seconds
    while started.wait(_LOOK) is None:
        if time.monotonic() > end:
            return f"it did not end within {seconds:g} seconds"
        if (used := _gigabytes(started.pid)) > gigabytes:
            return f"it used {used:.1f} GB of memory, allowed are {gigabytes:g}"
    return ""


def _gigabytes(pid: int) -> float:
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(map(_resident, family)) / 1e9


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _last(started: child.Child) -> str:
    lines = [line.strip() for line in started.log_tail(10).splitlines() if line.strip()]
    return lines[-1][:300] if lines else os.strerror(0)
