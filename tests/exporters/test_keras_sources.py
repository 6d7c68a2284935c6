"""Keras models as their users have them: with code of their own, odd examples, odd structures."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from deploy_core.errors import DeployError, ExportError, UsageError
from deploy_core.signature import TensorSpec
from deploy_exporters import sources
from deploy_exporters.export import Order, export, open_source
from deploy_exporters.formats import hosted
from deploy_exporters.worker import Workers

KERAS = Path(__file__).parent / "keras_models.py"


@pytest.fixture(scope="module")
def opener(tmp_path_factory: pytest.TempPathFactory) -> Generator[Workers]:
    with Workers(tmp_path_factory.mktemp("logs")) as workers:
        for kind in ("source", "keras_torch"):  # at once, so that no test seems to leave them behind
            workers.call(kind, "os:getpid")
        yield workers


def test_a_model_with_code_of_its_own_keeps_a_reference_that_needs_none(
    opener: Workers, workers: Workers, tmp_path: Path
) -> None:
    source = open_source(opener, sources.find(f"{KERAS}:own_code"))
    assert source.description["own_code"] == ["Twice", "lambda"]
    written = export(opener, source, Order(["onnx"], tmp_path, "net"))
    assert written.reference.format == "savedmodel"
    inputs = {"x": np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)}
    for artifact in (*written.artifacts, written.reference):
        predictor = hosted(workers, artifact)  # workers that never saw the code
        np.testing.assert_allclose(predictor.predict(inputs)["y"], source.predict(inputs)["y"], rtol=1e-5)
        predictor.close()
    with pytest.raises(ExportError, match=r"on its torch backend cannot read the model: .* needs the class Twice"):
        export(opener, source, Order(["torchscript"], tmp_path / "torch", "net"))


def test_texts_go_in_as_they_are(opener: Workers, workers: Workers, tmp_path: Path) -> None:
    source = open_source(opener, sources.find(f"{KERAS}:words"))
    assert source.signature.inputs == (TensorSpec.parse("text:string[batch,1]"),)
    written = export(opener, source, Order(["savedmodel"], tmp_path, "net"))
    inputs = {"text": np.array([["bad good"], [b"tr\xc3\xa8s bad"], ["unheard of"]], object)}
    want = source.predict(inputs)["scores"]
    assert len(np.unique(want, axis=0)) == 3
    predictor = hosted(workers, written.artifacts[0])
    np.testing.assert_allclose(predictor.predict(inputs)["scores"], want, rtol=1e-5)
    predictor.close()


def test_convolutions_of_every_kind_are_operators_and_their_weights_lie_once(
    opener: Workers, workers: Workers, tmp_path: Path
) -> None:
    source = open_source(opener, sources.find(f"{KERAS}:grouped"))
    written = export(opener, source, Order(["onnx", "pt2", "executorch"], tmp_path, "net")).artifacts
    inputs = {"image": np.random.default_rng(0).standard_normal((3, 8, 8, 4)).astype(np.float32)}
    for artifact in written:
        predictor = hosted(workers, artifact)
        np.testing.assert_allclose(predictor.predict(inputs)["scores"], source.predict(inputs)["scores"], rtol=1e-5)
        predictor.close()
        assert artifact.path.stat().st_size < 1.3 * 4 * source.description["parameters"]
    program = next(each.path for each in written if each.name == "executorch").read_bytes()
    assert b"XnnpackBackend" in program
    assert b"aten::convolution" not in program


def test_the_same_model_gives_the_same_onnx_however_many_went_before(opener: Workers, tmp_path: Path) -> None:
    source = open_source(opener, sources.find(f"{KERAS}:heads"))
    exports = (export(opener, source, Order(["onnx"], tmp_path / name, "net")).artifacts for name in ("one", "two"))
    (first,), (second,) = exports
    assert first.path.read_bytes() == second.path.read_bytes()


def test_the_options_of_onnx_hold_from_keras_too(opener: Workers, tmp_path: Path) -> None:
    source = open_source(opener, sources.find(f"{KERAS}:heads"))
    options = {"opset": "14", "external_data": "always"}
    (artifact,) = export(opener, source, Order(["onnx"], tmp_path, "net", {"onnx": options})).artifacts
    assert sorted(each.name for each in artifact.path.iterdir()) == ["model.onnx", "model.onnx.data"]
    written = onnx.load(artifact.path / "model.onnx", load_external_data=False)
    assert [each.version for each in written.opset_import if not each.domain] == [14]
    with pytest.raises(UsageError, match=r"onnx\.opset is '20'") as caught:
        export(opener, source, Order(["onnx"], tmp_path / "later", "net", {"onnx": {"opset": "20"}}))
    assert "from 13 to 18" in caught.value.hint


X = np.linspace(-1, 1, 18, dtype=np.float32).reshape(3, 6)


@pytest.mark.parametrize(
    ("model", "example", "want"),
    [
        ("simple", X, {"x": X}),
        ("simple", (X,), {"x": X}),
        ("simple", X.tolist(), {"x": X}),
        ("simple", X[:1], {"x": np.concatenate([X[:1], X[:1]])}),
        ("two", (X, X + 1), {"a": X, "b": X + 1}),
        ("two", [X, X + 1], {"a": X, "b": X + 1}),
    ],
)
def test_example_inputs_by_position(opener: Workers, model: str, example: Any, want: dict[str, np.ndarray]) -> None:
    got = open_source(opener, sources.find(f"{KERAS}:{model}"), example=example).example
    assert list(got) == list(want)
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array)


@pytest.mark.parametrize(
    ("model", "options", "code", "words"),
    [
        ("simple", {"example": (X, X)}, 2, "2 example inputs are given, the model takes 1"),
        ("two", {"example": (X, X, X)}, 2, "3 example inputs are given, the model takes 2"),
        ("two", {"example": X}, 2, "1 example inputs are given, the model takes 2"),
        ("nested", {}, 2, "nests its outputs"),
        ("called", {}, 3, r"is frozen: it takes keras_tensor_\d+:float32\[5,6\]"),
        ("heads", {"outputs": ("a", "a")}, 2, "two outputs would have one name"),
    ],
)
def test_what_cannot_be_meant(opener: Workers, model: str, options: dict[str, Any], code: int, words: str) -> None:
    with pytest.raises(DeployError, match=words) as caught:
        open_source(opener, sources.find(f"{KERAS}:{model}"), **options)
    assert caught.value.exit_code == code
    assert caught.value.hint


def test_a_registered_class_reaches_torch(opener: Workers, workers: Workers, tmp_path: Path) -> None:
    source = open_source(opener, sources.find(f"{KERAS}:registered"))
    assert [str(spec) for spec in source.signature.inputs] == ["inputs:float32[batch,6]"]
    assert source.predict_float64(source.example)["output"].dtype == np.float64
    written = export(opener, source, Order(["torchscript"], tmp_path, "net"))
    predictor = hosted(workers, written.artifacts[0])
    for rows in (1, 2, 7):
        inputs = {"inputs": np.random.default_rng(rows).standard_normal((rows, 6)).astype(np.float32)}
        np.testing.assert_allclose(predictor.predict(inputs)["output"], source.predict(inputs)["output"], atol=1e-6)
    predictor.close()


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("never_built", {"inputs": (TensorSpec.parse("inputs:float32[batch,6]"),)}),
        ("never_built", {"example": {"inputs": X}}),
        ("unregistered", {"example": {"a": X, "b": X[:, :3]}}),
        ("no_config", {}),
    ],
)
def test_classes_that_only_the_example_builds(
    opener: Workers, workers: Workers, tmp_path: Path, model: str, options: dict[str, Any]
) -> None:
    source = open_source(opener, sources.find(f"{KERAS}:{model}"), **options)
    written = export(opener, source, Order(["savedmodel"], tmp_path, "net"))
    predictor = hosted(workers, written.artifacts[0])
    inputs = {
        spec.name: np.random.default_rng(1).standard_normal((5, spec.shape[1])).astype(np.float32)
        for spec in source.signature.inputs
    }
    for name, want in source.predict(inputs).items():
        np.testing.assert_allclose(predictor.predict(inputs)[name], want, atol=1e-6)
    predictor.close()


REGISTERED = r"where its class is registered \(keras.saving.register_keras_serializable\) and its module imports"


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("unregistered", {"example": {"a": X, "b": X[:, :3]}}, f"needs the class Unregistered.*{REGISTERED}"),
        ("no_config", {}, f"the class NoConfig cannot be written as .keras: .*{REGISTERED}"),
        ("of_tensorflow", {}, "the model's own code calls TensorFlow, which knows no torch tensors"),
    ],
)
def test_what_torch_cannot_have(
    opener: Workers, tmp_path: Path, model: str, options: dict[str, Any], words: str
) -> None:
    source = open_source(opener, sources.find(f"{KERAS}:{model}"), **options)
    with pytest.raises(ExportError, match=words) as caught:
        export(opener, source, Order(["torchscript"], tmp_path, "net"))
    assert caught.value.hint


def test_models_of_classes_are_handed_over(tmp_path: Path) -> None:
    code = f"""
import pathlib, pickle
import numpy as np, keras
from deploy_exporters.sources import handover
class Own(keras.Model):
    def __init__(self, width=2, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(width)
    def call(self, inputs):
        return self.dense(inputs)
class NoConfig(keras.Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer
    def call(self, inputs):
        return self.layer(inputs)
rows = np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 6)
told = []
for name, model, example in (("own", Own(), rows), ("no", NoConfig(keras.layers.Dense(2)), rows)):
    folder = pathlib.Path({str(tmp_path)!r}) / name
    told.append((handover.hand_over(model, folder, example), rows, np.asarray(model(rows))))
pathlib.Path({str(tmp_path / "told.pkl")!r}).write_bytes(pickle.dumps(told))
"""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", code], check=True, env=quiet, capture_output=True)
    notes = []
    with Workers(tmp_path / "logs") as workers:
        for source, rows, want in pickle.loads((tmp_path / "told.pkl").read_bytes()):
            opened = open_source(workers, source)
            notes.append((opened.kind, source.note.split(" (")[0]))
            np.testing.assert_allclose(next(iter(opened.predict({"inputs": rows}).values())), want, atol=1e-6)
    assert notes == [("keras", "handed over as .keras"), ("savedmodel", "handed over as a SavedModel")]
