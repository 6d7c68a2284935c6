"""TorchServe archives: deterministic bytes, and a handler that answers each request of a batch apart."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load as read_safetensors
from safetensors.numpy import save as write_safetensors

from deploy_core.signature import Signature
from deploy_exporters.formats import mar
from deploy_exporters.safety.mar import HANDLER
from deploy_exporters.steps.job import Job
from deploy_exporters.steps.mar import mar_from_torchscript

# TorchServe's own Python side, without its Java side. It leaves files open, which our warnings would not let pass.
TORCHSERVE = """
import json, struct, sys
folder = sys.argv[1]
sys.path.insert(0, folder)
from ts.model_loader import TsModelLoader

class Metrics:
    request_ids = None
    def add_time(self, *args): pass

service = TsModelLoader().load("net", folder, "deploy_handler.py", None, 2, None)
service.context.metrics = Metrics()
service.set_cl_socket(None)

def request(number, body):
    parameter = {"name": "body", "contentType": "application/json", "value": json.dumps(body).encode()}
    return {"requestId": number, "headers": [], "parameters": [parameter]}

row = [1, 2, 3, 4, 5, 6]
reply = bytes(service.predict([request(b"a", {"inputs": {"x": [row, row]}}), request(b"b", {"inputs": {"x": [[1]]}})]))
assert struct.unpack("!i", reply[:4])[0] == 200, reply
assert reply.count(b"application/json") == 4, reply  # as content type and among the headers, of both
assert b'"outputs"' in reply, reply
assert b"has shape [1, 1], not ['batch', 6]" in reply, reply
assert struct.pack("!i", 400) in reply, reply
"""
INPUT = {"x": np.linspace(-1, 1, 18, dtype=np.float32).reshape(3, 6)}


@pytest.fixture
def archive(exported: Any) -> Generator[mar.Archive]:
    loaded = mar.load(exported("torch-simple").artifacts["mar"].path)
    yield loaded
    loaded.close()


@pytest.fixture
def want(exported: Any, archive: mar.Archive) -> np.ndarray:
    return archive.predict(INPUT)["output"]


def test_json_in_json_out(archive: mar.Archive, want: np.ndarray) -> None:
    body = {"inputs": {"x": INPUT["x"].tolist()}}
    for form in (body, json.dumps(body).encode(), bytearray(json.dumps(body, indent=4).encode())):
        (answer,) = archive.handle([{"body": form}])
        printed = json.loads(json.dumps(answer))["outputs"]["output"]
        np.testing.assert_array_equal(np.asarray(printed, np.float32), want)
    assert archive.context.statuses == {}


def test_safetensors_in_safetensors_out(archive: mar.Archive, want: np.ndarray) -> None:
    (answer,) = archive.handle([{"body": bytearray(write_safetensors(INPUT))}])
    np.testing.assert_array_equal(read_safetensors(answer)["output"], want)
    assert archive.context.content_types == {0: "application/octet-stream"}


def test_describe(archive: mar.Archive) -> None:
    (answer,) = archive.handle([{"body": {"describe": True}}])
    assert Signature.from_json(answer["signature"]) == archive.signature
    assert answer["version"].startswith("sha-")


def counted(archive: mar.Archive) -> list[int]:
    """The rows of each run from now on."""
    rows: list[int] = []
    handler: Any = archive.handler
    run = handler.run

    def noted(inputs: Any) -> Any:
        rows.append(len(next(iter(inputs.values()))[1]))
        return run(inputs)

    handler.run = noted
    return rows


def test_requests_of_one_batch_are_run_as_one(archive: mar.Archive, want: np.ndarray) -> None:
    runs = counted(archive)
    requests: list[dict[str, Any]] = [
        {"body": {"inputs": {"x": INPUT["x"][:2].tolist()}}},
        {"body": {"describe": True}},
    ]
    requests += [{"body": {"inputs": {"y": [[1]]}}}, {"body": bytearray(write_safetensors({"x": INPUT["x"][2:]}))}]
    first, told, refused, last = archive.handle(requests)
    assert runs == [3]
    assert archive.context.statuses == {2: 400}
    assert set(told) == {"signature", "version"}
    assert "the inputs are x, not y" in refused["error"]
    np.testing.assert_allclose(first["outputs"]["output"], want[:2], rtol=1e-6)
    np.testing.assert_allclose(read_safetensors(last)["output"], want[2:], rtol=1e-6)
    assert archive.context.content_types[3] == "application/octet-stream"


def test_requests_that_cannot_be_joined_run_alone(exported: Any) -> None:
    loaded = mar.load(exported("torch-heads").artifacts["mar"].path)
    runs = counted(loaded)
    good, bad = ({"inputs": {"tokens": [[token] * 7], "weight": [[1.0]]}} for token in (1, 99))
    answers = loaded.handle([{"body": good}, {"body": bad}, {"body": good}])
    assert runs == [3, 1, 1, 1], "who is to blame for a joined run that fails is seen alone"
    assert loaded.context.statuses == {1: 400}
    assert answers[0] == answers[2] != answers[1]
    loaded.close()


def test_a_batch_of_requests_is_answered_one_by_one(archive: mar.Archive, want: np.ndarray) -> None:
    requests: list[dict[str, Any]] = [
        {"body": {"inputs": {"x": INPUT["x"][row : row + 1].tolist()}}} for row in range(3)
    ]
    requests.insert(1, {"body": {"inputs": {"y": [[1]]}}})
    requests.append({"body": bytearray(write_safetensors(INPUT))})
    answers = archive.handle(requests)
    assert archive.context.statuses == {1: 400}
    assert answers[1] == {"error": "the inputs are x, not y"}
    rows = [answers[index]["outputs"]["output"][0] for index in (0, 2, 3)]
    np.testing.assert_allclose(np.asarray(rows, np.float32), want, rtol=1e-6)
    np.testing.assert_array_equal(read_safetensors(answers[4])["output"], want)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "send a body"),
        (b"", "neither JSON nor safetensors"),
        (b"\x01\x02\x03", "neither JSON nor safetensors"),
        (b"\xff" * 40, "neither JSON nor safetensors"),
        (b'{"inputs": ', "is not JSON"),
        (b'{"inputs": {"x": ' + b"[" * 100_000, "is not JSON"),
        (b"{}", 'has no "inputs"'),
        ({"inputs": [1, 2]}, 'has no "inputs"'),
        ({"inputs": {}}, "the inputs are x, not none"),
        ({"inputs": {"x": [[1, 2, 3]]}}, "has shape [1, 3], not ['batch', 6]"),
        ({"inputs": {"x": [1, 2, 3, 4, 5, 6]}}, "has shape [6]"),
        ({"inputs": {"x": [[1, 2, 3, 4, 5, 6], [1]]}}, "cannot be read as float32"),
        ({"inputs": {"x": [["1", 2, 3, 4, 5, 6]]}}, "cannot be read as float32"),
        ({"inputs": {"x": [[None, 2, 3, 4, 5, 6]]}}, "cannot be read as float32"),
        ({"inputs": {"x": [[True, False, True, True, True, True]]}}, "cannot be read as float32"),
        (bytearray(write_safetensors({"x": np.zeros((2, 6))})), "has dtype float64, not float32"),
        (bytearray(write_safetensors({"z": np.zeros((2, 6), np.float32)})), "the inputs are x, not z"),
        (bytearray(write_safetensors(INPUT)[:-4]), "holds 68 bytes for a tensor of shape [3, 6]"),
    ],
)
def test_a_bad_body_is_a_400_that_says_why(archive: mar.Archive, body: Any, words: str) -> None:
    (answer,) = archive.handle([{"body": body}])
    assert words in answer["error"]
    assert archive.context.statuses == {0: 400}


def test_torchserve_itself_loads_and_asks_the_handler(exported: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(exported("torch-simple").artifacts["mar"].path) as archive:
        archive.extractall(tmp_path)
    subprocess.run([sys.executable, "-c", TORCHSERVE, str(tmp_path)], check=True, timeout=120)


def test_numbers_that_do_not_fit_are_refused_and_not_wrapped(exported: Any) -> None:
    loaded = mar.load(exported("torch-heads").artifacts["mar"].path)
    weight = [[1.0]]
    for tokens in ([[2**63] * 7], [[0.5] * 7], [[-(2**70)] * 7], [[True] * 7]):
        (answer,) = loaded.handle([{"body": {"inputs": {"tokens": tokens, "weight": weight}}}])
        assert "cannot be read as int64" in answer["error"]
    (answer,) = loaded.handle([{"body": {"inputs": {"tokens": [[1] * 7] * 2, "weight": weight}}}])
    assert "another input has 2" in answer["error"]
    (answer,) = loaded.handle([{"body": {"inputs": {"tokens": [[99] * 7], "weight": weight}}}])
    assert "error" in answer, "an index out of range is the request's fault"
    loaded.close()


@pytest.mark.parametrize(
    "dtype",
    [
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", ml_dtypes.bfloat16),
    ],
)
def test_its_safetensors_are_everybodys(dtype: Any) -> None:
    from safetensors.torch import load as read_as_torch

    from deploy_exporters import deploy_handler
    from deploy_exporters.sources.torch import to_array

    def to_numpy(dtype: str, array: np.ndarray) -> np.ndarray:
        return array.view(ml_dtypes.bfloat16) if dtype == "bfloat16" else array

    arrays = {
        "matrix": np.arange(6).reshape(2, 3).astype(dtype),
        "scalar": np.ones((), dtype),
        "empty": np.zeros((0, 4), dtype),
    }
    tensors = deploy_handler.read_safetensors(write_safetensors(arrays))
    written = read_as_torch(deploy_handler.write_safetensors(tensors))  # its numpy side knows no bfloat16
    for name, array in arrays.items():
        assert to_array(written[name]).dtype == array.dtype
        np.testing.assert_array_equal(to_array(written[name]), array)
        np.testing.assert_array_equal(to_numpy(*tensors[name]), array)
        np.testing.assert_array_equal(to_array(deploy_handler.to_tensor(array)), array)


def test_the_same_model_gives_the_same_bytes(exported: Any, tmp_path: Path) -> None:
    result = exported("torch-simple")
    script, signature = result.artifacts["torchscript"].path, result.artifacts["mar"].signature
    for name in ("one", "two"):
        mar_from_torchscript(Job(script, tmp_path / name, signature, (), "net"))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_bytes() == result.artifacts["mar"].path.read_bytes()
    note = tmp_path / "note.txt"
    note.write_text("more")
    mar_from_torchscript(Job(script, tmp_path / "other", signature, (), "net", options={"extra-files": str(note)}))
    assert mar.version_of(tmp_path / "one") == mar.version_of(tmp_path / "two") != mar.version_of(tmp_path / "other")


def test_the_archive_is_what_torchserve_reads(exported: Any) -> None:
    with zipfile.ZipFile(exported("torch-simple").artifacts["mar"].path) as archive:
        assert archive.namelist() == ["MAR-INF/MANIFEST.json", "deploy_handler.py", "model.pt", "signature.json"]
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
        assert archive.read("deploy_handler.py") == HANDLER.read_bytes()
    assert manifest["model"] == {
        "modelName": "net", "handler": "deploy_handler.py", "serializedFile": "model.pt",
        "modelVersion": mar.version_of(exported("torch-simple").artifacts["mar"].path),
    }  # fmt: skip
    assert manifest["runtime"] == "python"


def test_the_handler_stands_alone() -> None:
    imports = {
        line.split()[1].partition(".")[0]
        for line in HANDLER.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imports <= {
        "__future__",
        "runpy",
        "collections",
        "contextlib",
        "json",
        "keyword",
        "re",
        "numpy",
        "pathlib",
        "struct",
        "typing",
        "warnings",
    }
    classes = [line for line in HANDLER.read_text().splitlines() if line.startswith("class ")]
    assert classes == ["class DeployHandler:"], "TorchServe takes the only class of the module"
