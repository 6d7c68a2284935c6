"""Keras models as their users have them: with code of their own, odd examples, odd structures."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_core.errors import DeployError, ExportError
from deploy_exporters import sources
from deploy_exporters.export import export, open_source
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
    written = export(opener, source, ["onnx"], folder=tmp_path, name="net")
    assert written.reference.format == "savedmodel"
    inputs = {"x": np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)}
    for artifact in (*written.artifacts, written.reference):
        predictor = hosted(workers, artifact)  # workers that never saw the code
        np.testing.assert_allclose(predictor.predict(inputs)["y"], source.predict(inputs)["y"], rtol=1e-5)
        predictor.close()
    with pytest.raises(ExportError, match=r"on its torch backend cannot read the model: .* needs the class Twice"):
        export(opener, source, ["torchscript"], folder=tmp_path / "torch", name="net")


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
