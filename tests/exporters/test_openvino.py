"""ONNX files that OpenVINO does not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx_files import parsed, signature_of

from deploy_core.errors import ExportError
from deploy_core.signature import Signature
from deploy_exporters.formats import openvino
from deploy_exporters.steps import openvino_loops
from deploy_exporters.steps.job import Job
from deploy_exporters.steps.openvino import openvino_from_onnx


def _rows(name: str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"])


def test_operators_that_openvino_cannot_read_are_named(tmp_path: Path) -> None:
    node = helper.make_node("NoSuchThing", ["rows"], ["out"], domain="somebodys.own")
    graph = helper.make_graph([node], "graph", [_rows("rows")], [_rows("out")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("somebodys.own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "model.onnx")
    job = Job(tmp_path / "model.onnx", tmp_path / "openvino", Signature((), ()), (), "net")
    with pytest.raises(ExportError, match=r"OpenVINO cannot read these operators .*: somebodys\.own\.NoSuchThing"):
        openvino_from_onnx(job)


# Its body takes rows, a weight and, two levels deep, another value from around it; it has a state, and collects.
LOOP = """
g (float[n,3] x, float[3,3] W) => (float[n,3] last, float[4,n,3] all) {
  rounds = Constant <value = int64 {4}> ()
  on = Constant <value = bool {1}> ()
  double = Add (x, x)
  last, all = Loop (rounds, on, x) <body = round (int64 i, bool go, float[n,3] h) => (bool again, float[n,3] h1, float[n,3] seen) {
    again = Identity (go)
    two = Constant <value = int64 {2}> ()
    late = Less (two, i)
    moved = MatMul (h, W)
    more = If (late) <
      then_branch = yes () => (float[n,3] a) { a = Add (moved, double) },
      else_branch = no () => (float[n,3] b) { b = Add (moved, x) }>
    h1 = Tanh (more)
    seen = Mul (h1, x)
  }>
}"""


def test_a_loop_that_takes_values_from_around_it(tmp_path: Path) -> None:
    model = parsed(LOOP)
    onnx.save(model, tmp_path / "model.onnx")
    signature = signature_of(model)
    openvino_from_onnx(Job(tmp_path / "model.onnx", tmp_path / "openvino", signature, (), "net"))
    predictor = openvino.load(tmp_path / "openvino", signature)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for rows in (1, 2, 5):
        inputs = {"x": np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)}
        got = predictor.predict(inputs)
        for spec, want in zip(signature.outputs, session.run(None, inputs), strict=True):
            np.testing.assert_allclose(got[spec.name], want, atol=1e-6)
    predictor.close()


def test_a_closed_loop_takes_nothing_and_answers_the_same() -> None:
    model = parsed(LOOP)
    answers = []
    for each in (model, openvino_loops.closed(model)):
        session = onnxruntime.InferenceSession(each.SerializeToString())
        answers.append(session.run(["last", "all"], {"x": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}))
    for got, want in zip(*answers, strict=True):
        np.testing.assert_array_equal(got, want)
    (loop,) = (node for node in openvino_loops.closed(model).graph.node if node.op_type == "Loop")
    (body,) = (each.g for each in loop.attribute)
    defined = {value.name for value in (*body.input, *body.initializer)}
    for node in body.node:
        inside = [inner for each in node.attribute for inner in each.g.node]
        assert {*node.input, *(name for inner in inside for name in inner.input)} <= defined
        defined.update(node.output)
    assert {value.name for value in body.output} <= defined
    assert len(loop.input) == len(body.input)  # a weight is inside, not passed from round to round
    assert [tensor.name for tensor in body.initializer] == ["W"]
