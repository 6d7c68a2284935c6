"""Variants on the command line: what they cost is told, a collapse is warned of, and a limit refuses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from command_line import ROOT, Deploy, run_deploy

from deploy_agreement import Agreement
from deploy_clients import connect
from deploy_core.artifact import Artifact, size_of
from deploy_core.endpoint import Endpoint
from deploy_core.errors import InputError, UsageError
from deploy_core.predictor import HasIntermediates, Predictor
from deploy_core.signature import Signature, Tensors
from deploy_exporters.calibration import joined
from deploy_exporters.formats import hosted
from deploy_exporters.worker import Workers
from deploy_model_store import Store, Version
from deploy_toolkit.demo import data
from deploy_toolkit.flows import check, export, golden_rows, kept, serve
from deploy_toolkit.flows.check import served
from deploy_toolkit.flows.judge import Judge

CNN = ROOT / "examples/simplecnn.py"
HERE = Path(__file__).parent
VARIANTS = ("tflite-float16", "tflite-dynamic-int8", "tflite-int8", "onnx-float16", "onnx-dynamic-int8")


@pytest.fixture(scope="module")
def quantised(shared: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A store with the trained CNN in every variant, its int8 file with integers at the borders."""

    def make(folder: Path) -> None:
        images, _ = data.images()
        np.savez(folder / "images.npz", image=images[64:192])
        done = run_deploy(
            "export", f"{CNN}:torch_net", "--to", "tflite,onnx", "--quantize", "float16,dynamic-int8,int8",
            "--calibration", "images.npz", "--set", "tflite.io=int8", "--max-degradation", "2%", "--name", "cnn",
            "--store", folder / "store", cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (folder / "export.txt").write_text(done.stdout)

    return shared("quantised-cnn", make)


def test_the_report_has_the_figures_that_plain_numpy_finds(quantised: Path, tmp_path: Path) -> None:
    version = Store(quantised / "store").resolve("cnn")
    rows = {row["subject"]: row for row in version.agreement["rows"]}
    assert [name for name in rows if rows[name]["degradation"]] == [a.name for a in version.artifacts if a.variant]
    want = version.golden.outputs["output"].astype(np.float64)
    with Workers(tmp_path) as workers:
        for name in VARIANTS:
            with closing(hosted(workers, version.artifact(name))) as predictor:
                apart = predictor.predict(version.golden.inputs)["output"] - want
            told = rows[name]["degradation"]
            (output,) = told["outputs"]
            assert output["max_error"] == pytest.approx(np.abs(apart).max() / want.std())
            assert output["rms_error"] == pytest.approx(np.sqrt((apart**2).mean()) / want.std())
            assert output["flips"] == int(((apart + want).argmax(axis=1) != want.argmax(axis=1)).sum())
            floats = version.artifact(name.partition("-")[0])
            assert told["size_ratio"] == size_of(version.artifact(name).path) / size_of(floats.path) < 0.75
            assert (told["verdict"], output["rms_error"] < 0.02) == ("ok", True)
            np.testing.assert_array_less(np.abs(apart), 0.05 * want.std())


def test_people_get_a_table(quantised: Path) -> None:
    told = (quantised / "export.txt").read_text()
    assert "What coarser numbers cost" in told
    assert "0 of 64" in told


def test_check_holds_variants_to_what_they_were_published_with(quantised: Path, deploy: Deploy) -> None:
    done = deploy("check", "cnn", "--store", quantised / "store", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["subject"].partition("/")[2]: row for row in json.loads(done.stdout)["rows"]}
    for name in VARIANTS:
        assert rows[name]["degradation"]["verdict"] == "ok"
        assert rows[name]["degradation"]["size_ratio"] < 0.75
        assert [(c["verdict"]) for c in rows[name]["checks"] if c["name"] == "as published"] == ["agree"]
    assert not [c for c in rows["tflite"]["checks"] if c["name"] == "as published"]
    origins = {name: row["outputs"][0]["tolerance_origin"] for name, row in rows.items()}
    assert "float16" in origins["tflite-float16"]
    assert origins["tflite-int8"] == "2 × the error when it was published"
    assert "noise" in origins["tflite"]


Asked = Callable[[Artifact], Predictor]


@dataclass(frozen=True)
class Answering:
    """Who answers the golden inputs as given, and nothing else."""

    signature: Signature
    outputs: Tensors

    def predict(self, inputs: Tensors) -> Tensors:
        rows = len(inputs["image"])
        assert rows == len(self.outputs["output"])
        return self.outputs


def _edited(version: Version, edit: Callable[[Any, Any], None], folder: Path) -> Artifact:
    """The int8 file with something edited in it: its model, and its last operator."""
    honest = version.artifact("tflite-int8")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(honest.path.read_bytes(), 0))
    edit(model, model.subgraphs[0].operators[-1])
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = folder / f"{edit.__name__}.tflite"
    path.write_bytes(builder.Output())
    return replace(honest, path=path)


