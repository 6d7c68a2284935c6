"""`deploy check --localise` of what golden rows do not show: another size, an edge, a batch of three, one row among many."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deploy_agreement import Located, Report
from deploy_core.artifact import Artifact
from deploy_core.signature import Array, Signature, TensorSpec
from deploy_model_store import Golden, Record, Store
from deploy_toolkit.flows import check

SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", "length")),), (TensorSpec("y", "float32", ("batch", 2)),))
WEIGHT = np.float32([[1.5, -0.5]])
INPUTS = {"x": np.random.default_rng(3).uniform(-2, 2, (64, 8)).astype(np.float32)}
INPUTS["x"][0, 1] = 2.0  # four times as much is beyond six
INPUTS["x"][40, 2] = 2.5  # one row like no other
Nodes = Sequence[Any]
node = helper.make_node
RIGHT = {
    "bent": [node("Relu", ["x"], ["bent"])],
    "mean": [node("ReduceMean", ["bent", "axis"], ["mean"], keepdims=1)],
    "y": [node("MatMul", ["mean", "weight"], ["y"])],
}
PLANTED: dict[str, tuple[dict[str, Nodes], str]] = {
    # What golden rows have as their length is written into the file.
    "size": (
        {
            "mean": [
                node("ReduceSum", ["bent", "axis"], ["sum"], keepdims=1),
                node("Div", ["sum", "eight"], ["mean"]),
            ]
        },
        "y: ReduceSum, Div and MatMul give other values than ReduceMean and MatMul,"
        " with attributes and weights that do not differ; seen at length = 3",
    ),
    "edge": (
        {"bent": [node("Clip", ["x", "zero", "six"], ["bent"])]},
        "bent: is a relu6, wanted is Relu; seen at 4 times the golden values",
    ),
    "batch": (
        {
            "y": [
                node("Shape", ["x"], ["sizes"]),
                node("Gather", ["sizes", "first"], ["rows"]),
                node("Equal", ["rows", "three"], ["odd"]),
                node("Cast", ["odd"], ["by"], to=TensorProto.FLOAT),
                node("MatMul", ["mean", "weight"], ["scores"]),
                node("Add", ["scores", "by"], ["y"]),
            ]
        },
        "y: Shape, Gather, Equal and Add give other values than the reference, with attributes and weights that do not differ; seen at a batch of 3",
    ),
    "row": (
        {"bent": [node("Clip", ["x", "zero", "bound"], ["bent"])]},
        "bent: Clip gives other values than Relu, with attributes and weights that do not differ",
    ),
}  # fmt: skip


def _write(path: Path, changed: dict[str, Nodes]) -> Path:
    constants = {
        "weight": WEIGHT, "axis": np.int64([1]), "eight": np.float32(8), "zero": np.float32(0), "six": np.float32(6),
        "bound": np.float32(2.4), "first": np.int64(0), "three": np.int64(3),
    }  # fmt: skip
    nodes = [each for made in (RIGHT | changed).values() for each in made]
    used = {name for each in nodes for name in each.input}
    infos = [
        [helper.make_tensor_value_info(s.name, TensorProto.FLOAT, s.shape)]
        for s in (*SIGNATURE.inputs, *SIGNATURE.outputs)
    ]
    weights = [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items() if name in used]
    graph = helper.make_graph(nodes, "net", *infos, weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def _with_another_output(path: Path) -> Path:
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("bent", TensorProto.FLOAT, None))
    onnx.save(model, path)
    return path


def _answer(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0).mean(axis=1, keepdims=True) @ WEIGHT)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What a check of all planted files says."""
    folder = tmp_path_factory.mktemp("shown")
    shelf = Store(folder / "models")
    sizes = [{"sizes": {"length": size}, "noise": {"y": 1e-7}, "times": {}} for size in (3, 13)]
    promised = {"golden": {"length": 8}, "sizes": sizes, "refused": [], "ranges": {}}
    with shelf.staging("net") as staged:
        files = [_write(staged / kind / "model.onnx", {}) for kind in ("onnx", "reference")]
        artifact, reference = (Artifact("onnx", file, SIGNATURE) for file in files)
        record = Record("a training", SIGNATURE, {}, (artifact,), reference, {"promised": promised})
        golden = Golden(INPUTS, {"y": _answer(INPUTS["x"])}, {"y": np.float64(1e-7)}, "float64")
        shelf.publish(staged, "net", record, golden)
    named = [str(_write(folder / f"{name}.onnx", changed)) for name, (changed, _) in PLANTED.items()]
    named.append(str(_with_another_output(_write(folder / "more.onnx", {}))))
    request = check.Request(tuple(named), against="net", localise=True, found=folder / "found")
    return check.check(request, store=shelf.root)


def _located(report: Report, name: str) -> Located:
    return next(one for one in report.located if Path(one.subject).stem == name)


@pytest.mark.parametrize("name", PLANTED)
def test_operator_is_named_by_inputs_that_show_it(report: Report, name: str) -> None:
    found = _located(report, name)
    assert found.said == PLANTED[name][1]
    assert found.first is not None
    assert not found.first.ok


@pytest.mark.parametrize("name", ["size", "edge"])
def test_golden_rows_do_not_show_it(report: Report, name: str) -> None:
    row = next(row for row in report.rows if Path(row.subject).stem == name)
    assert not row.ok
    assert all(output.ok for output in row.outputs)


@pytest.mark.parametrize("name", ["size", "edge"])
def test_reproduction_has_the_inputs_that_show_it(report: Report, name: str) -> None:
    found = _located(report, name)
    done = subprocess.run(
        [sys.executable, Path(found.reproduction) / "reproduce.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "wanted is" in done.stdout


def test_nothing_inside_is_to_blame_for_the_form_of_answers(report: Report) -> None:
    found = _located(report, "more")
    assert found.first is None
    assert found.said.endswith(": what is wrong is the form of its answers")
