"""Looking into Keras models, SavedModels and .tflite files, against the layers themselves and plain numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers

from deploy_core.errors import UsageError
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array
from deploy_exporters.alone import tflite as alone_tflite
from deploy_exporters.alone import tflite_answer
from deploy_exporters.formats import savedmodel, tflite
from deploy_exporters.inside import keras as inside_keras
from deploy_exporters.inside import savedmodel as inside_savedmodel
from deploy_exporters.inside import tflite as inside_tflite
from deploy_exporters.sources import Given
from deploy_exporters.sources.keras import KerasSource, open_keras

EPSILON = 0.03


def _cnn() -> keras.Model:
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv")(image)
    x = layers.BatchNormalization(epsilon=EPSILON, name="norm")(x)
    body = keras.Sequential([layers.Dense(5, name="inner"), layers.Activation("gelu", name="gelu")], name="body")
    x = body(layers.GlobalAveragePooling2D(name="mean")(keras.ops.relu(x)))
    return keras.Model(image, layers.Dense(2, name="scores")(x), name="net")


def _reader() -> keras.Model:
    tokens = keras.Input((5,), dtype="int32", name="tokens")
    x = layers.LayerNormalization(epsilon=EPSILON, name="norm")(layers.Embedding(11, 8, name="words")(tokens))
    x = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    states = layers.LSTM(6, return_sequences=True, name="memory")(x)
    outputs = {"last": layers.Dense(2, name="last")(states[:, -1]), "states": states}
    return keras.Model(tokens, outputs, name="reader")


class Own(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Dense(3, activation="relu", name="first")

    def call(self, x: keras.KerasTensor, training: bool = False) -> keras.KerasTensor:
        return self.first(x) + self.first(x * 2)


def _opened(model: keras.Model, given: Given | None = None) -> KerasSource:
    random = np.random.default_rng(5)
    if model.built:
        model.set_weights(
            [random.uniform(0.1, 0.9, each.shape) - 0.3 * (each.ndim > 1) for each in model.get_weights()]
        )
    return open_keras(model, given or Given())


@pytest.fixture(scope="module")
def cnn() -> KerasSource:
    return _opened(_cnn())


@pytest.fixture(scope="module")
def reader() -> KerasSource:
    return _opened(_reader())


@pytest.fixture(scope="module")
def folder(cnn: KerasSource, reader: KerasSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two models as SavedModels, written by Keras itself."""
    made = tmp_path_factory.mktemp("savedmodels")
    for source in (cnn, reader):
        (given,) = source.signature.inputs
        spec = tf.TensorSpec((None, *given.shape[1:]), given.dtype, name=given.name)
        names = [each.name for each in source.signature.outputs]
        archive = keras.export.ExportArchive()
        archive.track(source.model)
        archive.add_endpoint("serving_default", _named(source, given.name, names), input_signature=[spec])
        archive.write_out(str(made / source.model.name), verbose=False)
    return made


def _named(source: KerasSource, given: str, names: Sequence[str]):  # noqa: ANN202
    return lambda tensor: dict(zip(names, source.call({given: tensor}), strict=True))


def _by_layer(found: Sequence[Intermediate]) -> dict[str, Intermediate]:
    return {each.layer: each for each in found}


def _assert_ends_with(found: Sequence[Intermediate], want: Mapping[str, Array]) -> None:
    last = {each.name: each.value for each in found[-len(want) :]}
    assert set(last) == set(want)
    for name, array in want.items():
        np.testing.assert_allclose(last[name], array, rtol=1e-5, atol=1e-6)


def _normed(x: Array, weights: Sequence[Array]) -> Array:
    gamma, beta, mean, variance = weights
    return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def test_keras_layers_have_their_values_attributes_and_weights(cnn: KerasSource) -> None:
    found = cnn.intermediates(cnn.example)
    assert [each.layer for each in found] == [
        "conv",
        "norm",
        "relu",
        "mean",
        "body/inner",
        "body/gelu",
        "body",
        "scores",
    ]
    by_layer = _by_layer(found)
    norm = by_layer["norm"]
    assert (norm.operator, norm.attributes["epsilon"]) == ("BatchNormalization", EPSILON)
    assert norm.inputs == ("conv", "norm/gamma", "norm/beta", "norm/moving_mean", "norm/moving_variance")
    np.testing.assert_allclose(norm.value, _normed(by_layer["conv"].value, list(norm.weights.values())), rtol=1e-5)
    np.testing.assert_array_equal(by_layer["relu"].value, np.maximum(norm.value, 0))
    inner = by_layer["body/inner"]
    kernel, bias = inner.weights.values()
    np.testing.assert_allclose(inner.value, by_layer["mean"].value @ kernel + bias, rtol=1e-5, atol=1e-6)
    assert by_layer["conv"].attributes["activation"] == "relu"
    assert not by_layer["body"].weights  # its layers have shown theirs
    _assert_ends_with(found, cnn.predict(cnn.example))


