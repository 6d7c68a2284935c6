"""The zoo: its registry, what it keeps of runs, its page, and one model all the way."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.zoo import __main__ as zoo
from benchmarks.zoo import children, judge, ours, page, pairs, registry
from benchmarks.zoo.judge import InPlace
from benchmarks.zoo.model import Model
from benchmarks.zoo.models import images, sequences
from benchmarks.zoo.results import Outcome, append, read

from deploy_agreement import Agreement
from deploy_core.errors import InputError
from deploy_core.signature import Signature, Tensors, TensorSpec

MODELS = Path(zoo.__file__).parent / "models"
MLP = registry.named("mlp")


def test_there_are_enough_models_and_each_has_a_name_of_its_own() -> None:
    assert len({model.name for model in registry.MODELS}) == len(registry.MODELS) >= 50
    assert sum(model.quick for model in registry.MODELS) >= 12


@pytest.mark.parametrize("model", [m for m in registry.MODELS if ":" in m.source], ids=lambda m: m.name)
def test_each_row_names_a_function_and_specs_that_can_be_read(model: Model) -> None:
    module, function = model.source.split(":")
    tree = ast.parse((MODELS / f"{module}.py").read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    free = {dim for spec in map(TensorSpec.parse, model.inputs) for dim in spec.shape if isinstance(dim, str)}
    assert not free or free == set(model.free)
    assert {symbol for symbol, _, _ in model.ranges} <= set(model.free)


@pytest.mark.parametrize("build", [sequences.tabular, images.super_resolution])
def test_a_model_is_the_same_every_time(build: object) -> None:
    (one, first), (other, second) = build(), build()  # type: ignore[operator]
    left, right = (*one.state_dict().values(), *first), (*other.state_dict().values(), *second)
    assert len(left) == len(right)
    assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
    one(*first)


def test_the_version_of_a_model_is_its_row_and_its_code() -> None:
    assert MLP.version == replace(MLP).version
    assert len({MLP.version, replace(MLP, free=("rows",)).version, registry.named("gru").version}) == 3
    lstm, gru = registry.named("lstm"), replace(registry.named("lstm"), source="sequences:gru")
    assert lstm.version != gru.version


def test_the_newest_outcome_counts_and_a_cut_line_does_not(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    append(path, [Outcome("mlp", "onnx", "ours", "failed"), Outcome("mlp", "onnx", "ours", "verified", seconds=1.0)])
    with path.open("a") as file:
        file.write('{"model": "mlp", "for')
    assert read(path) == {("mlp", "onnx", "ours"): Outcome("mlp", "onnx", "ours", "verified", seconds=1.0)}


def test_the_page_counts_pairs_that_only_the_public_route_gets_right() -> None:
    done = [
        Outcome("mlp", "onnx", "ours", "verified", seconds=2.0, megabytes=0.1, commit="abc"),
        Outcome("mlp", "onnx", "public", "frozen", reason="no batch of 2"),
        Outcome("mlp", "tflite", "ours", "refused", reason="no operator | of its own", commit="abc"),
        Outcome("mlp", "tflite", "public", "right"),
    ]
    results = {outcome.key: outcome for outcome in done}
    told = page.page([MLP], results, "torch 2")
    count = len(pairs.formats(MLP))
    assert f"1 models, {count} pairs: **1 verified ({100 / count:.1f} %)**, refused 1, not run {count - 2}" in told
    assert "right and we do not: 1, of 2 where both ran (mlp → tflite)" in told
    assert "- Our side is of commit abc; the run is not finished." in told
    assert "| verified (2 s, 0.1 MB) / frozen |" in told
    assert "- mlp → tflite (ours) refused: `no operator / of its own`" in told


def test_figures_of_several_commits_are_told_as_such() -> None:
    done = [Outcome("mlp", name, "ours", "failed", commit=made) for name, made in (("onnx", "abc"), ("mar", "def"))]
    told = page.summary([MLP], {outcome.key: outcome for outcome in done})
    assert "- Our side is of the commits abc (1 pairs), def (1 pairs); the run is not finished." in told


def test_one_model_all_the_way_and_not_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results.jsonl"
    command = ["--only", "mlp", "--formats", "torchscript", "--no-public", "--results", str(results)]
    assert zoo.main(command) == 0
    outcome = read(results)["mlp", "torchscript", "ours"]
    assert outcome.commit == zoo.commit()
    assert (outcome.verdict, outcome.how, outcome.version) == (
        "verified",
        "torchscript_from_torch (script)",
        MLP.version,
    )
    assert "1 verified" in capsys.readouterr().out
    before = results.read_text()
    assert zoo.main([*command, "--write", str(tmp_path / "zoo.md")]) == 0
    assert results.read_text() == before
    assert "| mlp |" in (tmp_path / "zoo.md").read_text()


@pytest.mark.parametrize(("name", "said"), [("onnx", "off"), ("mar", "off"), ("tflite", "deploy check did not ask it")])
def test_what_was_proved_and_is_then_accused_is_told(name: str, said: str) -> None:
    rows = {"onnx": Agreement("mlp@1/onnx", error="off")} if name == "onnx" else {}
    rows |= (
        {"mar": Agreement("mlp@1/mar"), "reference": Agreement("mlp@1/reference", error="off")} if name == "mar" else {}
    )
    outcome = ours.accused(MLP, name, rows)
    assert outcome is not None
    assert outcome.verdict == "accused"
    assert said in outcome.reason


def test_the_judge_opens_a_model_and_agrees_with_it() -> None:
    opened = judge.opened(MLP)
    assert [spec.name for spec in opened.source.signature.inputs] == [*opened.inputs]
    np.testing.assert_array_equal(opened.source.predict(opened.inputs)["output"], opened.outputs["output"])
    assert 0 < opened.noise.greatest()["output"] < 1e-5


def test_a_model_that_takes_too_long_has_failed() -> None:
    (outcome,) = children.run(MLP, "ours", ["onnx"], seconds=0.0, gigabytes=8)
    assert (outcome.verdict, outcome.reason) == ("failed", "it did not end within 0 seconds")


def test_a_model_that_takes_too_much_has_failed() -> None:
    (outcome,) = children.run(MLP, "ours", ["onnx"], seconds=60, gigabytes=0.001)
    assert outcome.verdict == "failed"
    assert "GB of memory" in outcome.reason


class Renamed:
    """A file whose tensors have lost their names and the width of their integers."""

    signature = Signature(
        (TensorSpec("args_0", "int32", ("batch",)), TensorSpec("args_1", "float32", ("batch",))),
        (TensorSpec("output_0", "int32", ("batch",)),),
    )

    def predict(self, inputs: Tensors) -> Tensors:
        assert inputs["args_0"].dtype == np.int32
        return {"output_0": inputs["args_0"] * inputs["args_1"].astype(np.int32)}

    def close(self) -> None:
        """Nothing is held."""


def test_a_renamed_file_is_asked_in_the_order_of_its_tensors() -> None:
    specs = (TensorSpec("words", "int64", ("batch",)), TensorSpec("weight", "float32", ("batch",)))
    asked = InPlace(Renamed(), Signature(specs, (TensorSpec("total", "int64", ("batch",)),)))
    found = asked.predict({"weight": np.float32([2, 3]), "words": np.int64([5, 7])})
    assert found["total"].dtype == np.int64
    assert found["total"].tolist() == [10, 21]
    one_input = InPlace(Renamed(), Signature(specs[:1], ()))
    with pytest.raises(InputError, match="takes 2 tensors, the model 1"):
        one_input.predict({"words": np.int64([5])})
