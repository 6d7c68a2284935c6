"""What TorchServe's failures look like in its log: lines of real runs that were made to fail, and Java itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy_servers.causes import likely_cause

# Each from a real run of TorchServe 0.12 on Java 17, cut to the lines that matter; times and ids taken out.
NO_YAML = """\
W-9000-fine_1.0-stderr MODEL_LOG - Traceback (most recent call last):
W-9000-fine_1.0-stderr MODEL_LOG -     import yaml
W-9000-fine_1.0-stderr MODEL_LOG - ModuleNotFoundError: No module named 'yaml'
[ERROR] W-9000-fine_1.0 WorkerThread - Backend worker error
org.pytorch.serve.wlm.WorkerInitializationException: Backend stream closed."""
LACKING = """\
W-9000-lacking_1.0-stdout MODEL_LOG - Backend worker process died.
W-9000-lacking_1.0-stdout MODEL_LOG - Traceback (most recent call last):
W-9000-lacking_1.0-stdout MODEL_LOG - ModuleNotFoundError: No module named 'not_there_at_all'
[WARN ] W-9000-lacking_1.0 BatchAggregator - Load model failed: lacking, error: Worker died."""
NO_MEMORY = """\
W-9000-oom_1.0-stdout MODEL_LOG - Backend worker process died.
W-9000-oom_1.0-stdout MODEL_LOG - Traceback (most recent call last):
W-9000-oom_1.0-stdout MODEL_LOG -     raise MemoryError()
W-9000-oom_1.0-stdout MODEL_LOG - MemoryError
[WARN ] W-9000-oom_1.0 BatchAggregator - Load model failed: oom, error: Worker died."""
BROKEN = """\
W-9000-broken_1.0-stdout MODEL_LOG - Failed to load model broken, exception no weights here
W-9000-broken_1.0-stdout MODEL_LOG - Traceback (most recent call last):
W-9000-broken_1.0-stdout MODEL_LOG - RuntimeError: no weights here
[WARN ] W-9000-broken_1.0 BatchAggregator - Load model failed: broken, error: Worker died."""
KILLED = """\
W-9000-killed_1.0-stdout MODEL_LOG - model_name: killed, batchSize: 1
W-9000-killed_1.0-stdout WorkerLifeCycle - Stopped Scanner - W-9000-killed_1.0-stdout
[WARN ] W-9000-killed_1.0 BatchAggregator - Load model failed: killed, error: Worker died.
[WARN ] W-9000-killed_1.0 WorkerThread - Auto recovery failed again"""
SMALL_HEAP = "Caused by: java.lang.OutOfMemoryError: Java heap space"
BAD_VALUE = 'main ModelServer - Torchserve stopped.\nInvalid configuration: For input string: "abc"'
NO_PYTHON = 'Caused by: java.io.IOException: Cannot run program "/absent/python" (in directory "/tmp/x"): error=2, No such file or directory'


@pytest.mark.parametrize(
    ("log", "hint"),
    [
        (NO_YAML, "pip install 'deploy-toolkit[torchserve]'"),
        (LACKING, "the Python module not_there_at_all is missing"),
        (NO_MEMORY, "ran out of memory"),
        (KILLED, "was killed while it loaded its model"),
        (SMALL_HEAP, "ran out of memory"),
        (BAD_VALUE, 'cannot read: For input string: "abc"'),
        (NO_PYTHON, "the workers' Python, /absent/python, cannot be started"),
    ],
)
def test_a_failure_is_told_with_its_cause(log: str, hint: str) -> None:
    assert hint in likely_cause(log)


def test_a_handler_of_the_users_own_is_not_said_to_be_killed() -> None:
    assert likely_cause(BROKEN) == ""


def java(*arguments: str) -> str:
    told = subprocess.run(["java", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode
    return told.stdout + told.stderr


@pytest.mark.skipif(not shutil.which("java"), reason="needs Java")
@pytest.mark.parametrize("size", ["-Xmx1m", "-Xmx900000000m", "-Xmx99999999999999m"])
def test_a_heap_that_cannot_be(size: str) -> None:
    assert "--set heap_mb" in likely_cause(java(size, "-version"))


@pytest.mark.skipif(not shutil.which("java"), reason="needs Java")
def test_a_java_that_is_too_old(tmp_path: Path) -> None:
    # The head of a class file of a Java to come, which is as far as one of today reads.
    (tmp_path / "Main.class").write_bytes(bytes.fromhex("cafebabe00000063") + b"\0" * 64)
    assert "this Java is too old" in likely_cause(java("-cp", str(tmp_path), "Main"))
