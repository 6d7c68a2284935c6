"""A converter that raises, hangs, dies or writes something wrong: one sentence, exit code 3, nothing left running."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_core.errors import ExportError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters import hosting, routes, sources
from deploy_exporters.export import OpenedSource, Order, export, open_source
from deploy_exporters.steps.job import Job
from deploy_exporters.worker import Workers

HERE = Path(__file__).parent
STEPS = """
import os, time
def raises(source, job):
    raise RuntimeError("the converter lost its mind")
def dies(source, job):
    os.abort()
def burns(source, job):
    while True: pass
def waits(source, job):
    time.sleep(600)
"""


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[Workers, OpenedSource]]:
    (tmp_path / "bad_steps.py").write_text(STEPS)
    monkeypatch.syspath_prepend(tmp_path)
    with Workers(tmp_path / "logs", cpu_seconds=60, wall_seconds=120) as workers:
        yield workers, open_source(workers, sources.find(f"{HERE}/torch_models.py:simple_with_example"))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("raises", "onnx_from_torch failed: RuntimeError: the converter lost its mind"),
        ("dies", "onnx_from_torch: the worker process was killed by SIGABRT"),
        ("burns", "onnx_from_torch: the worker process used up its CPU time"),
        ("waits", "onnx_from_torch did not end within 2 seconds"),
    ],
)
def test_a_converter_that_fails(
    failing: tuple[Workers, OpenedSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, words: str
) -> None:
    workers, opened = failing
    step = replace(routes.STEPS["onnx_from_torch"], function=f"bad_steps:{how}")
    monkeypatch.setitem(routes.STEPS, "onnx_from_torch", step)  # type: ignore[arg-type]
    limits = {"burns": (1, 120), "waits": (60, 2)}.get(how, (60, 120))
    monkeypatch.setattr(opened.worker, "_limits", limits)
    with pytest.raises(ExportError, match=words) as caught:
        export(workers, opened, Order(["onnx"], tmp_path / "files", "net"))
    assert caught.value.exit_code == 3
    assert str(tmp_path / "logs") in caught.value.hint
    assert not (tmp_path / "files" / "onnx" / "model.onnx").exists()


def _onnx(path: Path, batch: str | int, name: str = "x") -> Path:
    import onnx
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(each, TensorProto.FLOAT, [batch, 6]) for each in (name, "y")]
    node = helper.make_node("Relu", [name], ["y"], doc_string="/home/somebody/model.py")
    graph = helper.make_graph([node], "graph", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(path))
    return path


SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 6)),), (TensorSpec("y", "float32", ("batch", 6)),))


def test_a_frozen_dimension_is_an_error(tmp_path: Path) -> None:
    from deploy_exporters.steps import onnx_file

    with pytest.raises(ExportError, match="froze batch of 'x' to 2"):
        onnx_file.finish(_onnx(tmp_path / "frozen.onnx", 2), SIGNATURE)


def test_a_lost_name_is_an_error(tmp_path: Path) -> None:
    from deploy_exporters.steps import onnx_file

    with pytest.raises(ExportError, match="has the tensors args_0, the model has x"):
        onnx_file.finish(_onnx(tmp_path / "renamed.onnx", "s77", "args_0"), SIGNATURE)


def test_symbols_are_named_and_traces_of_the_machine_removed(tmp_path: Path) -> None:
    import onnx

    from deploy_exporters.steps import onnx_file

    path = _onnx(tmp_path / "fine.onnx", "s77")
    onnx_file.finish(path, SIGNATURE)
    graph = onnx.load(str(path)).graph
    assert [dim.dim_param for dim in graph.input[0].type.tensor_type.shape.dim] == ["batch", ""]
    assert b"somebody" not in path.read_bytes()


@pytest.mark.parametrize("model", ["torch-cnn", "torch-heads"])
def test_an_onnx_file_tells_nothing_of_the_machine(exported: Any, model: str) -> None:
    body = exported(model).artifacts["onnx"].path.read_bytes()
    assert str(HERE).encode() not in body
    assert b"stack_trace" not in body


def test_a_proof_needs_numbers_and_shapes(tmp_path: Path) -> None:
    from deploy_exporters.steps.job import Job

    class Wrong:
        signature = SIGNATURE

        def __init__(self, answer: np.ndarray) -> None:
            self.answer = answer

        def predict(self, inputs: object) -> dict[str, np.ndarray]:
            return {"y": self.answer}

        def close(self) -> None: ...

    want = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)
    job = Job(None, tmp_path, SIGNATURE, (({"x": want}, {"y": want}),), "net")
    job.prove(Wrong(want * (1 + 1e-6)), "the file")
    for answer in (want + 0.1, want * np.float32(np.nan), want[::-1]):
        with pytest.raises(ExportError, match="the file predicts another 'y'"):
            job.prove(Wrong(answer), "the file")
    with pytest.raises(ExportError, match=r"in shape \[1, 6\]"):
        job.prove(Wrong(want[:1]), "the file")


def test_a_full_disk_is_told_with_the_folders_that_may_lie_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/dev/full` answers every write as a full disk does."""
    (tmp_path / "net.pt").write_bytes(b"program")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    job = Job(tmp_path / "net.pt", Path("/dev/full"), Signature((), ()), (), "net")
    with pytest.raises(ExportError, match="mar_from_torchscript found no space left on the disk: ") as caught:
        hosting.run_step(routes.STEPS["mar_from_torchscript"].function, None, job, ())
    assert " MB are free in /dev, " in str(caught.value)
    assert f" MB are free in {tmp_path}" in str(caught.value)
    assert "--store" in caught.value.hint
