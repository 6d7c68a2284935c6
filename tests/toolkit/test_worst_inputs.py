"""`deploy check --search`: the worst input is saved, asked again, and added to the golden inputs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from command_line import Deploy
from documents import valid

from deploy_agreement import Noise, ProofError, Report
from deploy_core.artifact import Artifact, digest_of
from deploy_core.errors import UsageError
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_exporters.formats import load
from deploy_model_store import Store, Version
from deploy_toolkit.commands import tensor_files
from deploy_toolkit.flows import check, golden_rows
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.naming import slug
from deploy_toolkit.flows.check.wanted import Wanted
from deploy_toolkit.flows.check.worst import saved, worst
from deploy_toolkit.flows.subjects import Subject
from deploy_toolkit.output import silent


@pytest.fixture(scope="module")
def store(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of its own, whose versions may grow, and that holds one artifact beside the reference."""
    path = tmp_path_factory.mktemp("worst") / "store"
    shelf, whole = Store(path), Store(models).version("simplenet", 1)
    with shelf.staging("simplenet") as staged:
        for folder in ("onnx", "reference"):
            shutil.copytree(whole.path / folder, staged / folder)
        kept = [_moved(whole, artifact, staged) for artifact in (whole.artifact("onnx"), whole.reference)]
        record = replace(whole.record, artifacts=(kept[0],), reference=kept[1])
        shelf.publish(staged, "simplenet", record, whole.golden)
    return path


def _moved(version: Version, artifact: Artifact | None, folder: Path) -> Artifact:
    assert artifact is not None
    return replace(artifact, path=folder / artifact.path.relative_to(version.path))


def _searched(store: Path, found: Path, *more: str) -> Report:
    return check.check(check.Request(("simplenet@1", *more), search=0.5, found=found, seed=5), store=store)


