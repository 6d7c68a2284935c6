"""Archives made by torch-model-archiver, served by TorchServe, and by others in its place."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_deploy
from documents import valid

import deploy_toolkit
from deploy_agreement import Noise
from deploy_core.errors import UnsafeError, UsageError
from deploy_toolkit.flows import answers, migrate

pytestmark = pytest.mark.xdist_group("torchserve")

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one = torch.nn.Linear(4, 8)
        self.two = torch.nn.Linear(8, 3)

    def forward(self, features):
        return self.two(torch.relu(self.one(features)))
"""
# As the examples of TorchServe have it: a BaseHandler with preprocessing, names of classes, and postprocessing.
PETS = """
import json
import os

import torch
from ts.torch_handler.base_handler import BaseHandler

class Pets(BaseHandler):
    def initialize(self, context):
        super().initialize(context)
        folder = context.system_properties.get("model_dir")
        with open(os.path.join(folder, "names.json")) as file:
            self.names = json.load(file)

    def preprocess(self, requests):
        rows = []
        for request in requests:
            data = request.get("data") or request.get("body")
            if isinstance(data, (bytes, bytearray)):
                data = json.loads(data.decode("utf-8"))
            rows.append([float(data[key]) for key in ("a", "b", "c", "d")])
        return (torch.tensor(rows) - 0.5) / 2

    def postprocess(self, outputs):
        chances = torch.softmax(outputs, dim=1)
        best = chances.argmax(dim=1)
        return [
            {"label": self.names[str(int(k))], "class": int(k), "chance": float(row[k])}
            for row, k in zip(chances, best)
        ]
"""
ROWS = """
import torch
from ts.torch_handler.base_handler import BaseHandler

class Rows(BaseHandler):
    def preprocess(self, requests):
        return torch.tensor([request.get("body") for request in requests])
"""
MAKE = """
import sys, torch, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, ".")
from net import Net
torch.manual_seed(0)
net = Net().eval()
torch.save(net.state_dict(), "net.pth")
torch.jit.save(torch.jit.script(net), "net.pt")
"""
REQUESTS = {"one": {"a": 1, "b": 2, "c": 0.25, "d": -3}, "two": {"a": -4, "b": 2.5, "c": 9, "d": 0}}


def make(root: Path) -> None:
    files = {"net.py": NET, "pets.py": PETS, "rows.py": ROWS, "names.json": '{"0": "cat", "1": "dog", "2": "bird"}'}
    for name, text in {**files, **{f"{name}.json": json.dumps(body) for name, body in REQUESTS.items()}}.items():
        (root / name).write_text(text)
    subprocess.run([sys.executable, "-c", MAKE], cwd=root, check=True, timeout=120)
    for arguments in (
        ("pets", "--model-file", "net.py", "--serialized-file", "net.pth", "--extra-files", "names.json"),
        ("rows", "--serialized-file", "net.pt"),
    ):
        name, *more = arguments
        archiver = [str(Path(sys.executable).with_name("torch-model-archiver")), "--model-name", name]
        archiver += ["--version", "1.0", "--handler", f"{name}.py", "--export-path", ".", *more]
        subprocess.run(archiver, cwd=root, check=True, timeout=120)


