"""Keras models as their users have them: with code of their own, odd examples, odd structures."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from deploy_core.errors import ExportError
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
