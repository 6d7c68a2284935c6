"""Formats that are added to a stored version: from its reference, its files carried over, its proof kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from command_line import Deploy

from deploy_exporters.formats import load
from deploy_model_store import Store


def test_formats_are_added_to_a_version(deploy: Deploy, models: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(models / "simplenet-keras", store / "simplenet-keras")  # the other tests' store stays as it is
    done = deploy("export", "simplenet-keras@1", "--to", "openvino,pt2", "--store", store, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["version"], document["added"]) == (2, ["openvino", "pt2"])
    assert "with openvino, pt2 added to simplenet-keras@1" in done.stderr
    before, after = (Store(store).version("simplenet-keras", number) for number in (1, 2))
    assert after.training_id == before.training_id
    assert after.signature == before.signature
    assert [a.name for a in after.artifacts] == [*(a.name for a in before.artifacts), "openvino", "pt2"]
    old, carried = before.artifact("onnx"), after.artifact("onnx")
    assert carried.path.stat().st_ino == old.path.stat().st_ino, "old files are hard links"
    # What is there already is read, not made again.
    assert after.artifact("openvino").route == (*old.route, "openvino_from_onnx")
    assert not after.verify()
    golden = after.golden
    predictor = load(after.artifact("pt2"))
    for name, want in golden.outputs.items():
        np.testing.assert_allclose(predictor.predict(golden.inputs)[name], want, atol=1e-5)
    rows = [row["subject"] for row in after.agreement["rows"]]
    assert {"onnx", "tflite", "openvino", "pt2", "reference"} <= set(rows)
    assert len(rows) == len(set(rows))


def test_what_a_version_knows_is_not_given_again(deploy: Deploy, models: Path) -> None:
    for option, value in (("--name", "other"), ("--output", "y"), ("--input", "x:float32[batch,6]")):
        done = deploy("export", "simplenet", "--to", "onnx", option, value, "--store", models)
        assert done.returncode == 2, done.stderr
        assert f"leave out {option}" in done.stderr
    done = deploy("export", "simplenet@99", "--to", "onnx", "--store", models)
    assert done.returncode == 2
    assert "has no version 99" in done.stderr


def test_a_damaged_version_gets_no_further_formats(deploy: Deploy, models: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(models / "simplenet", store / "simplenet")
    file = Store(store).version("simplenet", 1).artifact("onnx").path
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    done = deploy("export", "simplenet", "--to", "openvino", "--store", store)
    assert done.returncode == 4, done.stderr
    assert "onnx/model.onnx is changed" in done.stderr
    assert Store(store).versions("simplenet") == [1]