@pytest.fixture(scope="session")
def archives(shared: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    return shared("migrate-archives", make)


def test_an_eager_archive_moves_with_its_handler(archives: Path, tmp_path: Path) -> None:
    sent = [f"--request={archives / name}.json" for name in REQUESTS]
    arguments = ("migrate", archives / "pets.mar", "--to", "onnx,torchserve,embedded", *sent, "--trust", "--json")
    done = run_deploy(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = valid(done.stdout, "migrate-1")
    assert (told["requests"], told["handler"]) == (2, "pets.py")
    rows = told["agreement"]["rows"]
    subjects = [row["subject"].partition(":")[0] for row in rows]
    assert subjects[0] == "torchserve with pets.py"
    assert {"oip+rest", "oip+grpc", "tfserving+rest"} <= set(subjects)
    assert all(row["ok"] and row["rows"] == 2 for row in rows)
    files = {artifact["format"]: artifact["path"] for artifact in told["export"]["artifacts"]}
    assert set(files) == {"onnx", "mar"}
    assert_onnx_is_the_net(Path(files["onnx"]), archives)


def assert_onnx_is_the_net(path: Path, archives: Path) -> None:
    """By plain numpy, from the weights that were archived."""
    import onnxruntime
    import torch

    weights = {name: value.numpy() for name, value in torch.load(archives / "net.pth", weights_only=True).items()}
    x = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
    hidden = np.maximum(x @ weights["one.weight"].T + weights["one.bias"], 0)
    want = hidden @ weights["two.weight"].T + weights["two.bias"]
    (got,) = onnxruntime.InferenceSession(str(path)).run(None, {"features": x})
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_server_that_answers_otherwise_is_found(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TorchScript archive, asked for golden inputs in the JSON that its handler turns out to take."""
    through = migrate._through

    def off(endpoint: Any, wanted: Any) -> list[bytes]:
        right = through(endpoint, wanted)
        if str(endpoint).startswith("oip+grpc"):
            right[2] = json.dumps([value + 1e-3 for value in json.loads(right[2])]).encode()
        return right

    measured: list[Noise] = []
    moved = answers.moved
    monkeypatch.setattr(migrate, "_through", off)
    monkeypatch.setattr(answers, "moved", lambda *given: measured.append(moved(*given)) or measured[-1])
    found = deploy_toolkit.migrate(
        archives / "rows.mar", to="onnx", inputs="features:float32[batch,4]", trust=True, store=tmp_path / "models"
    )
    assert (found.requests, found.kept) == (8, "rows.py")
    assert [row.subject.partition(":")[0] for row in found.report.bad] == ["oip+grpc"]
    assert found.report.exit_code == 4
    assert len(found.report.rows) == 6
    (noise,) = measured
    assert noise.origin == "float64, through the handler"
    assert 0 < noise.greatest()["numbers"] < 1e-7


def test_code_that_is_not_trusted_does_not_run(archives: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsafeError, match="a handler that is not ours") as raised:
        migrate.migrate(migrate.Request(archives / "pets.mar", ("onnx",)), store=tmp_path / "models")
    assert "--trust" in raised.value.hint
    assert not (tmp_path / "models").exists()


def test_a_request_that_the_handler_does_not_take_is_told(archives: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"a": 1}')
    request = migrate.Request(archives / "pets.mar", ("onnx",), requests=(tmp_path / "bad.json",), trust=True)
    with pytest.raises(UsageError, match="does not answer that request: KeyError: 'b'"):
        migrate.migrate(request, store=tmp_path / "models")


def test_what_a_word_after_to_means() -> None:
    assert migrate.targets(("onnx", "tflite-int8")) == (("onnx", "tflite-int8"), ("embedded",))
    assert migrate.targets(("torchserve", "onnx", "mar")) == (("mar", "onnx"), ("torchserve",))
    assert migrate.targets(("embedded", "tfserving")) == (("onnx", "savedmodel"), ("embedded", "tfserving"))
    with pytest.raises(UsageError, match="'onx' is neither a format nor a server"):
        migrate.targets(("onx",))


@pytest.mark.parametrize(
    ("got", "why"),
    [
        ({"label": "cat", "chance": 0.5}, ""),
        ({"label": "cat", "chance": 0.50000001}, ""),
        ({"label": "cat", "chance": 0.51}, "is off by"),
        ({"label": "cat", "chance": float("nan")}, "NaN"),
        ({"label": "dog", "chance": 0.5}, "request 2 was answered"),
        ({"label": "cat"}, "request 2 was answered"),
        ({"label": "cat", "chance": 1}, "request 2 was answered"),
        ([], "request 2 was answered"),
    ],
)
def test_answers_are_compared_number_by_number_and_word_by_word(got: Any, why: str) -> None:
    first, want = b'{"label": "cat", "chance": 0.25}', json.dumps({"label": "cat", "chance": 0.5}).encode()
    row = answers.compared("it", [first, want], [first, json.dumps(got).encode()], Noise({}, "none"))
    assert row.ok == (not why)
    assert why.casefold() in row.why.casefold()


@pytest.mark.parametrize(
    ("held", "said"),
    [(None, "there is no file"), ("text", "no archive of TorchServe"), ("zip", "no archive of TorchServe")],
)
def test_what_is_no_archive_is_told_at_once(tmp_path: Path, held: str | None, said: str) -> None:
    path = tmp_path / "none.mar"
    if held == "text":
        path.write_text("a model")
    elif held == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weights.pt", b"")
    with pytest.raises(UsageError, match=said) as raised:
        migrate.migrate(migrate.Request(path, ("onnx",), trust=True), store=tmp_path / "models")
    assert raised.value.hint
