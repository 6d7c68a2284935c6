"""Looking into every format that shows its inside, in a worker, against what torch's own modules answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from runpy import run_path
from typing import Any

import numpy as np
import pytest
import torch
from export_sources import HERE

from deploy_core.predictor import HasIntermediates, Intermediate
from deploy_core.signature import Array
from deploy_exporters.formats import hosted
from deploy_exporters.worker import Workers

SEEN = ("torchscript", "mar", "onnx", "savedmodel", "tflite", "pt2", "openvino")
WITHOUT_LAYERS = ("openvino",)  # its file has the names of weights alone
MODELS = ("torch-cnn", "torch-heads", "keras-cnn", "keras-heads")


def _look(workers: Workers, result: Any, format_: str, rows: int = 3) -> Sequence[Intermediate]:
    predictor = hosted(workers, result.artifacts[format_])
    try:
        assert isinstance(predictor, HasIntermediates)
        return predictor.intermediates(result.answers[rows].inputs)
    finally:
        predictor.close()


@pytest.fixture(scope="module")
def cnn() -> torch.nn.Module:
    model: torch.nn.Module = run_path(str(HERE / "torch_models.py"))["cnn"]
    return model.eval()


def _answers_of_modules(cnn: torch.nn.Module, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Give what each module of the CNN answers, by its path."""
    seen: dict[str, Array] = {}
    hooks = [
        module.register_forward_hook(
            lambda module, given, answer, path=path: seen.update({path: answer.numpy().copy()})
        )
        for path, module in cnn.named_modules()
        if path
    ]
    with torch.no_grad():
        cnn(*(torch.from_numpy(array) for array in inputs.values()))
    for hook in hooks:
        hook.remove()
    return seen


def _same(got: Array, want: Array) -> bool:
    """Tell whether an array is another one, in whatever order of its axes."""
    if got.ndim != want.ndim:
        return False
    moved = (want.transpose(0, *axes) for axes in permutations(range(1, want.ndim)))
    return any(got.shape == each.shape and np.allclose(got, each, rtol=1e-4, atol=1e-5) for each in moved)


@pytest.mark.parametrize("format_", SEEN)
@pytest.mark.parametrize("model", MODELS)
def test_the_last_tensors_are_what_the_file_predicts(workers: Workers, exported: Any, model: str, format_: str) -> None:
    result = exported(model)
    artifact = result.artifacts[format_]
    predictor = hosted(workers, artifact)
    answer = predictor.predict(result.answers[3].inputs)
    found = _look(workers, result, format_)
    predictor.close()
    last = found[-len(answer) :]
    assert {each.name for each in last} == set(answer)
    for each in last:
        np.testing.assert_allclose(each.value, answer[each.name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("format_", SEEN)
@pytest.mark.parametrize("model", MODELS)
def test_every_tensor_tells_what_it_is_made_from(workers: Workers, exported: Any, model: str, format_: str) -> None:
    result = exported(model)
    found = _look(workers, result, format_)
    names = [each.name for each in found]
    assert len(set(names)) == len(names)
    known = {*names, *result.answers[3].inputs}
    for each in found:
        assert each.operator
        assert set(each.weights) <= set(each.inputs), each.name
        assert set(each.inputs) - set(each.weights) <= known, each.name
        assert set(each.inputs), each.name


@pytest.mark.parametrize("format_", [name for name in SEEN if name not in WITHOUT_LAYERS])
def test_layers_are_torchs_modules_and_their_values_what_these_answer(
    workers: Workers, exported: Any, cnn: torch.nn.Module, format_: str
) -> None:
    result = exported("torch-cnn")
    want = _answers_of_modules(cnn, result.answers[3].inputs)
    last = {each.layer: each.value for each in _look(workers, result, format_)}
    shared = [path for path in want if path in last]
    assert {"stem", "blocks.0.norm", "blocks.1.norm", "blocks.1", "head"} <= set(shared)
    for path in shared:
        assert _same(last[path], want[path]), path


@pytest.mark.parametrize("format_", ["torchscript", "pt2"])
def test_the_epsilon_of_torchs_batch_norm_is_among_the_attributes(
    workers: Workers, exported: Any, cnn: torch.nn.Module, format_: str
) -> None:
    found = [each for each in _look(workers, exported("torch-cnn"), format_) if each.operator == "aten::batch_norm"]
    assert [each.attributes["eps"] for each in found] == [1e-5, 1e-5]
    assert [set(each.weights) for each in found] == [
        {f"blocks.{block}.norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")}
        for block in (0, 1)
    ]
    want = cnn.blocks[0].norm.running_var.numpy()
    np.testing.assert_array_equal(found[0].weights["blocks.0.norm.running_var"], want)


def test_the_epsilon_of_keras_batch_norm_is_found_in_a_savedmodel(workers: Workers, exported: Any) -> None:
    found = [each for each in _look(workers, exported("keras-cnn"), "savedmodel") if "epsilon" in each.attributes]
    assert {each.layer for each in found} == {"batch_normalization", "batch_normalization_1"}
    assert {round(each.attributes["epsilon"], 7) for each in found} == {1e-3}


@pytest.mark.parametrize("format_", ["onnx", "savedmodel"])
def test_layers_of_keras_keep_their_names(workers: Workers, exported: Any, format_: str) -> None:
    result = exported("keras-cnn")
    reference = hosted(workers, result.reference)
    assert isinstance(reference, HasIntermediates)
    want = {each.layer: each.value for each in reference.intermediates(result.answers[3].inputs)}
    reference.close()
    last = {each.layer: each.value for each in _look(workers, result, format_)}
    shared = [layer for layer in want if layer in last]
    assert {"conv2d", "batch_normalization", "re_lu", "batch_normalization_1", "re_lu_1", "class-scores"} <= set(shared)
    for layer in shared:
        assert _same(last[layer], want[layer]), layer


def test_a_format_that_shows_nothing_has_no_such_method(workers: Workers, exported: Any) -> None:
    predictor = hosted(workers, exported("torch-simple").artifacts["executorch"])
    assert not isinstance(predictor, HasIntermediates)
    predictor.close()
