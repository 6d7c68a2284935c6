"""Variants with coarser numbers: their form is the float file's, their errors are those of 8 and of 16 bits."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy_core.artifact import Artifact, size_of
from deploy_core.errors import InputError, UsageError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters import calibration, sources
from deploy_exporters.export import Order, export, open_source
from deploy_exporters.formats import adopt, check_options, hosted, load_file
from deploy_exporters.routes import ROUTES, STEPS, quantized, require_calibration, route
from deploy_exporters.worker import Workers

MODELS = Path(__file__).parent / "quantise_models.py"
VARIANTS = ("tflite-float16", "tflite-dynamic-int8", "tflite-int8", "onnx-float16", "onnx-dynamic-int8")
NAMES = ("tflite", "onnx", *VARIANTS)
BATCHES = (1, 2, 3, 7, 64)
BORDERS = {"pooling": {"layout": "nhwc"}, "words": {"integers": "int32"}}
# In units of the output's spread (rms): eps of float16 is 0.1 %, a step of 8 bits 0.9 % at every layer.
RMS = {"float16": 0.002, "dynamic-int8": 0.03, "int8": 0.05}


@dataclass(frozen=True)
class Made:
    """What was exported from one source, with other borders too, and what the source answers."""

    artifacts: dict[str, Artifact]
    integer: Artifact
    blind: Artifact  # calibrated by zeros
    refused: str
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


@pytest.fixture(scope="session")
def made(shared: Callable[[str, Callable[[Path], None]], Path]) -> Callable[[str], Made]:
    def one(model: str) -> Made:
        folder = shared(f"quantised-{model}", lambda path: _make(model, path))
        return Made(**pickle.loads((folder / "made.pkl").read_bytes()))

    return one


def _make(model: str, folder: Path) -> None:
    with Workers(folder / "logs") as workers:
        opened = open_source(workers, sources.find(f"{MODELS}:{model}"))
        rows = opened.example

        zeros = {name: np.zeros_like(array) for name, array in rows.items()}

        def write(name: str, names: tuple[str, ...], calibration: Any, **options: str) -> dict[str, Artifact]:
            written = export(
                workers,
                opened,
                Order(names, folder / name, "net", options={"tflite": options}, calibration=calibration),
            )
            return {artifact.name: artifact for artifact in written.artifacts}

        artifacts = write("files", NAMES, rows)
        integer = write("integer", ("tflite-int8",), rows, io="int8", **BORDERS[model])["tflite-int8"]
        blind = write("blind", ("tflite-int8",), zeros)["tflite-int8"]
        with pytest.raises(UsageError) as refused:
            write("refused", ("tflite-int8",), rows, io="int4")
        data = {
            "artifacts": artifacts,
            "integer": integer,
            "blind": blind,
            "refused": str(refused.value),
            "inputs": dict(rows),
            "outputs": dict(opened.predict(rows)),
        }
    (folder / "made.pkl").write_bytes(pickle.dumps(data))


def _rms(got: np.ndarray, want: np.ndarray) -> float:
    apart = got.astype(np.float64) - want
    return float(np.sqrt((apart**2).mean()) / want.astype(np.float64).std())


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("model", ["pooling", "words"])
def test_a_variant_has_the_form_of_the_float_file_and_the_errors_of_its_bits(
    workers: Workers, made: Any, model: str, name: str
) -> None:
    result = made(model)
    predictor = hosted(workers, result.artifacts[name])
    try:
        answers = {
            rows: predictor.predict({key: value[:rows] for key, value in result.inputs.items()}) for rows in BATCHES
        }
    finally:
        predictor.close()
    for rows, got in answers.items():
        assert list(got) == list(result.outputs)
        for key, want in result.outputs.items():
            assert (got[key].dtype, got[key].shape) == (want.dtype, want[:rows].shape), f"{key} at batch {rows}"
    for key in ("output", "scores"):
        if key in result.outputs:
            assert _rms(answers[64][key], result.outputs[key]) < RMS[name.partition("-")[2]]


def test_the_coarser_the_numbers_the_smaller_the_file(made: Any) -> None:
    artifacts = made("pooling").artifacts
    sizes = {name: size_of(artifacts[name].path) for name in NAMES}
    assert sizes["tflite-int8"] < sizes["tflite-float16"] < sizes["tflite"]
    assert sizes["tflite-dynamic-int8"] < sizes["tflite-float16"]
    assert sizes["onnx-dynamic-int8"] < sizes["onnx-float16"] < sizes["onnx"]


def test_the_route_tells_what_came(made: Any) -> None:
    routes = {name: artifact.route[-1] for name, artifact in made("pooling").artifacts.items()}
    assert "6 of 6 constants in float16" in routes["tflite-float16"]
    assert "1 of 6 constants in int8, weights per channel" in routes["tflite-dynamic-int8"]
    assert "10 of 10 operators in integers, weights per channel" in routes["tflite-int8"]
    assert "1 MatMulInteger, 2 ConvInteger" in routes["onnx-dynamic-int8"]


def test_what_could_not_be_done_is_remarked(made: Any) -> None:
    remarks = {name: " ".join(artifact.remarks) for name, artifact in made("words").artifacts.items()}
    assert "SIN" in remarks["tflite-int8"]
    assert "rows beside it" in remarks["onnx-dynamic-int8"]
    assert not remarks["tflite"]
    assert not made("pooling").artifacts["tflite-int8"].remarks


def test_integers_and_channels_last_at_the_borders(workers: Workers, made: Any) -> None:
    result = made("pooling")
    changes = {change.tensor: change for change in result.integer.changes}
    assert set(changes) == {"image", "output"}
    assert all(change.dtype == "int8" and change.scale > 0 for change in changes.values())
    told = adopt(workers, result.integer.path).signature
    assert [str(spec) for spec in told.inputs] == ["image:int8[batch,16,16,3]"]
    assert [spec.dtype for spec in told.outputs] == ["int8"]
    bare = load_file("tflite", result.integer.path)
    image, output = changes["image"], changes["output"]
    steps = np.round(result.inputs["image"].transpose(0, 2, 3, 1) / image.scale) + image.zero_point
    raw = bare.predict({"image": np.clip(steps, -128, 127).astype(np.int8)})["output"]
    predictor = hosted(workers, result.integer)
    got = predictor.predict(result.inputs)["output"]
    predictor.close()
    bare.close()
    assert got.dtype == np.float32
    want = ((raw.astype(np.float64) - output.zero_point) * output.scale).astype(np.float32)
    np.testing.assert_array_equal(got, want)
    assert _rms(got, result.outputs["output"]) < RMS["int8"]


def test_integers_that_are_none_of_quantisation_stay(workers: Workers, made: Any) -> None:
    result = made("words")
    changes = {change.tensor: (change.dtype, bool(change.scale)) for change in result.integer.changes}
    assert changes == {"scores": ("int8", True), "tokens": ("int32", False), "best": ("int32", False)}
    predictor = hosted(workers, result.integer)
    got = predictor.predict(result.inputs)
    predictor.close()
    assert got["best"].dtype == np.int64
    assert _rms(got["scores"], result.outputs["scores"]) < RMS["int8"]


def test_calibration_by_zeros_destroys_the_model_and_is_remarked(workers: Workers, made: Any) -> None:
    result = made("pooling")
    predictor = hosted(workers, result.blind)
    got = predictor.predict(result.inputs)["output"]
    predictor.close()
    assert _rms(got, result.outputs["output"]) > 0.5
    assert "hold one value only" in " ".join(result.blind.remarks)


def test_an_unknown_value_of_the_option_is_refused(made: Any) -> None:
    assert made("pooling").refused == "tflite.io is 'int4'"


def test_every_kind_that_reaches_a_savedmodel_or_onnx_has_variants() -> None:
    for kind in {kind for kind, _ in ROUTES}:
        for name, step in ((step.writes, step) for step in STEPS.values() if "-" in step.writes):
            assert ((kind, name) in ROUTES) == ((kind, step.reads) in ROUTES)
    assert route("keras", "tflite-int8")[-1] == "tflite_int8_from_savedmodel"
    assert quantized(("tflite", "onnx"), ("dynamic-int8", "int8")) == (
        "tflite", "tflite-dynamic-int8", "tflite-int8", "onnx", "onnx-dynamic-int8",
    )  # fmt: skip


def test_calibration_data_are_required_and_not_ignored() -> None:
    require_calibration(("tflite", "tflite-int8"), given=True)
    require_calibration(("tflite", "tflite-dynamic-int8"), given=False)
    with pytest.raises(UsageError, match="tflite-int8 needs calibration data") as raised:
        require_calibration(("tflite", "tflite-int8"), given=False)
    assert "--calibration" in raised.value.hint
    with pytest.raises(UsageError, match="needs none"):
        require_calibration(("tflite",), given=True)


def test_an_option_of_one_variant_is_not_ignored_by_the_others() -> None:
    check_options(("tflite", "tflite-int8"), {"tflite": {"io": "int8"}})
    with pytest.raises(UsageError, match=r"tflite\.io is for tflite-int8"):
        check_options(("tflite", "tflite-float16"), {"tflite": {"io": "int8"}})


SIGNATURE = Signature((TensorSpec("x", "float32", ("batch", 2)), TensorSpec("scale", "float32", (1,))), ())
GOOD = {"x": np.arange(40, dtype=np.float32).reshape(20, 2), "scale": np.ones(1, np.float32)}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"x": GOOD["x"]}, "missing scale"),
        ({**GOOD, "y": GOOD["x"]}, "unknown y"),
        ({**GOOD, "x": GOOD["x"].astype(np.float64)}, "dtype float64"),
        ({**GOOD, "x": GOOD["x"][:, :1]}, r"shape \[20, 1\]"),
        ({**GOOD, "x": GOOD["x"][:0]}, "no rows"),
        ({**GOOD, "x": np.full((20, 2), np.nan, np.float32)}, "NaN"),
    ],
)
def test_calibration_data_that_do_not_fit(given: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        calibration.checked(SIGNATURE, given)


def test_calibration_goes_row_by_row() -> None:
    rows = list(calibration.rows(SIGNATURE, calibration.checked(SIGNATURE, GOOD)))
    assert len(rows) == 20
    assert all(row["x"].shape == (1, 2) and row["scale"].shape == (1,) for row in rows)
    np.testing.assert_array_equal(np.concatenate([row["x"] for row in rows]), GOOD["x"])


def test_doubtful_calibration_data_are_remarked() -> None:
    assert calibration.remarks(SIGNATURE, GOOD) == ()
    assert "3 rows only" in calibration.remarks(SIGNATURE, {**GOOD, "x": GOOD["x"][:3]})[0]
    assert "x hold one value" in calibration.remarks(SIGNATURE, {**GOOD, "x": np.zeros((20, 2), np.float32)})[0]