def test_a_recurrent_layer_is_one_and_attention_shows_its_parts(reader: KerasSource) -> None:
    found = reader.intermediates(reader.example)
    by_layer = _by_layer(found)
    assert {"words", "norm", "attention/query", "attention", "memory"} <= set(by_layer)
    assert not any("cell" in layer for layer in by_layer)
    assert len(by_layer["memory"].weights) == 3
    assert by_layer["norm"].attributes["epsilon"] == EPSILON
    words = by_layer["words"].weights["words/embeddings"]
    np.testing.assert_array_equal(by_layer["words"].value, words[reader.example["tokens"]])
    _assert_ends_with(found, reader.predict(reader.example))


def test_a_layer_that_is_called_twice_is_two_tensors_and_code_of_ones_own_is_the_models() -> None:
    model = Own()
    model(np.ones((2, 4), np.float32))
    source = _opened(model)
    found = source.intermediates(source.example)
    assert [each.name for each in found][:2] == ["first", "first (2)"]
    assert found[-1].operator == "Own"
    np.testing.assert_allclose(found[-1].value, found[0].value + found[1].value)


def test_keras_is_whole_again_afterwards(cnn: KerasSource) -> None:
    before = keras.Layer.__call__, keras.Operation.__call__
    with pytest.raises(UsageError, match="take more than"):
        inside_keras.intermediates(cnn.model, {}, lambda: {"y": cnn.model(cnn.example["image"])}, most_bytes=100)
    assert (keras.Layer.__call__, keras.Operation.__call__) == before


def test_a_savedmodel_has_what_keras_has_at_the_end_of_each_layer(folder: Path, cnn: KerasSource) -> None:
    found = savedmodel.load(folder / "net", cnn.signature).intermediates(cnn.example)
    want, got = _by_layer(cnn.intermediates(cnn.example)), _by_layer(found)
    for layer in ("conv", "norm", "mean", "body/inner", "scores"):
        np.testing.assert_allclose(got[layer].value, want[layer].value, rtol=1e-5, atol=1e-6, err_msg=layer)
    assert got["norm"].attributes["epsilon"] == pytest.approx(EPSILON)
    (conv,) = (each for each in found if each.operator == "Conv2D")
    assert conv.attributes["strides"] == (1, 2, 2, 1)
    assert conv.inputs == ("image", "conv/kernel")
    np.testing.assert_array_equal(conv.weights["conv/kernel"], want["conv"].weights["conv/kernel"])
    _assert_ends_with(found, cnn.predict(cnn.example))


def test_a_loop_of_a_savedmodel_is_one_operator(folder: Path, reader: KerasSource) -> None:
    loaded = savedmodel.load(folder / "reader", reader.signature)
    found = loaded.intermediates(reader.example)
    want, got = _by_layer(reader.intermediates(reader.example)), _by_layer(found)
    for layer in ("words", "norm", "attention/query", "attention/attention_output", "last"):
        np.testing.assert_allclose(got[layer].value, want[layer].value, rtol=1e-4, atol=1e-5, err_msg=layer)
    assert {each.operator for each in found if each.layer == "memory"} >= {"While", "Transpose"}
    # What comes out of a loop goes through a list, which is no array: it is told of what the loop takes.
    (stack,) = (each for each in found if each.operator == "TensorListStack")
    assert any(name.endswith("recurrent_kernel") for name in stack.weights)
    assert next(each.name for each in found if each.operator == "Transpose" and each.layer == "memory") in stack.inputs
    assert not any("while/" in each.name for each in found)
    _assert_ends_with(found, reader.predict(reader.example))


def test_a_savedmodel_whose_tensors_take_too_much_is_refused(folder: Path, cnn: KerasSource) -> None:
    model = tf.saved_model.load(str(folder / "net"))
    with pytest.raises(UsageError, match="take more than"):
        inside_savedmodel.intermediates(model.signatures["serving_default"], cnn.example, ["scores"], most_bytes=1000)


class Twice(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, name="x")])
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = tf.nn.relu(x)
        return {"again": scores, "scores": scores, "after": scores + 1}


