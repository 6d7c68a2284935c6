"""What is read and written: names, opsets, refusals that leave nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper, numpy_helper

from deploy_core.errors import ExportError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters.translation import savedmodel_from_onnx, unsupported


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    weights: Sequence[onnx.TensorProto] = (),
    opset: int = 18,
) -> onnx.ModelProto:
    values = [
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 2]) for n in names]
        for names in (inputs, outputs)
    ]
    graph = helper.make_graph(list(nodes), "graph", values[0], values[1], initializer=list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def signature_of(inputs: Sequence[str], outputs: Sequence[str], dtype: str = "float32") -> Signature:
    return Signature(
        tuple(TensorSpec(name, "float32", ("batch", 2)) for name in inputs),
        tuple(TensorSpec(name, dtype, ("batch", 2)) for name in outputs),
    )


def written(model: onnx.ModelProto, signature: Signature, base: Path) -> Path:
    onnx.save(model, base / "model.onnx")
    savedmodel_from_onnx(base / "model.onnx", base / "savedmodel", signature)
    return base / "savedmodel"


INPUTS = ("input.1", "a/b", "x:0", "_p", "1st", "plain")
OUTPUTS = ("out.1", "out/1", "out_1", "y:0", "2nd", "plain_too")


def test_odd_names_are_kept_exactly(tmp_path: Path) -> None:
    nodes = [helper.make_node("Sub", [name, INPUTS[i - 1]], [OUTPUTS[i]]) for i, name in enumerate(INPUTS)]
    folder = written(model_of(nodes, INPUTS, OUTPUTS), signature_of(INPUTS, OUTPUTS), tmp_path)
    random = np.random.default_rng(0)
    inputs = {name: random.standard_normal((3, 2)).astype(np.float32) for name in INPUTS}
    want = {OUTPUTS[i]: inputs[name] - inputs[INPUTS[i - 1]] for i, name in enumerate(INPUTS)}
    loaded = tf.saved_model.load(str(folder))
    got = loaded.signatures["serving_default"](**{name: tf.constant(array) for name, array in inputs.items()})
    content = tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert()
    lite = Interpreter(model_content=content).get_signature_runner("serving_default")(**inputs)
    assert got.keys() == lite.keys() == want.keys()
    for name, array in want.items():
        assert (got[name].numpy() == array).all()
        assert (lite[name] == array).all()


@pytest.mark.parametrize(("inputs", "words"), [(("a.b", "a_b"), "same name"), (("größe", "x"), "größe")])
def test_names_that_tensorflow_cannot_tell_apart_are_refused(
    tmp_path: Path, inputs: tuple[str, ...], words: str
) -> None:
    model = model_of([helper.make_node("Add", inputs, ["y"])], inputs, ["y"])
    with pytest.raises(ExportError, match=words) as caught:
        written(model, signature_of(inputs, ["y"]), tmp_path)
    assert caught.value.hint
    assert not (tmp_path / "savedmodel").exists()


def test_all_unsupported_operators_are_named_before_anything_is_written(tmp_path: Path) -> None:
    inner = helper.make_graph([helper.make_node("Frobnicate", ["x"], ["z"])], "then", [], [])
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("FusedMagic", ["r"], ["m"], name="magic", domain="com.example"),
        helper.make_node("If", ["c"], ["i"], then_branch=inner, else_branch=inner),
        helper.make_node("Unheard", ["m"], ["y"]),
    ]
    model = model_of(nodes, ["x"], ["y"])
    assert unsupported(model) == ("Frobnicate", "Unheard", "com.example::FusedMagic")
    with pytest.raises(
        ExportError, match=r"Frobnicate, Unheard, com\.example::FusedMagic \(the first is node 'magic'\)"
    ):
        written(model, signature_of(["x"], ["y"]), tmp_path)
    assert not (tmp_path / "savedmodel").exists()


def test_a_signature_that_is_not_the_models_is_refused(tmp_path: Path) -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], ["x"], ["y"])
    with pytest.raises(ExportError, match="outputs of the ONNX model are y, the signature says z"):
        written(model, signature_of(["x"], ["z"]), tmp_path)
    with pytest.raises(ExportError, match="'y' became float32, the signature says int64"):
        written(model, signature_of(["x"], ["y"], dtype="int64"), tmp_path)
    assert not (tmp_path / "savedmodel").exists()


@pytest.mark.parametrize("content", [b"not ONNX at all", b""])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ExportError):
        savedmodel_from_onnx(tmp_path / "model.onnx", tmp_path / "savedmodel", signature_of(["x"], ["y"]))
    assert not (tmp_path / "savedmodel").exists()


def test_large_weights_are_variables_and_not_in_the_graph(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.eye(2, dtype=np.float32).repeat(1000, 0).reshape(2, -1)[:, :2000], "w")
    back = numpy_helper.from_array(np.ones((2000, 2), np.float32), "v")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("MatMul", ["h", "v"], ["y"])]
    folder = written(model_of(nodes, ["x"], ["y"], weights=[weight, back]), signature_of(["x"], ["y"]), tmp_path)
    assert (folder / "saved_model.pb").stat().st_size < 16_000
    assert sum(file.stat().st_size for file in (folder / "variables").iterdir()) > 32_000


def answer(node: Any, opset: int, x: np.ndarray[Any, Any], tmp_path: Path) -> np.ndarray[Any, Any]:
    folder = written(model_of([node], ["x"], ["y"], opset=opset), signature_of(["x"], ["y"]), tmp_path)
    function = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return np.asarray(function(x=tf.constant(x))["y"])


def test_old_opsets_keep_their_meaning(tmp_path: Path) -> None:
    x = np.array([[-3.0, 8.0], [0.5, 1.0]], np.float32)
    clip = helper.make_node("Clip", ["x"], ["y"], min=-1.0, max=2.0)
    assert (answer(clip, 6, x, tmp_path) == x.clip(-1, 2)).all()
    softmax = helper.make_node("Softmax", ["x"], ["y"], axis=0)  # before opset 13: over all axes from 0 on
    want = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    np.testing.assert_allclose(answer(softmax, 11, x, tmp_path), want, rtol=1e-6)  # one division in float32
