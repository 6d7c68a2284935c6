"""The benchmark of GPUs, as far as a machine without one can run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks.gpu import __main__ as benchmark
from benchmarks.gpu import subjects
from benchmarks.gpu.measuring import Latency, Result, percentile, timed
from benchmarks.gpu.page import page

from deploy_core.device import CPU, Device
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_model_store import Store

ROOT = Path(benchmark.__file__).parents[2]
REQUESTS = 20
SPECS = Signature((TensorSpec("x", "float32", ("batch", 2)),), (TensorSpec("y", "float32", ("batch", 2)),))


def test_without_a_gpu_it_says_so_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = [str(Path(sys.executable).parent), str(tmp_path)]
    env = {**os.environ, "PATH": os.pathsep.join(path)}
    command = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (6, "", 1)
    assert "there is nothing to measure here" in done.stderr


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values[:3], 99)) == (50, 99, 3)


def test_the_loop_is_closed_and_asks_for_so_many_rows() -> None:
    asked = []

    class Counted:
        signature = SPECS

        def predict(self, inputs: Tensors) -> Tensors:
            asked.append(len(inputs["x"]))
            return {"y": inputs["x"]}

        def close(self) -> None:
            pass

    found = timed(Counted(), {"x": np.zeros((64, 2), np.float32)}, 4, REQUESTS)
    assert asked == [4] * (REQUESTS + 20)
    assert 0 < found.median <= found.p99


def test_everything_is_asked_on_the_device_that_is_here(tmp_path: Path) -> None:
    extent = benchmark.Extent(
        REQUESTS, ("simplenet",), ("torchscript", "onnx", "pt2"), (("embedded", "onnx"), ("tfserving", ""))
    )
    exports, results = benchmark.run(tmp_path, (CPU,), extent, say=lambda text: None).values()
    assert [(result.model, result.verdict) for result in exports] == [("simplenet-from-cpu", "agree")]
    verdicts = {result.subject: result.verdict for result in results}
    assert verdicts.pop("tfserving") == "failed"  # no file for it
    assert set(verdicts) >= {"the model itself", "torchscript", "onnx", "pt2", "embedded with onnx: oip, grpc"}
    assert set(verdicts.values()) == {"agree"}
    assert all([one.rows for one in result.latencies] == [1, 64] for result in results if result.ok)
    [version] = [Store(tmp_path).resolve("simplenet-from-cpu")]
    gone = list(subjects.of_files(version, Device("cuda", (0,)), REQUESTS))
    assert {result.verdict for result in gone} == {"failed"}
    assert all(result.why for result in gone)


def test_the_page_tells_what_was_found_and_why_not() -> None:
    results = [
        Result("net", "onnx", "agree", 1e-7, 1e-6, (Latency(1, 0.1234, 0.5), Latency(64, 0.2, 0.6))),
        Result("net", "tflite", "failed", why="tflite files do not run on a GPU here"),
    ]
    text = page({"On cuda:0": results}, ["0: NVIDIA H200"], 1000)
    assert "| net | onnx | agree | 1e-07 | 1e-06 | 0.123, 0.500 | 0.200, 0.600 |" in text
    assert "| net | tflite | failed | – | – | – | – |" in text
    assert "- net, tflite: tflite files do not run on a GPU here" in text
    assert "1 agree, **0 disagree**, 1 could not be asked" in text
    assert "closed loop" in text


def test_too_few_requests_have_no_percentile() -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["--requests", "50"])
