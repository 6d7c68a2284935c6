"""Derivatives of sources and files, against differences of what they predict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deploy_core.errors import UsageError
from deploy_core.predictor import HasFloat64, HasGradient, Predictor
from deploy_core.signature import Tensors
from deploy_exporters.formats import hosted
from deploy_exporters.worker import Workers

STEP = 1e-3


def _differences(predictor: Predictor, inputs: Tensors, weights: Tensors, name: str) -> np.ndarray:
    """d(Σ weights · outputs) / d(input) by two predictions for each element, in float64 where that can be had."""
    ask = predictor.predict_float64 if isinstance(predictor, HasFloat64) else predictor.predict
    found = np.zeros(inputs[name].shape)
    for place in np.ndindex(*found.shape):
        ends = []
        for sign in (1, -1):
            moved = inputs[name].copy()
            moved[place] += sign * STEP
            answer = ask({**inputs, name: moved})
            ends.append((moved[place], sum((answer[n].astype(np.float64) * w).sum() for n, w in weights.items())))
        (right, above), (left, below) = ends
        found[place] = (above - below) / (float(right) - float(left))
    return found


@pytest.mark.parametrize(
    ("model", "format_"),
    [
        ("torch-simple", "torchscript"),
        ("torch-simple", "pt2"),
        ("torch-heads", "torchscript"),
        ("keras-simple", "savedmodel"),
        ("keras-simple", "reference"),
    ],
)
def test_a_gradient_is_that_of_what_is_predicted(exported: Any, workers: Workers, model: str, format_: str) -> None:
    result = exported(model)
    artifact = result.reference if format_ == "reference" else result.artifacts[format_]
    answer = result.answers[3]
    random = np.random.default_rng(0)
    weights = {n: random.normal(size=array.shape).astype(array.dtype) for n, array in answer.outputs.items()}
    predictor = hosted(workers, artifact)
    try:
        predictor.predict(answer.inputs)  # what an answer leaves behind must not be in the way
        assert isinstance(predictor, HasGradient)
        found = predictor.gradient(answer.inputs, weights)
        floats = [name for name, array in answer.inputs.items() if array.dtype.kind == "f"]
        assert sorted(found) == sorted(floats), "no other input has a derivative"
        for name in floats:
            assert found[name].dtype == answer.inputs[name].dtype
            np.testing.assert_allclose(
                found[name], _differences(predictor, answer.inputs, weights, name), rtol=0.02, atol=0.02
            )
            assert np.abs(found[name]).max() > 0.1, "of a model that does something"
    finally:
        predictor.close()


def test_only_what_can_be_differentiated_says_so(exported: Any, workers: Workers) -> None:
    for format_ in ("onnx", "tflite"):
        predictor = hosted(workers, exported("torch-simple").artifacts[format_])
        try:
            assert not isinstance(predictor, HasGradient)
        finally:
            predictor.close()


def test_a_scripted_file_computes_in_float64_too(exported: Any, workers: Workers) -> None:
    result = exported("torch-simple")
    predictor = hosted(workers, result.artifacts["torchscript"])
    try:
        assert isinstance(predictor, HasFloat64)
        answer = result.answers[7]
        for name, array in predictor.predict_float64(answer.inputs).items():
            assert array.dtype == np.float64
            np.testing.assert_allclose(array, answer.float64[name], rtol=1e-12)
    finally:
        predictor.close()


def test_a_model_without_a_derivative_is_told(exported: Any, workers: Workers) -> None:
    result = exported("torch-simple")
    predictor = hosted(workers, result.artifacts["torchscript"])
    try:
        inputs = result.answers[2].inputs
        with pytest.raises(UsageError, match="no derivative"):
            predictor.gradient(inputs, {})
    finally:
        predictor.close()
