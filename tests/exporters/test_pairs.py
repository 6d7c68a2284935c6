"""Every source × every format, at several batch sizes, compared with the source model by plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from export_sources import MODELS, formats_of

from deploy_core.artifact import digest_of
from deploy_core.predictor import HasFloat64, Predictor
from deploy_exporters.export import OpenedSource
from deploy_exporters.formats import adopt, hosted
from deploy_exporters.routes import ROUTES, STEPS
from deploy_exporters.worker import Workers

NO_FLOAT64 = ("savedmodel", "tflite", "mar")
PAIRS = [(model, name) for model in MODELS for name in formats_of(model)]
SIGNATURES = {
    "torch-simple": "x:float32[batch,6] -> output:float32[batch,1]",
    "torch-cnn": "image:float32[batch,3,16,16] -> output:float32[batch,4]",
    "torch-heads": "tokens:int64[batch,7] weight:float32[batch,1] -> scores:float32[batch,4] pooled:float32[batch,5]",
    "keras-simple": "x:float32[batch,6] -> y:float32[batch,1]",
    "keras-cnn": "input image.1:float32[batch,16,16,3] -> class-scores:float32[batch,4]",
    "keras-heads": "tokens:int32[batch,7] weight:float32[batch,1] -> scores:float32[batch,4] pooled:float32[batch,5]",
    "torchscript-heads": "tokens:int64[batch,7] weight:float32[batch,1] -> output_0:float32[batch,4] output_1:float32[batch,5]",
    "onnx-heads": "tokens:int64[batch,7] weight:float32[batch,1] -> scores:float32[batch,4] pooled:float32[batch,5]",
    "savedmodel-heads": "tokens:int32[batch,7] weight:float32[batch,1] -> pooled:float32[batch,5] scores:float32[batch,4]",
    "tflite-cnn": "image:float32[batch,3,16,16] -> output:float32[batch,4]",
    "mar-cnn": "image:float32[batch,3,16,16] -> output:float32[batch,4]",
}


def assert_same(predictor: Predictor, exported: Any) -> None:
    for rows, answer in exported.answers.items():
        got = predictor.predict(answer.inputs)
        assert list(got) == list(answer.outputs)
        for name, want in answer.outputs.items():
            assert got[name].dtype == want.dtype
            assert got[name].shape == want.shape, f"{name} at batch {rows}"
            np.testing.assert_allclose(got[name], want, rtol=1e-5, atol=2e-6 * max(1.0, float(np.abs(want).max())))


@pytest.mark.parametrize(("model", "format_"), PAIRS)
def test_a_file_predicts_what_its_source_does(workers: Workers, exported: Any, model: str, format_: str) -> None:
    result = exported(model)
    artifact = result.artifacts[format_]
    predictor = hosted(workers, artifact)
    try:
        assert_same(predictor, result)
    finally:
        predictor.close()
    assert artifact.digest == digest_of(artifact.path)


@pytest.mark.parametrize("model", MODELS)
def test_the_reference_predicts_what_the_source_does(workers: Workers, exported: Any, model: str) -> None:
    result = exported(model)
    predictor = hosted(workers, result.reference)
    try:
        assert_same(predictor, result)
    finally:
        predictor.close()


@pytest.mark.parametrize("model", MODELS)
def test_names_dtypes_and_layout_are_kept(exported: Any, model: str) -> None:
    for artifact in exported(model).artifacts.values():
        inputs, outputs = (" ".join(map(str, s)) for s in (artifact.signature.inputs, artifact.signature.outputs))
        assert f"{inputs} -> {outputs}" == SIGNATURES[model]


@pytest.mark.parametrize(("model", "format_"), [pair for pair in PAIRS if pair[0] in ("torch-heads", "keras-heads")])
def test_a_file_tells_its_own_signature(workers: Workers, exported: Any, model: str, format_: str) -> None:
    artifact = exported(model).artifacts[format_]
    adopted = adopt(workers, artifact.path)
    assert adopted.format == format_
    # SavedModel and TFLite keep no order.
    assert set(adopted.signature.inputs) == set(artifact.signature.inputs)
    told = {(spec.name, spec.dtype, len(spec.shape)) for spec in adopted.signature.outputs}
    assert told == {(spec.name, spec.dtype, len(spec.shape)) for spec in artifact.signature.outputs}


@pytest.mark.parametrize("model", [model for model in MODELS if not model.startswith(NO_FLOAT64)])
def test_float64_shows_the_rounding_of_the_source(exported: Any, model: str) -> None:
    for answer in exported(model).answers.values():
        for name, exact in answer.float64.items():
            assert exact.dtype == np.float64
            noise = np.abs(exact - answer.outputs[name]).max()
            assert noise < 1e-5 * max(1.0, float(np.abs(exact).max()))
    assert any((a.float64[n] != a.outputs[n]).any() for a in exported(model).answers.values() for n in a.outputs)


@pytest.mark.parametrize("model", MODELS)
def test_each_step_runs_once_and_is_recorded(exported: Any, model: str) -> None:
    result = exported(model)
    assert len(result.steps) == len(set(result.steps))
    for format_, artifact in result.artifacts.items():
        assert tuple(step.partition(" ")[0] for step in artifact.route) == ROUTES[result.kind, format_]
        assert set(artifact.tools) == {p for step in ROUTES[result.kind, format_] for p in STEPS[step].packages}


def test_what_was_not_asked_for_is_gone(exported: Any) -> None:
    files = exported("keras-simple").reference.path.parents[1]
    assert sorted(path.name for path in files.iterdir()) == sorted([*formats_of("keras-simple"), "reference"])


def test_an_opened_source_is_a_predictor_with_float64() -> None:
    assert issubclass(OpenedSource, HasFloat64)


def test_the_training_id_follows_the_weights(exported: Any) -> None:
    ids = {exported(model).description["training_id"] for model in MODELS}
    assert len(ids) == len(MODELS)
    assert all(len(str(each)) == 64 for each in ids)