@pytest.mark.parametrize("format_", ["savedmodel", "tflite"])
def test_tensor_that_is_two_outputs_is_told_by_both_names(tmp_path: Path, format_: str) -> None:
    module, x = Twice(), np.float32([[1, -1, 2]])
    tf.saved_model.save(module, str(tmp_path / "net"), {"serving_default": module.serve})
    names = ["scores", "again", "after"]
    if format_ == "tflite":
        path = tmp_path / "net.tflite"
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "net")).convert())
        every = inside_tflite.intermediates(path, {"x": x})
    else:
        model = tf.saved_model.load(str(tmp_path / "net"))
        every = inside_savedmodel.intermediates(model.signatures["serving_default"], {"x": x}, names)
    found = {each.name: each for each in every}
    for name in ("scores", "again"):
        np.testing.assert_array_equal(found[name].value, np.maximum(x, 0))
    assert {found["scores"].operator.lower(), found["again"].operator.lower()} == {"relu", "identity"}
    assert {"scores", "again"} & {*found["after"].inputs}


@pytest.fixture(scope="module")
def quantised(folder: Path, cnn: KerasSource) -> Path:
    path = folder / "int8.tflite"
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "net"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    rows = np.random.default_rng(2).standard_normal((32, 8, 8, 3)).astype(np.float32)
    converter.representative_dataset = lambda: ([row[None]] for row in rows)
    path.write_bytes(converter.convert())
    return path


def test_quantised_tensors_are_told_as_the_numbers_that_they_stand_for(quantised: Path, cnn: KerasSource) -> None:
    rows = {"image": np.random.default_rng(3).standard_normal((2, 8, 8, 3)).astype(np.float32)}
    found = tflite.load(quantised).intermediates(rows)
    want = _by_layer(cnn.intermediates(rows))
    conv = next(each for each in found if each.operator == "CONV_2D")
    scale, zero = conv.attributes["scale"], conv.attributes["zero_point"]
    steps = conv.value / scale + zero
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert conv.layer == "conv"
    np.testing.assert_allclose(conv.value, want["conv"].value, atol=3 * scale)
    assert (conv.attributes["padding"], conv.attributes["strideH"]) == ("SAME", 2)
    kernel = next(array for array in conv.weights.values() if array.ndim == 4)
    own = want["conv"].weights["conv/kernel"].transpose(3, 0, 1, 2)
    np.testing.assert_allclose(kernel, own, atol=float(np.abs(own).max()) / 100)
    _assert_ends_with(found, tflite.load(quantised).predict(rows))


def test_a_tflite_file_tells_the_inputs_of_every_operator(quantised: Path) -> None:
    found = tflite.load(quantised).intermediates({"image": np.zeros((1, 8, 8, 3), np.float32)})
    known = {"image"}
    for each in found:
        assert set(each.inputs) - set(each.weights) <= known, each.name
        known.add(each.name)
    details = Interpreter(model_content=quantised.read_bytes())._get_ops_details()
    assert [each.operator for each in found] == [each["op_name"] for each in details if each["op_name"] != "DELEGATE"]


def test_operator_of_a_file_in_float16_stands_alone_with_its_weights(folder: Path, cnn: KerasSource) -> None:
    path = folder / "float16.tflite"
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "net"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(converter.convert())
    every = {each.name: each for each in inside_tflite.intermediates(path, cnn.example)}
    (conv,) = (each for each in every.values() if each.operator == "CONV_2D")
    values = {name: array for name, array in cnn.example.items() if name in conv.inputs}
    values |= {name: every[name].value for name in conv.inputs if name in every}
    assert set(conv.inputs) == {*values, *conv.weights}
    got = tflite_answer.answer(alone_tflite.part(path, [conv.name], values), values)
    np.testing.assert_allclose(got, conv.value, rtol=1e-5, atol=1e-6)
    weight = next(array for array in conv.weights.values() if array.ndim == 4)
    np.testing.assert_array_equal(weight, weight.astype(np.float16).astype(np.float32))


def test_a_result_of_a_tflite_loop_that_nobody_takes_is_left_out(tmp_path: Path) -> None:
    """LiteRT gives it no memory."""

    @tf.function(input_signature=[tf.TensorSpec((4, 3), tf.float32, name="x")])
    def added(x: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = tf.transpose(x)
        _, y, _ = tf.while_loop(
            lambda i, y, rows: i < 3, lambda i, y, rows: (i + 1, y + tf.gather(rows, i), rows), (0, tf.zeros(4), rows)
        )
        return {"y": y}

    path = tmp_path / "loop.tflite"
    converter = tf.lite.TFLiteConverter.from_concrete_functions([added.get_concrete_function()], tf.Module())
    path.write_bytes(converter.convert())
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    found = inside_tflite.intermediates(path, {"x": x})
    assert [(each.operator, each.value.shape) for each in found] == [
        ("TRANSPOSE", (3, 4)),
        ("WHILE", ()),
        ("WHILE", (4,)),
    ]
    np.testing.assert_array_equal(found[-1].value, x.sum(1))