def _tensor(model: Any, number: int) -> Any:
    return model.subgraphs[0].tensors[number]


def zero_point_of_output(model: Any, last: Any) -> None:
    """Every answer lies a step higher: what a step of the output is to the sums goes into the bias."""
    steps = [np.asarray(_tensor(model, number).quantization.scale) for number in (*last.inputs[:2], last.outputs[0])]
    bias = model.buffers[_tensor(model, last.inputs[2]).buffer]
    moved = np.round(steps[2] / (steps[0] * steps[1])).astype(np.int32)
    bias.data = (np.asarray(bias.data, np.uint8).view(np.int32) + moved).view(np.uint8)


def zero_point_of_layer(model: Any, last: Any) -> None:
    """The last layer takes another zero point of what it is given: its bias has it."""
    weights = np.asarray(model.buffers[_tensor(model, last.inputs[1]).buffer].data, np.uint8).view(np.int8)
    bias = model.buffers[_tensor(model, last.inputs[2]).buffer]
    moved = weights.astype(np.int32).reshape(len(bias.data) // 4, -1).sum(axis=1, dtype=np.int32)
    bias.data = (np.asarray(bias.data, np.uint8).view(np.int32) + moved).view(np.uint8)


def scale_of_one_channel(model: Any, last: Any) -> None:
    """One row of the last weights was scaled to 128 steps, and not to 127."""
    scale = np.array(_tensor(model, last.inputs[1]).quantization.scale)
    scale[0] *= np.float32(128 / 127)
    _tensor(model, last.inputs[1]).quantization.scale = scale


def nothing(model: Any, last: Any) -> None:
    """Written again, and the same."""


@pytest.fixture(scope="module")
def version(quantised: Path) -> Version:
    return Store(quantised / "store").resolve("cnn")


@pytest.fixture(scope="module")
def asked(version: Version, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with Workers(tmp_path_factory.mktemp("workers")) as workers:
        hosted(workers, version.artifact("tflite-int8")).close()  # starts the worker that all tests share
        yield lambda artifact: hosted(workers, artifact)


def _held(version: Version, artifact: Artifact, predictor: Predictor, *, ours: bool = True) -> str:
    found = kept.held(version, artifact, predictor, ours=ours)
    assert found is not None
    return found.verdict


def test_what_variants_answer_is_kept(version: Version) -> None:
    assert tuple(version.golden.answers) == VARIANTS
    assert tuple(version.golden.answered_by) == VARIANTS
    for answers in version.golden.answers.values():
        assert answers["output"].shape == version.golden.outputs["output"].shape


@pytest.mark.parametrize("fault", [zero_point_of_output, zero_point_of_layer, scale_of_one_channel])
def test_numbers_that_are_off_by_one_are_found(
    fault: Callable[[Any, Any], None], version: Version, asked: Asked, tmp_path: Path
) -> None:
    artifact = _edited(version, fault, tmp_path)
    with closing(asked(artifact)) as predictor:
        got = predictor.predict(version.golden.inputs)
        assert _held(version, artifact, predictor) == "disagree"
    # The tolerance that follows from the errors when it was published has room for it.
    rows = {row["subject"]: row["outputs"][0] for row in version.agreement["rows"]}
    off = np.abs(got["output"].astype(np.float64) - version.golden.outputs["output"]).max()
    assert off <= rows["tflite-int8"]["tolerance"]


def test_an_honest_file_is_not_accused_under_any_kernels(version: Version, asked: Asked, tmp_path: Path) -> None:
    artifact = _edited(version, nothing, tmp_path)
    with closing(asked(artifact)) as predictor:
        assert isinstance(predictor, HasIntermediates)
        assert _held(version, artifact, predictor) == "agree"
        own = predictor.intermediates(version.golden.inputs)[-1].value  # by kernels without a delegate
    other = Answering(version.signature, {"output": own.astype(np.float32)})
    assert (other.outputs["output"] != version.golden.answers["tflite-int8"]["output"]).any()
    assert _held(version, artifact, other, ours=False) == "told"


def test_an_endpoint_of_a_variant_is_not_ready_if_its_answers_are_shifted(
    version: Version, asked: Asked, tmp_path: Path
) -> None:
    judge = Judge((version,), {"artifact": "tflite-int8"})
    for edit, ready in ((nothing, True), (zero_point_of_output, False)):
        with closing(asked(_edited(version, edit, tmp_path))) as predictor:
            predictor.endpoint = Endpoint.parse("tfserving+rest://127.0.0.1:1/cnn")  # type: ignore[attr-defined]
            told = judge(predictor)
        assert (told is None) == ready, told
        assert ready or "values other than when it was published, by up to 1 steps" in str(told)


def test_a_store_that_kept_no_answers_says_so(version: Version, asked: Asked) -> None:
    artifact = version.artifact("tflite-int8")
    older = Version.read("cnn", 1, version.path)
    older.__dict__["golden"] = replace(version.golden, answers={}, answered_by={})
    check_ = kept.held(older, artifact, Answering(version.signature, {}), ours=True)
    assert check_ is not None
    assert check_.verdict == "skipped"
    assert "stored before" in check_.said


def test_a_variant_can_be_served(quantised: Path) -> None:
    version = Store(quantised / "store").resolve("cnn")
    request = serve.Request(("cnn",), options={"artifact": "tflite-int8"})
    with serve.serving(request, store=quantised / "store") as running, closing(connect(running.endpoints[0])) as client:
        got = client.predict(version.golden.inputs)["output"]
    error = (
        np.abs(got.astype(np.float64) - version.golden.outputs["output"]).max() / version.golden.outputs["output"].std()
    )
    assert 0.001 < error < 0.05
    assert got.dtype == np.float32


@pytest.fixture(scope="module")
def served_int8(quantised: Path) -> Iterator[Endpoint]:
    with serve.serving(
        serve.Request(("cnn",), options={"artifact": "tflite-int8"}), store=quantised / "store"
    ) as running:
        yield running.endpoints[0]


def _checked(quantised: Path, *subjects: str, **more: Any) -> dict[str, Agreement]:
    report = check.check(check.Request(subjects, **more), store=quantised / "store")
    return {row.subject: row for row in report.rows}


def test_an_endpoint_is_held_to_the_variant_that_its_server_was_told_to_serve(
    quantised: Path, served_int8: Endpoint
) -> None:
    events: list[str] = []
    asked_of = replace(served_int8, host="localhost")
    request = check.Request((str(asked_of),), against="cnn")
    (row,) = check.check(request, store=quantised / "store", on_event=events.append).rows
    assert row.subject == str(asked_of)
    assert row.verdict == "agree", row.why
    assert f"{asked_of} serves tflite-int8: it was started with --set artifact=tflite-int8" in events
    assert row.degradation is not None
    (kept_,) = (one for one in row.checks if one.name == "as published")
    assert kept_.said.startswith("held to cnn@1/tflite-int8: ")


def test_an_endpoint_that_only_looks_like_a_variant_is_held_to_none(
    quantised: Path, served_int8: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "read", lambda: ((), ()))  # a server of somebody else's
    row = _checked(quantised, str(served_int8), against="cnn")[str(served_int8)]
    assert row.verdict == "disagree"
    assert f"if it is to serve that variant, `deploy check cnn@1/tflite-int8 {served_int8}` holds it to that" in row.why
    assert "float16" not in row.why.partition(":")[0], "which is off by far less"


def test_an_endpoint_is_held_to_the_artifact_that_is_named_first(
    quantised: Path, served_int8: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "read", lambda: ((), ()))
    rows = _checked(quantised, "cnn/tflite-int8", str(served_int8))
    assert {name: row.verdict for name, row in rows.items()} == {
        "cnn@1/tflite-int8": "agree",
        str(served_int8): "agree",
    }
    others = _checked(quantised, "cnn@1/onnx-float16", "cnn@1/tflite-int8", str(served_int8))
    assert others[str(served_int8)].verdict == "disagree", "what is named first is less coarse than what it serves"


def test_a_server_is_started_with_the_artifact_that_is_named(quantised: Path) -> None:
    rows = _checked(quantised, "cnn@1/onnx-dynamic-int8", servers=("embedded", "embedded"))
    assert len(rows) == 1 + 6
    assert {row.verdict for row in rows.values()} == {"agree"}
    assert all(row.degradation is not None for row in rows.values())
    with pytest.raises(UsageError, match="torchserve serves mar, and not tflite-int8"):
        _checked(quantised, "cnn/tflite-int8", servers=("torchserve",))


def test_a_damaged_variant_is_told(quantised: Path, deploy: Deploy, tmp_path: Path) -> None:
    source = quantised / "store/cnn/1"
    target = tmp_path / "store/cnn/1"
    for path in (p for p in source.rglob("*") if p.is_file()):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (target / "onnx-dynamic-int8/model.onnx").write_bytes((source / "onnx/model.onnx").read_bytes())
    done = deploy("check", "cnn", "--store", tmp_path / "store")
    assert done.returncode == 4
    assert "not what was published" in done.stdout


def _lopsided(deploy: Deploy, *more: str) -> Any:
    return deploy(
        "export", f"{HERE / 'collapsing.py'}:lopsided", "--to", "onnx", "--quantize", "dynamic-int8", "--name", "net",
        "--store", "store", *more,
    )  # fmt: skip


def test_a_collapse_is_warned_of_and_refused_if_there_is_a_limit(deploy: Deploy, tmp_path: Path) -> None:
    refused = _lopsided(deploy, "--max-degradation", "50%")
    assert refused.returncode == 3, refused.stderr
    assert "nothing was stored" in refused.stderr
    assert "onnx-dynamic-int8" in refused.stderr
    assert Store(tmp_path / "store").names() == []
    warned = _lopsided(deploy)
    assert warned.returncode == 0, warned.stderr
    assert "warning: onnx-dynamic-int8 has collapsed" in warned.stderr
    assert "COLLAPSED" in warned.stdout
    checked = deploy("check", "net", "--store", "store")
    assert checked.returncode == 0, checked.stderr
    assert "COLLAPSED" in checked.stdout


def test_answers_are_carried_over_and_asked_for_again_with_further_rows(deploy: Deploy, tmp_path: Path) -> None:
    assert _lopsided(deploy).returncode == 0
    store = Store(tmp_path / "store")
    first = store.resolve("net").golden
    grown = golden_rows.add(store.root, "net", [{"x": np.full((2, *first.inputs["x"].shape[1:]), 0.25, np.float32)}])
    second = grown.version.golden
    assert [len(golden.answers["onnx-dynamic-int8"]["output"]) for golden in (first, second)] == [64, 65]
    assert second.answered_by == first.answered_by
    export.export(export.Request("net", ("torchscript",)), store=store.root)
    third = store.resolve("net").golden
    np.testing.assert_array_equal(
        third.answers["onnx-dynamic-int8"]["output"], second.answers["onnx-dynamic-int8"]["output"]
    )


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"formats": ("tflite-int8",)}, "needs calibration data"),
        ({"formats": ("tflite",), "quantize": ("int8",)}, "--calibration FILE.npz"),
        ({"formats": ("onnx",), "max_degradation": 0.01}, "limits variants"),
        ({"formats": ("onnx",), "quantize": ("int3",)}, "can be quantised as 'int3'"),
        ({"formats": ("savedmodel",), "quantize": ("int8",)}, "can be quantised as 'int8'"),
        ({"formats": ("onnx",), "calibration": {"x": np.zeros((2, 6))}}, "needs none"),
    ],
)
def test_what_does_not_fit_together_is_told_before_the_source_is_opened(
    tmp_path: Path, args: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as raised:
        export.export(export.Request("no_such_module:model", **args), store=tmp_path / "store")
    assert told in f"{raised.value} {raised.value.hint}"


def test_on_the_command_line_a_missing_calibration_is_a_wrong_option(deploy: Deploy) -> None:
    done = deploy("export", f"{CNN}:torch_net", "--to", "tflite", "--quantize", "int8", "--store", "store")
    assert done.returncode == 2
    assert "--calibration FILE.npz" in done.stderr


def test_batches_of_calibration_data_are_joined() -> None:
    batches = ({"x": np.full((2, 3), number, np.float32)} for number in range(4))
    found = joined(batches)
    assert found["x"].shape == (8, 3)
    assert found["x"][:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    for bad in ([], [np.zeros((2, 3))], [{"x": np.zeros(2)}, {"y": np.zeros(2)}]):
        with pytest.raises(InputError):
            joined(bad)
