"""The main road: every example model in every format, stored, checked, served and asked, on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import FORMATS, MODELS, Deploy
from documents import valid

from deploy_core.artifact import Artifact
from deploy_core.endpoint import Endpoint
from deploy_exporters.formats import hosted
from deploy_exporters.worker import Workers
from deploy_model_store import Store

# Float32 sums in another order: a few units in the last place of outputs of at most about ±10.
CLOSE = {"rtol": 2e-6, "atol": 4e-6}


@pytest.mark.parametrize("name", MODELS)
def test_every_artifact_predicts_the_golden_outputs_by_plain_numpy(name: str, models: Path, tmp_path: Path) -> None:
    version = Store(models).resolve(name)
    golden = version.golden
    assert [artifact.name for artifact in version.artifacts] == list(FORMATS)
    with Workers(tmp_path) as workers:
        for artifact in version.artifacts:
            _compare(workers, artifact, golden.inputs, golden.outputs)


def _compare(workers: Workers, artifact: Artifact, inputs: Any, outputs: Any) -> None:
    predictor = hosted(workers, artifact)
    for rows in (slice(0, 1), slice(3, 5), slice(7, 14), slice(0, 64)):
        got = predictor.predict({key: value[rows] for key, value in inputs.items()})
        assert got.keys() == outputs.keys()
        for key, value in outputs.items():
            np.testing.assert_allclose(got[key], value[rows], err_msg=f"{artifact.name} {key}", **CLOSE)


@pytest.mark.parametrize("name", ["simplenet", "simplecnn"])
def test_the_twin_in_keras_predicts_what_torch_does(name: str, models: Path) -> None:
    ours, twin = Store(models).resolve(name).golden, Store(models).resolve(f"{name}-twin").golden
    for key in ours.inputs:
        np.testing.assert_array_equal(ours.inputs[key], twin.inputs[key])
    for key in ours.outputs:
        np.testing.assert_allclose(ours.outputs[key], twin.outputs[key], **CLOSE)


@pytest.mark.parametrize("name", MODELS)
def test_names_layout_and_dynamic_batch_are_kept(name: str, models: Path) -> None:
    signature = Store(models).resolve(name).signature
    image = [3, 16, 16] if name != "simplecnn-keras" else [16, 16, 3]
    want = "features:float32[batch,6]" if "net" in name else f"image:float32[batch,{','.join(map(str, image))}]"
    assert str(signature.inputs[0]) == want
    assert str(signature.outputs[0]) == f"output:float32[batch,{1 if 'net' in name else 2}]"


def test_check_against_the_twin_in_json(deploy: Deploy, models: Path) -> None:
    done = deploy("check", "simplenet", "simplenet-twin", "--json", "--store", models)
    assert done.returncode == 0, done.stderr
    document = valid(done.stdout, "agreement-1")
    assert [row["subject"].partition("/")[0] for row in document["rows"]] == ["simplenet@1"] * 6 + [
        "simplenet-twin@1"
    ] * 6
    assert all(row["verdict"] == "agree" for row in document["rows"])


def test_files_outside_the_store(deploy: Deploy, models: Path, tmp_path: Path) -> None:
    version = Store(models).resolve("simplenet")
    np.savez(tmp_path / "x.npz", features=np.linspace(-2, 2, 60, dtype=np.float32).reshape(10, 6))
    paths = [version.artifact(name).path for name in ("onnx", "tflite", "torchscript", "mar", "savedmodel")]
    done = deploy("check", *paths, "--inputs", "x.npz", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["subject"] for row in json.loads(done.stdout)["rows"]] == [str(path) for path in paths[1:]]


def test_one_row_tells_enough_of_rounding(deploy: Deploy, models: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", features=np.ones((1, 6), np.float32))
    done = deploy("check", "simplenet", "--inputs", "x.npz", "--store", models)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "64 rows" in done.stdout


def test_two_trainings_disagree_in_every_report(deploy: Deploy, models: Path, tmp_path: Path) -> None:
    files = ("--html", tmp_path / "check.html", "--junit", tmp_path / "check.xml", "--tensorboard", tmp_path / "runs")
    done = deploy("check", "simplenet", "simplenet-keras", "--store", models, *files)
    assert done.returncode == 4
    assert "DISAGREES" in done.stdout
    assert "disagree: simplenet-keras@1/" in (tmp_path / "check.html").read_text()
    assert "<failure" in (tmp_path / "check.xml").read_text()
    assert "simplenet-keras@1_onnx" in {run.name for run in (tmp_path / "runs").iterdir()}
    assert "next: deploy check simplenet simplenet-keras --store" in done.stderr


@pytest.mark.parametrize(
    ("args", "schema"),
    [
        (("store", "ls"), "store-1"),
        (("store", "show", "simplenet"), "version-1"),
        (("store", "verify"), "verify-1"),
        (("formats",), "formats-1"),
        (("servers",), "servers-1"),
        (("serve", "simplenet", "--dry-run"), "launch-1"),
        (("serve", "simplenet", "--dry-run", "--server", "torchserve"), "launch-1"),
        (("serve", "simplenet", "--dry-run", "--server", "triton"), "launch-1"),
        (("predict", "simplenet", "--input", "x.json"), "predict-1"),
        (("package", "simplenet", "--for", "linux"), "package-1"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_documents_hold_their_schema(
    args: tuple[str, ...], schema: str, deploy: Deploy, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.json").write_text('{"features": [[1, 2, 3, 4, 5, 6]]}')
    for_machines = deploy(*args, "--json", "--store", models)
    assert for_machines.returncode == 0, for_machines.stderr
    valid(for_machines.stdout, schema)
    for_people = deploy(*args, "--store", models)
    assert for_people.returncode == 0, for_people.stderr
    assert for_people.stdout.strip()


def test_export_and_alias_documents(deploy: Deploy) -> None:
    source = f"{Path(__file__).parent / 'bad_sources.py'}:good"
    exported = deploy("export", source, "--to", "onnx", "--name", "net", "--output", "score", "--json")
    assert exported.returncode == 0, exported.stderr
    document = valid(exported.stdout, "export-1")
    assert document["artifacts"][0]["signature"]["outputs"][0]["name"] == "score"
    aliased = deploy("store", "alias", "net", "stable", "--json")
    assert valid(aliased.stdout, "alias-1")["version"] == 1
    assert deploy("store", "show", "net@stable").returncode == 0


@pytest.fixture(scope="module")
def served(models: Path) -> Generator[list[Endpoint]]:
    """`deploy serve` of the whole store, as a user starts it; ended by SIGTERM, which must end it with 0."""
    command = [sys.executable, "-m", "deploy_toolkit.cli", "serve", "--json", "--quiet", "--store", str(models)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        text = ""
        while (line := process.stdout.readline()) not in ("}\n", ""):
            text += line
        document = valid(text + line, "serve-1")
        yield [Endpoint.parse(url) for url in document["endpoints"]]
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_the_questions_of_the_issue(served: list[Endpoint], models: Path) -> None:
    address = next(e.address for e in served if e.transport == "rest")
    question = json.dumps({"instances": [[1, 2, 3, 4, 5, 6]]}).encode()
    (tfserving,) = _ask(f"http://{address}/v1/models/simplenet:predict", question)["predictions"]
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, 6], "data": [1, 2, 3, 4, 5, 6]}
    answer = _ask(f"http://{address}/v2/models/simplenet/infer", json.dumps({"inputs": [tensor]}).encode())
    assert answer["outputs"][0]["data"] == tfserving
    assert answer["outputs"][0]["name"] == "output"


@pytest.mark.parametrize("name", MODELS)
def test_every_endpoint_agrees(name: str, served: list[Endpoint], deploy: Deploy, models: Path) -> None:
    urls = [str(endpoint) for endpoint in served if endpoint.model == name]
    assert {(e.dialect, e.transport) for e in served if e.model == name} >= {
        (dialect, transport) for dialect in ("tfserving", "oip") for transport in ("rest", "grpc")
    }
    done = deploy("check", name, *(arg for url in urls for arg in ("--endpoint", url)), "--json", "--store", models)
    assert done.returncode == 0, done.stderr + done.stdout
    assert {row["subject"] for row in json.loads(done.stdout)["rows"]} >= set(urls)


@pytest.mark.parametrize(("server", "dialect"), [("torchserve", "torchserve"), ("triton", "oip")])
def test_other_servers_agree(deploy: Deploy, models: Path, server: str, dialect: str) -> None:
    done = deploy("check", "simplecnn", "--server", server, "--json", "--store", models)
    assert done.returncode == 0, done.stderr + done.stdout
    subjects = [row["subject"] for row in json.loads(done.stdout)["rows"]]
    assert [url.partition("://")[0] for url in subjects if "://" in url] == [f"{dialect}+rest", f"{dialect}+grpc"]


def test_the_demo(deploy: Deploy) -> None:
    done = deploy("demo", "--json", "--store", "out")
    assert done.returncode == 0, done.stderr + done.stdout
    document = valid(done.stdout, "demo-1")
    left_out = [note for note in document["notes"] if not note.startswith("tfserving was left out")]
    assert left_out == [], "no other server is left out where tests run"
    subjects = [row["subject"] for report in document["reports"] for row in report["rows"]]
    for name in ("simplenet", "simplenet-keras", "simplenet-twin"):
        assert {f"{name}@1/{format_}" for format_ in FORMATS} <= set(subjects)
    # The embedded server speaks three dialects over two transports for each of three models, TorchServe and Triton one.
    assert sum("://" in subject for subject in subjects) == 3 * 3 * 2 + 2 * 3 * 2


def _ask(url: str, body: bytes) -> Any:
    with urllib.request.urlopen(url, body, timeout=30) as reply:
        return json.load(reply)
