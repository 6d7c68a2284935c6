"""Looking into ONNX files written as text, against plain numpy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_files import parsed

from deploy_core.errors import UsageError
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array
from deploy_exporters.formats.onnx import load
from deploy_exporters.inside import onnx as inside
from deploy_exporters.inside.layers import SCOPES, of_node, of_tensorflow, of_weights

CNN = """
net (float[N, 2, 6, 6] x, float[3, 2, 3, 3] W, float[3] SCALE, float[3] SHIFT, float[3] MEAN) => (float[N, 3] y) {
    half = Constant<value_float = 0.5>()
    variance = Abs(MEAN)
    conv = Conv<pads = [1, 1, 1, 1]>(x, W)
    norm = BatchNormalization<epsilon = 0.25>(conv, SCALE, SHIFT, MEAN, variance)
    plain = BatchNormalization(norm, SCALE, SHIFT, MEAN, variance)
    active = Relu(plain)
    scaled = Mul(active, half)
    y = GlobalAveragePool(scaled)
}
"""
CHOICE = """
net (float[N] x, bool yes) => (float[N] y) {
    double = Add(x, x)
    y = If(yes) <
        then_branch = first () => (float[N] a) { a = Neg(double) },
        else_branch = second () => (float[N] b) { b = Abs(double) }
    >
}
"""


@pytest.fixture
def x() -> Array:
    return np.random.default_rng(5).standard_normal((2, 2, 6, 6)).astype(np.float32)


def _written(text: str, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(parsed(text.replace("float[N, 3] y", "float[N, 3, 1, 1] y")), path)
    return path


def _by_name(found: list[Intermediate]) -> dict[str, Intermediate]:
    return {each.name: each for each in found}


def _normed(x: Array, weights: dict[str, Array], epsilon: float) -> Array:
    scale, shift, mean = (weights[name].reshape(1, -1, 1, 1) for name in ("SCALE", "SHIFT", "MEAN"))
    return (x - mean) / np.sqrt(np.abs(mean) + epsilon) * scale + shift


def test_values_attributes_and_weights_are_the_files(tmp_path: Path, x: Array) -> None:
    path = _written(CNN, tmp_path)
    found = inside.intermediates(path, {"x": x})
    assert [each.name for each in found] == ["conv", "norm", "plain", "active", "scaled", "y"]  # no constants
    by_name = _by_name(found)
    weights = {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
    norm = by_name["norm"]
    assert norm.operator == "BatchNormalization"
    assert norm.inputs == ("conv", "SCALE", "SHIFT", "MEAN", "variance")
    np.testing.assert_array_equal(norm.weights["variance"], np.abs(weights["MEAN"]))
    assert norm.attributes["epsilon"] == 0.25
    assert by_name["plain"].attributes["epsilon"] == pytest.approx(1e-5)  # the default, though the file is silent
    np.testing.assert_allclose(norm.value, _normed(by_name["conv"].value, weights, 0.25), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(by_name["plain"].value, _normed(norm.value, weights, 1e-5), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(by_name["active"].value, np.maximum(by_name["plain"].value, 0))
    assert by_name["scaled"].weights == {"half": np.float32(0.5)}
    assert by_name["conv"].attributes["pads"] == (1, 1, 1, 1)
    np.testing.assert_allclose(found[-1].value, load(path).predict({"x": x})["y"], rtol=1e-5, atol=1e-6)


def test_the_predictor_takes_inputs_as_it_does_to_predict(tmp_path: Path, x: Array) -> None:
    predictor = load(_written(CNN, tmp_path))
    assert [each.name for each in predictor.intermediates({"x": x})][-1] == "y"


@pytest.mark.parametrize("yes", [True, False])
def test_a_choice_is_one_operator_that_uses_what_its_branches_use(tmp_path: Path, yes: bool) -> None:
    path = _written(CHOICE, tmp_path)
    found = inside.intermediates(path, {"x": np.array([-1, 2], np.float32), "yes": np.array(yes)})
    assert [each.name for each in found] == ["double", "y"]
    assert found[1].operator == "If"
    assert set(found[1].inputs) == {"yes", "double"}
    np.testing.assert_array_equal(found[1].value, [2, -4] if yes else [2, 4])


def test_weights_in_a_file_beside_the_graph_are_read(tmp_path: Path, x: Array) -> None:
    path = _written(CNN, tmp_path)
    want = inside.intermediates(path, {"x": x})
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="model.data", size_threshold=0)
    before = sorted(each.name for each in tmp_path.iterdir())
    for one, other in zip(want, inside.intermediates(path, {"x": x}), strict=True):
        np.testing.assert_array_equal(one.value, other.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == before


def test_more_tensors_than_one_run_gives(tmp_path: Path) -> None:
    steps = "".join(f"v{n + 1} = Add(v{n}, v{n})\n" for n in range(150))
    path = _written(f"net (float[N] v0) => (float[N] v150) {{ {steps} }}", tmp_path)
    found = inside.intermediates(path, {"v0": np.array([1e-40], np.float64).astype(np.float32)})
    assert [each.name for each in found] == [f"v{n}" for n in range(1, 151)]
    for before, after in pairwise(found):
        np.testing.assert_array_equal(after.value, before.value * 2)


def test_too_many_bytes_are_refused(tmp_path: Path, x: Array) -> None:
    path = _written(CNN, tmp_path)
    assert inside.intermediates(path, {"x": x}, most_bytes=10_000)
    with pytest.raises(UsageError, match="take more than"):
        inside.intermediates(path, {"x": x}, most_bytes=3000)


def test_a_quantised_weight_counts_as_the_numbers_that_it_stands_for(tmp_path: Path) -> None:
    integers = numpy_helper.from_array(np.array([[10, -20], [30, 40]], np.int8), "integers")
    scale, zero = numpy_helper.from_array(np.float32(0.5), "scale"), numpy_helper.from_array(np.int8(2), "zero")
    float_ = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("DequantizeLinear", ["integers", "scale", "zero"], ["weight"]),
            helper.make_node("MatMul", ["x", "weight"], ["y"]),
        ],
        "net",
        [helper.make_tensor_value_info("x", float_, ["batch", 2])],
        [helper.make_tensor_value_info("y", float_, ["batch", 2])],
        [integers, scale, zero],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    (found,) = inside.intermediates(path, {"x": np.eye(2, dtype=np.float32)})
    np.testing.assert_array_equal(found.weights["weight"], [[4, -11], [14, 19]])


def test_numbers_that_numpy_has_no_dtype_for_are_told_in_float32_and_sequences_are_not(tmp_path: Path) -> None:
    path = _written(
        """net (float[N] x) => (float[N] y) {
            short = Cast<to = 16>(x)
            back = Cast<to = 1>(short)
            both = SequenceConstruct(back, x)
            first = Constant<value_int = 0>()
            taken = SequenceAt(both, first)
            y = Add(taken, x)
        }""",
        tmp_path,
    )
    found = _by_name(inside.intermediates(path, {"x": np.array([1 + 2**-12, 3], np.float32)}))
    assert list(found) == ["short", "back", "taken", "y"]
    assert found["short"].value.tolist() == [1, 3]
    assert found["short"].operator == "Cast"
    assert found["short"].value.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("/features/features.1/BatchNormalization", "features.1"),
        ("/Relu", ""),
        ("StatefulPartitionedCall/net_1/block_1/conv_1/BiasAdd", "block/conv"),
        ("StatefulPartitionedCall/net_1/dense_1_2/MatMul:0", "dense_1"),
        ("net/bn/batchnorm/mul_1", "bn"),
        ("node_conv2d_3/features.0/Conv2D", "features.0"),
        ("StatefulPartitionedCall:0", ""),
        ("node_MatMul_7", ""),
    ],
)
def test_names_of_nodes_tell_layers(name: str, layer: str) -> None:
    assert of_node(onnx.NodeProto(name=name)) == layer
    if not name.startswith("/"):
        assert of_tensorflow(name) == layer


def test_scopes_and_names_of_weights_tell_layers() -> None:
    node = onnx.NodeProto(name="node_Conv_3")
    node.metadata_props.add(key=SCOPES, value="['', 'model', 'model.blocks', 'model.blocks.0.conv', 'conv2d']")
    assert of_node(node) == "blocks.0.conv"
    assert of_weights(["model.head.weight", "model.head.bias"]) == "head"
    assert of_weights(["conv.weight", "net/norm/batchnorm/sub:0"]) == "norm"
    assert of_weights(["val_11", "W"]) == ""
