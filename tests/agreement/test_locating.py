"""Where two models part: planted faults in a model that numpy computes in two ways, and honest pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from located_models import Faults, Weights, images, tflite_like, torch_like, weights

from deploy_agreement.locating import NOWHERE, Seen, locate
from deploy_agreement.locating.attributes import normal
from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.layouts import equal
from deploy_agreement.locating.names import same
from deploy_agreement.locating.operators import family
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array

Look = Callable[..., Seen]
FORMS: dict[str, Look] = {"torch": torch_like, "tflite": tflite_like}


def _changed(name: str, change: Callable[[Array], Array]) -> Faults:
    def made(each: Weights) -> Weights:
        return {**each, name: np.ascontiguousarray(change(each[name].copy())).astype(np.float32)}

    return Faults(weights=made)


def _one(array: Array) -> Array:
    array[0, 2, 1, 1] += 0.05
    return array


def _scaled(channel: int, by: float) -> Callable[[Array], Array]:
    def made(array: Array) -> Array:
        array[channel] *= by
        return array

    return made


@dataclass(frozen=True)
class Planted:
    fault: Faults
    layer: str
    told: str  # what is said has to have it
    told_folded: str = ""  # where the file has folded and fused
    layer_folded: str = ""


PLANTED = {
    "epsilon of the first norm": Planted(Faults(epsilon={"1": 1e-3}), "features.1", "epsilon 0.001, wanted is 1e-05"),
    "epsilon of the second": Planted(Faults(epsilon={"4": 1e-2}), "features.4", "epsilon 0.01, wanted is 1e-05"),
    "mean of a norm": Planted(
        _changed("4.mean", lambda w: w + 0.1), "features.4", "mean", "batch norm adds something else to"
    ),
    "scale of a norm": Planted(
        _changed("1.weight", _scaled(2, 1.5)), "features.1", "weight", "batch norm multiplies 1 of 4 channels otherwise"
    ),
    "kernels permuted": Planted(
        _changed("0.weight", lambda w: w[[0, 2, 1, 3]]), "features.0", "has axis 0 in another order: place 1", "off by"
    ),
    "one weight": Planted(_changed("3.weight", _one), "features.3", "in 1 of 216 values"),
    "a kernel scaled": Planted(
        _changed("3.weight", _scaled(4, 2.0)), "features.3", "is 2 times the wanted one at place 4 of axis 0"
    ),
    "padding on the wrong side": Planted(
        Faults(pads=(0, 2)), "features.3", "padding ((0, 0)", "padding ((0, 2), (0, 2)), wanted is ((1, 1), (1, 1))"
    ),
    "dilation": Planted(Faults(dilation=2, pads=(2, 2)), "features.3", "dilation (2, 2), wanted is (1, 1)"),
    "a relu missing": Planted(Faults(relu=False), "features.5", "relu is missing"),
    "flattened channels last": Planted(Faults(channels_last=True), "hidden", "another order of the same values"),
    "columns reversed": Planted(
        _changed("hidden.weight", lambda w: w[:, ::-1]), "hidden", "has axis 1 in another order: place 0"
    ),
    "a bias": Planted(_changed("hidden.bias", lambda b: b + 0.01), "hidden", "off by up to 0.01 in 8 of 8 values"),
    "gelu by tanh": Planted(Faults(gelu="tanh"), "act", "approximate tanh, wanted is none"),
    "a matrix transposed": Planted(_changed("mix.weight", lambda w: w.T), "mix", "the weight is transposed"),
    "weights of another layer": Planted(
        _changed("mix.bias", lambda b: weights()["hidden.bias"]), "mix", "is that of 'hidden.bias'"
    ),
    "another activation": Planted(Faults(mixed=lambda x: np.maximum(x, 0)), "mixed", "is a relu, wanted is"),
    "a head twice as great": Planted(_changed("head.weight", lambda w: 2 * w), "head", "is 2 times the wanted one"),
    "softmax over the batch": Planted(
        Faults(softmax_axis=0), "probs", "axis 0, wanted is 1", "is a softmax over axis 0"
    ),
    "softmax twice": Planted(Faults(softmaxes=2), "probs", "softmax is applied once more"),
    "another input": Planted(Faults(scale=2.0), "features.0", "its input is prepared otherwise"),
}


@pytest.mark.parametrize(("name", "form"), list(product(PLANTED, FORMS)))
def test_planted_fault_is_named(name: str, form: str) -> None:
    planted = PLANTED[name]
    found = locate(torch_like(images()), FORMS[form](images(), planted.fault))
    first = found.located.first
    assert first is not None, name
    assert not first.ok
    assert first in found.located.matches
    layer = first.one.layer or first.one.name
    told = found.located.said
    assert layer == (planted.layer_folded if form == "tflite" and planted.layer_folded else planted.layer), told
    assert (form == "tflite" and planted.told_folded and planted.told_folded in told) or planted.told in told, told


@pytest.mark.parametrize(("one", "other"), list(product(FORMS, FORMS)))
def test_honest_pair_parts_nowhere(one: str, other: str) -> None:
    found = locate(FORMS[one](images()), FORMS[other](images()))
    assert found.located.first is None
    assert found.located.said == NOWHERE
    assert found.operands is None
    assert len(found.located.matches) >= 9  # image, two folded blocks, flat, three dense layers and what follows each
    assert all(match.ok for match in found.located.matches)


def _eight_bits(by: float = 1.0) -> Faults:
    def rounded(array: Array) -> Array:
        step = np.abs(array).max() / 127
        return np.asarray(np.round(array / step) * step, np.float32)

    def made(each: Weights) -> Weights:
        coarse = {name: rounded(array) if array.ndim > 1 else array for name, array in each.items()}
        return {**coarse, "3.weight": coarse["3.weight"] * np.float32(by)}

    return Faults(weights=made)


def test_eight_bits_are_no_fault_and_a_wrong_scale_among_them_is() -> None:
    reference = torch_like(images())
    honest = locate(reference, tflite_like(images(), _eight_bits()), precision="int8")
    assert honest.located.first is None
    assert len(honest.located.matches) >= 9
    scaled = locate(reference, tflite_like(images(), _eight_bits(1.5)), precision="int8")
    assert "features.3: weight 'weight' is 1.5 times the wanted one" in scaled.located.said


def test_difference_within_what_tensors_are_allowed_is_found_when_outputs_are_held_to_less() -> None:
    slight = _changed("mix.bias", lambda b: b * np.float32(1 + 2e-6))
    one, other = torch_like(images()), torch_like(images(), slight)
    assert locate(one, other).located.first is None
    found = locate(one, other, limits={"probs": 1e-9})
    assert found.located.first is not None
    assert found.located.first.one.layer == "mix"


def test_output_that_agrees_is_not_asked_after() -> None:
    found = locate(torch_like(images()), torch_like(images(), PLANTED["gelu by tanh"].fault), limits={"probs": 1.0})
    assert found.located.first is None


def test_operands_are_what_the_reference_has_there() -> None:
    one = torch_like(images())
    found = locate(one, tflite_like(images(), PLANTED["padding on the wrong side"].fault))
    operands = found.operands
    assert operands is not None
    assert operands.operators == ("p3", "c3")
    relu = next(step.value for step in one.steps if step.name == "relu2")
    assert list(operands.inputs) == ["c0"]
    np.testing.assert_array_equal(operands.inputs["c0"], relu.transpose(0, 2, 3, 1))
    want = next(step.value for step in one.steps if step.name == operands.one.name)
    np.testing.assert_array_equal(operands.expected, want.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("operators", "wanted"),
    [
        ("Conv CONV_2D aten::convolution aten.conv2d.default Conv2D DEPTHWISE_CONV_2D", "convolution"),
        ("BatchNormalization aten::batch_norm FusedBatchNormV3", "batch norm"),
        ("Gemm MatMul FULLY_CONNECTED aten::linear aten.addmm.default Dense BatchMatMulV2", "dense"),
        ("AddV2 ADD aten::add_ Add BiasAdd", "add"),
        ("Softmax SOFTMAX aten::softmax aten._softmax.default", "softmax"),
        ("Sigmoid LOGISTIC aten::sigmoid", "sigmoid"),
        ("Reshape RESHAPE aten::view aten.flatten.using_ints Flatten", "reshape"),
        ("Never.Heard", "never"),
    ],
)
def test_operators_of_one_family(operators: str, wanted: str) -> None:
    assert {family(operator) for operator in operators.split()} == {wanted}


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (("x", "features.1"), ("/features/features.1/Conv_output", ""), True),
        (("x", "features.1"), ("model/features_1/batchnorm/add_1:0", ""), True),
        (("x", "encoder.layers.0.norm1"), ("y", "layers.0.norm1"), True),
        (("x", "blocks.0.norm"), ("y", "blocks.1.norm"), False),
        (("x", "features.1"), ("y", "features.11"), False),
        (("conv_1", ""), ("conv.1", ""), True),
        (("conv_1", ""), ("conv_2", ""), False),
    ],
)
def test_names_of_one_place(one: tuple[str, str], other: tuple[str, str], wanted: bool) -> None:
    first, second = (Intermediate(name, np.zeros(1), "Conv", layer=layer) for name, layer in (one, other))
    assert same(first, second) is wanted
    assert same(second, first) is wanted


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0)])
def test_layout_is_found_and_undone(axes: tuple[int, ...]) -> None:
    one = np.random.default_rng(1).standard_normal((2, 3, 4, 5))
    found = equal(one, one.transpose(axes), 0.0)
    assert found is not None
    np.testing.assert_array_equal(found[0].of(one), one.transpose(axes))
    np.testing.assert_array_equal(found[0].back(one.transpose(axes), one.shape), one)


@pytest.mark.parametrize("shape", [(2, 60), (2, 1, 3, 20), (120,), (2, 3, 4, 5, 1)])
def test_layout_is_found_in_another_shape(shape: tuple[int, ...]) -> None:
    one = np.random.default_rng(1).standard_normal((2, 3, 4, 5))
    assert equal(one, one.reshape(shape), 0.0) is not None
    turned = one.transpose(0, 2, 3, 1)
    assert equal(one, turned.reshape(shape) if len(shape) < 4 else turned, 0.0) is not None
    assert equal(one, one.reshape(shape) + 1, 0.5) is None


def _window(operator: str, weight: tuple[int, ...], out: tuple[int, ...], **attributes: object) -> dict[str, object]:
    node = Intermediate("out", np.zeros(out), operator, ("x", "w"), attributes, {"w": np.zeros(weight, np.float32)})
    first = operator in ("Conv", "aten::conv2d")
    inputs = {"x": np.zeros((1, 3, 8, 8) if first else (1, 8, 8, 3), np.float32)}
    return normal(Graph(Seen("net", inputs, {}, (node,))), "out")


def test_one_convolution_is_written_in_five_ways() -> None:
    found = [
        _window("Conv", (4, 3, 3, 3), (1, 4, 4, 4), strides=(2, 2), pads=(0, 0, 1, 1), dilations=(1, 1), group=1),
        _window("Conv", (4, 3, 3, 3), (1, 4, 4, 4), strides=(2, 2), auto_pad="SAME_UPPER", dilations=(1, 1), group=1),
        _window("Conv2D", (3, 3, 3, 4), (1, 4, 4, 4), strides=(1, 2, 2, 1), padding="SAME", dilations=(1, 1, 1, 1)),
        _window("Conv2D", (3, 3, 3, 4), (1, 4, 4, 4), strides=(2, 2), padding="same", dilation_rate=(1, 1), data_format="channels_last"),
        _window("CONV_2D", (4, 3, 3, 3), (1, 4, 4, 4), strideH=2, strideW=2, padding="SAME", dilationHFactor=1, dilationWFactor=1),
    ]  # fmt: skip
    assert all(each["padding"] == ((0, 1), (0, 1)) for each in found)
    assert all(each["stride"] == (2, 2) and each["kernel"] == (3, 3) and each["dilation"] == (1, 1) for each in found)
    torch = _window(
        "aten::conv2d", (4, 3, 3, 3), (1, 4, 4, 4), stride=[2, 2], padding=[1, 1], dilation=[1, 1], groups=1
    )
    assert torch["padding"] == ((1, 1), (1, 1))


def _masked(name: str, scores: Array, by: float = 1.0) -> Seen:
    hidden = np.where(np.tri(6, dtype=bool), scores * np.float32(by), -np.inf).astype(np.float32)
    raised = np.exp(hidden - hidden.max(axis=-1, keepdims=True))
    probs = np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)
    steps = (
        Intermediate(f"{name}_masked", hidden, "Where", ("scores",)),
        Intermediate("probs", probs, "Softmax", (f"{name}_masked",), {"axis": -1}),
    )
    return Seen(name, {"scores": scores}, {"probs": probs}, steps)


def test_infinite_masks_are_matched_and_parted() -> None:
    scores = np.random.default_rng(4).standard_normal((2, 6, 6)).astype(np.float32)
    honest = locate(_masked("one", scores), _masked("other", scores)).located
    assert honest.first is None
    assert len(honest.matches) == 3
    parts = locate(_masked("one", scores), _masked("other", scores, 0.5)).located
    assert parts.first is not None
    assert parts.first.one.name == "one_masked"