def _faulty(version: Version, path: Path) -> Path:
    """The ONNX file of a version with 0.1 added to every output above all golden ones."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(version.artifact("onnx").path)
    (output,) = model.graph.output
    top = float(version.golden.outputs[output.name].max())
    for node in model.graph.node:
        node.output[:] = ["right" if name == output.name else name for name in node.output]
    model.graph.initializer.extend(
        helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in (("top", top + 0.01), ("by", 0.1))
    )
    model.graph.node.extend(
        [
            helper.make_node("Greater", ["right", "top"], ["above"]),
            helper.make_node("Cast", ["above"], ["one"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["one", "by"], ["more"]),
            helper.make_node("Add", ["right", "more"], [output.name]),
        ]
    )
    onnx.save(model, path)
    return path


def _with(version: Version, **change: Any) -> Version:
    return replace(version, manifest=replace(version.manifest, record=replace(version.record, **change)))


@pytest.fixture(scope="module")
def found(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """What a search found of an honest file, and of one that is wrong above all golden outputs."""
    folder = tmp_path_factory.mktemp("found")
    wrong = _faulty(Store(store).version("simplenet", 1), folder / "wrong.onnx")
    return _searched(store, folder / "deploy-check", str(wrong)), wrong


def test_a_search_finds_what_golden_inputs_miss(found: tuple[Report, Path]) -> None:
    report, wrong = found
    rows = {row.subject: row for row in report.rows}
    assert report.exit_code == 4
    assert [row.subject for row in report.bad] == [str(wrong)], "and accuses nobody else"
    golden = next(output for output in rows[str(wrong)].outputs)
    assert golden.ok, "the golden inputs show nothing"
    worst = next(one for one in report.worst if one.subject == str(wrong))
    assert not worst.ok
    assert worst.got - worst.want == pytest.approx(0.1, rel=0.01)
    assert worst.began <= 1
    (searched,) = (one for one in rows[str(wrong)].checks if one.name == "search")
    assert searched.verdict == "disagree"
    assert {one.subject for one in report.worst} == {"simplenet@1/onnx", str(wrong)}, "not the reference itself"
    assert all(one.method == "gradient" for one in report.worst), "the reference is a TorchScript file"
    assert any(one.ok for one in report.worst)
    assert all(Path(one.file).is_file() for one in report.worst if one.over), "also what is within the tolerance"


def test_what_was_found_is_saved_and_asked_again(
    found: tuple[Report, Path], store: Path, deploy: Deploy, tmp_path: Path
) -> None:
    report, wrong = found
    worst = next(one for one in report.worst if one.subject == str(wrong))
    inputs = tensor_files.read(Path(worst.file))
    version = Store(store).version("simplenet", 1)
    for artifact, value in ((version.artifact("onnx"), worst.want), (None, worst.got)):
        predictor = load(artifact or replace(version.artifact("onnx"), path=wrong))
        assert predictor.predict(inputs)[worst.output][worst.place] == pytest.approx(value, abs=1e-5)
    done = deploy("predict", "simplenet@1", "--input", worst.file, "--store", store, "--json")
    assert done.returncode == 0, done.stderr
    again = check.check(check.Request((str(wrong),), against="simplenet@1", inputs={"worst": inputs}), store=store)
    assert [row.subject for row in again.bad] == [str(wrong)]


def test_the_worst_input_becomes_golden(found: tuple[Report, Path], store: Path, deploy: Deploy) -> None:
    report, wrong = found
    worst = next(one for one in report.worst if one.subject == str(wrong))
    done = deploy("store", "golden", "simplenet@1", "--add", worst.file, "--store", store, "--json")
    assert done.returncode == 0, done.stderr
    document = valid(done.stdout, "golden-1")
    assert (document["rows"], document["added"], document["known"]) == (65, 1, 0)
    before, after = (Store(store).version("simplenet", number) for number in (1, document["version"]))
    assert not after.verify()
    assert after.training_id == before.training_id
    for artifact in before.artifacts:
        if artifact.path.is_file():
            assert after.artifact(artifact.name).path.stat().st_ino == artifact.path.stat().st_ino
    for old, new in ((before.golden.inputs, after.golden.inputs), (before.golden.outputs, after.golden.outputs)):
        for name, array in old.items():
            np.testing.assert_array_equal(new[name][:64], array)
    assert after.golden.outputs[worst.output][64] == pytest.approx(worst.want, abs=1e-5)
    for name, value in before.golden.noise.items():
        assert np.all(np.asarray(after.golden.noise[name]) >= value)
    again = check.check(check.Request((str(wrong),), against="simplenet"), store=store)
    assert [row.subject for row in again.bad] == [str(wrong)], "now golden outputs show what was wrong"
    done = deploy("store", "golden", "simplenet", "--add", worst.file, "--store", store)
    assert done.returncode == 2
    assert "golden in simplenet@2 already" in done.stderr


def test_a_file_that_answers_new_rows_otherwise_is_not_published_with_them(
    found: tuple[Report, Path], store: Path
) -> None:
    report, wrong = found
    worst = next(one for one in report.worst if one.subject == str(wrong))
    shelf = Store(store)
    version = shelf.version("simplenet", 1)
    with shelf.staging("simplenet") as staged:
        path = staged / "onnx" / "model.onnx"
        path.parent.mkdir()
        shutil.copy(wrong, path)
        onnx = replace(version.artifact("onnx"), path=path, digest=digest_of(path))
        bad = shelf.extend(staged, version, [onnx])
    rows = [tensor_files.read(Path(worst.file))]
    with pytest.raises(ProofError, match=r"onnx: output .* is off by 0\.1") as told:
        golden_rows.add(store, str(bad), rows)
    assert told.value.exit_code == 4
    assert f"{bad} stays as it is" in told.value.hint
    assert shelf.versions("simplenet")[-1] == bad.number


def test_rows_that_do_not_fit_are_refused(store: Path) -> None:
    shelf = Store(store)
    version = shelf.version("simplenet", 1)
    (name,) = (spec.name for spec in version.signature.inputs)
    for rows, told in (
        ({name: np.zeros((1, 5), np.float32)}, "has shape"),
        ({"other": np.zeros((1, 6), np.float32)}, "wrong input names"),
        ({name: np.full((1, 6), np.nan, np.float32)}, "NaN"),
    ):
        with pytest.raises(UsageError, match=told):
            golden_rows.add(store, "simplenet@1", [rows])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"reference": None}, "keeps no reference"),
        ({"signature": Signature((TensorSpec("x", "float32", (2, 6)),), ())}, "takes one size of batch"),
    ],
)
def test_a_version_that_cannot_grow_says_so(
    store: Path, monkeypatch: pytest.MonkeyPatch, change: Mapping[str, Any], told: str
) -> None:
    version = Store(store).version("simplenet", 1)
    other = _with(version, **change)
    monkeypatch.setattr(Store, "resolve", lambda shelf, name: other)
    with pytest.raises(UsageError, match=told):
        golden_rows.add(store, "simplenet@1", [version.golden.inputs])


def test_a_search_without_a_reference_is_refused(store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    version = Store(store).version("simplenet", 1)
    other = _with(version, reference=None)
    monkeypatch.setattr(Store, "resolve", lambda shelf, name: other)
    with pytest.raises(UsageError, match="keeps no reference"):
        _searched(store, tmp_path)


class Rows:
    """Answers with the sums of columns; `asked` are the sizes of the batches, which lie on the second axis."""

    def __init__(self) -> None:
        inputs = (TensorSpec.parse("table:float32[200,2]"), TensorSpec.parse("x:float32[3,batch]"))
        self.signature = Signature(inputs, (TensorSpec.parse("y:float32[batch]"),))
        self.asked: list[int] = []

    def predict(self, inputs: Tensors) -> Tensors:
        self.asked.append(inputs["x"].shape[1])
        return {"y": inputs["x"].sum(axis=0)}

    def close(self) -> None:
        """Nothing is held."""


def test_no_batch_is_greater_than_the_golden_one_whichever_axis_has_the_rows(tmp_path: Path) -> None:
    one, other = Rows(), Rows()
    random = np.random.default_rng(0)
    inputs = {
        "table": np.ones((200, 2), np.float32),
        "x": random.normal(size=(3, 12)).astype(np.float32),
    }
    right = Wanted("one", inputs, dict(one.predict(inputs)), Noise({"y": 1e-7}, "none"), reference=lambda: one)
    request = check.Request(("other",), search=0.05, found=tmp_path)
    found = worst(Subject("other", lambda: other), other, Inquiry(request, right), silent)
    assert found is not None
    assert found.tried > 12
    assert max(other.asked) == max(one.asked) == 12


def test_inputs_are_saved_as_they_are_read(tmp_path: Path) -> None:
    inputs = {
        "file": np.arange(3, dtype=np.int64),
        "of/two": np.array([[True, False]]),
        "text": np.array([b"a", "é".encode()], dtype=object),
        "half": np.array([1.5], np.float16),
    }
    path = saved(inputs, tmp_path / "new" / "x.npz")
    read = tensor_files.read(path)
    signature = Signature(
        tuple(map(TensorSpec.parse, ("file:int64[3]", "of/two:bool[1,2]", "text:string[2]", "half:float16[1]"))), ()
    )
    for name, array in signature.conform(read).items():
        assert array.tolist() == inputs[name].tolist()


def test_inputs_that_numpy_has_no_form_for_are_saved_as_json(tmp_path: Path) -> None:
    inputs = {"x": np.array([0.1, -2], ml_dtypes.bfloat16), "text": np.array([b"a"], dtype=object)}
    path = saved(inputs, tmp_path / "x.npz")
    assert path.suffix == ".json"
    assert json.loads(path.read_text())["text"] == ["a"]
    signature = Signature((TensorSpec.parse("x:bfloat16[2]"), TensorSpec.parse("text:string[1]")), ())
    np.testing.assert_array_equal(signature.conform(tensor_files.read(path))["x"], inputs["x"])


def test_names_of_what_is_saved_are_no_longer_than_a_file_system_takes() -> None:
    name = slug("/a" * 200 + "/model.onnx", "Softmax/Ünit:0;" * 40)
    assert name.startswith("a-a-a")
    assert "model.onnx-" in name
    assert len(name) < 250
    assert slug("…", "y") == "input-y"
