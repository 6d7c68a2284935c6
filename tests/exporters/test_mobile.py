"""ExecuTorch and Core ML: what they take, what they say of it, and that the same model gives the same bytes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deploy_core.errors import InputError, UnavailableError
from deploy_exporters import bounds, sources
from deploy_exporters.export import Order, export, open_source
from deploy_exporters.formats import adopt, hosted, load_file
from deploy_exporters.worker import Workers

HERE = Path(__file__).parent
# Asked of the worker that has Core ML's library: it costs seconds, and warns.
FEATURES = """{
    feature.name: [(size.lowerBound, size.upperBound) for size in feature.type.multiArrayType.shapeRange.sizeRanges]
    for spec in [__import__("coremltools").models.utils.load_spec(path)]
    for feature in (*spec.description.input, *spec.description.output)
}"""


@pytest.fixture(scope="module")
def mobile(shared: Callable[[str, Callable[[Path], None]], Path]) -> dict[str, Any]:
    """A two-headed model for batches of at most 5, twice: the second export is only there to be compared."""

    def write(folder: Path) -> None:
        made: dict[str, Any] = {}
        with Workers(folder / "logs") as workers:
            opened = open_source(workers, sources.find(f"{HERE / 'torch_models.py'}:heads_with_example"))
            for number in ("first", "second"):
                found = export(
                    workers, opened, Order(["executorch", "coreml"], folder / number, "net", ranges={"batch": (1, 5)})
                )
                made.update({f"{number}-{artifact.name}": artifact for artifact in found.artifacts})

            path = made["first-coreml"].path / "Data/com.apple.CoreML/model.mlmodel"
            made["features"] = opened.worker.call("builtins:eval", FEATURES, {"path": str(path)})
        (folder / "made.pkl").write_bytes(pickle.dumps(made))

    made: dict[str, Any] = pickle.loads((shared("mobile", write) / "made.pkl").read_bytes())
    return made


def test_the_same_model_gives_the_same_bytes(mobile: dict[str, Any]) -> None:
    for name in ("executorch", "coreml"):
        assert mobile[f"first-{name}"].digest == mobile[f"second-{name}"].digest


def test_executorch_takes_what_it_was_made_for_and_says_so(mobile: dict[str, Any], workers: Workers) -> None:
    artifact = mobile["first-executorch"]
    assert artifact.remarks == (
        "takes batch up to 5; --range SYMBOL=LEAST..GREATEST sets another limit; memory is planned for the largest",
    )
    predictor = hosted(workers, artifact)
    for rows in (1, 2, 5):
        got = predictor.predict({"tokens": np.ones((rows, 7), np.int64), "weight": np.ones((rows, 1), np.float32)})
        assert got["scores"].shape == (rows, 4)
        np.testing.assert_allclose(got["scores"].sum(axis=1), 1, rtol=1e-5)
    with pytest.raises(InputError, match=r"has shape \[6, 7\], the program is made for at most \[5, 7\]") as caught:
        predictor.predict({"tokens": np.ones((6, 7), np.int64), "weight": np.ones((6, 1), np.float32)})
    assert "--range" in caught.value.hint
    predictor.close()


def test_executorch_takes_more_rows_than_the_example_of_a_convolution(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(64, 3, 16, 16)).astype(np.float32)
    with Workers(tmp_path / "logs") as own:
        opened = open_source(own, sources.find(f"{HERE / 'torch_models.py'}:cnn_with_example"))
        (artifact,) = export(own, opened, Order(["executorch"], tmp_path, "net")).artifacts
        predictor = hosted(own, artifact)
        want = opened.predict({"image": rows})
        for name, got in predictor.predict({"image": rows}).items():
            np.testing.assert_allclose(got, want[name], atol=1e-5)
        predictor.close()


def test_executorch_tells_its_signature(mobile: dict[str, Any], workers: Workers) -> None:
    artifact = mobile["first-executorch"]
    assert adopt(workers, artifact.path).signature == artifact.signature


def test_core_ml_is_written_and_says_that_nobody_has_run_it(mobile: dict[str, Any], workers: Workers) -> None:
    artifact = mobile["first-coreml"]
    assert artifact.remarks[0] == "written, not run: Core ML runs on Apple's systems only"
    assert [(change.tensor, change.dtype) for change in artifact.changes] == [("tokens", "int32")]
    for asked in (lambda: hosted(workers, artifact), lambda: load_file("coreml", artifact.path)):
        with pytest.raises(UnavailableError, match="Apple's systems only"):
            asked()


def test_core_ml_has_our_names_and_ranges(mobile: dict[str, Any]) -> None:
    assert mobile["features"] == {
        "tokens": [(1, 5), (7, 7)], "weight": [(1, 5), (1, 1)], "scores": [], "pooled": [],
    }  # fmt: skip


def test_limits_without_a_range() -> None:
    sizes = {"batch": 2, "seq": 7, "height": 224}
    signature = SimpleNamespace(sizes=lambda inputs: sizes)
    job: Any = SimpleNamespace(ranges={"seq": (1, 16)}, proofs=(({}, {}),), signature=signature)
    assert bounds.greatest(job) == {"batch": 64, "seq": 16, "height": 448}
