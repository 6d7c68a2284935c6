"""TorchServe archives of ONNX files, and those with a handler, files and packages of the user's."""

from __future__ import annotations

import json
import py_compile
import subprocess
import sys
import zipfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as read_safetensors
from safetensors.numpy import save as write_safetensors

from deploy_core.errors import ExportError, UnavailableError, UnsafeError, UsageError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters.formats import mar
from deploy_exporters.safety import require_safe
from deploy_exporters.safety.mar import HANDLER
from deploy_exporters.steps.job import Job
from deploy_exporters.steps.mar import mar_from_onnx

SIGNATURE = Signature(
    (TensorSpec("in.put", "float32", ("batch", 3)), TensorSpec("index", "int64", ("batch",))),
    (TensorSpec("out-put", "float32", ("batch", 3)),),
)
TABLE = np.arange(6, dtype=np.float32).reshape(2, 3)
INPUTS = {"in.put": np.ones((2, 3), np.float32), "index": np.array([1, 0])}
WANT = INPUTS["in.put"] + TABLE[INPUTS["index"]]
OURS = (
    "from deploy_handler import DeployHandler\nfrom beside import NAME\n\nclass Mine(DeployHandler):\n    name = NAME\n"
)
JSON_ONLY = "def handle(data, context):\n    return [{'label': 'cat'} for _ in data]\n"
RAISES = "class Mine:\n    def initialize(self, context):\n        raise OSError('no GPU')\n\n    def handle(self, data, context): ...\n"
ALONE = """
import json, sys
sys.modules.update(dict.fromkeys(("torch", "deploy_exporters", "deploy_core", "safetensors", "ml_dtypes")))
folder = sys.argv[1]
sys.path.insert(0, folder)
from types import SimpleNamespace as Any
from deploy_handler import DeployHandler
manifest = json.load(open(folder + "/MAR-INF/MANIFEST.json"))
context = Any(system_properties={"model_dir": folder}, manifest=manifest, set_response_content_type=lambda *a: None)
handler = DeployHandler()
handler.initialize(context)
(answer,) = handler.handle([{"body": {"inputs": {"in.put": [[1, 1, 1]], "index": [1]}}}], context)
assert answer == {"outputs": {"out-put": [[4.0, 5.0, 6.0]]}}, answer
"""


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from onnx import TensorProto, helper, save

    x = helper.make_tensor_value_info("in.put", TensorProto.FLOAT, ["batch", 3])
    index = helper.make_tensor_value_info("index", TensorProto.INT64, ["batch"])
    y = helper.make_tensor_value_info("out-put", TensorProto.FLOAT, ["batch", 3])
    table = helper.make_tensor("table", TensorProto.FLOAT, [2, 3], TABLE.ravel().tolist())
    nodes = [
        helper.make_node("Gather", ["table", "index"], ["row"]),
        helper.make_node("Add", ["in.put", "row"], ["out-put"]),
    ]
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    graph = helper.make_graph(nodes, "lookup", [x, index], [y], [table])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def written(onnx_file: Path, target: Path, options: Mapping[str, str] | None = None) -> tuple[str, ...]:
    return mar_from_onnx(Job(onnx_file, target, SIGNATURE, (), "net", options or {})).remarks


@pytest.fixture
def archive(onnx_file: Path, tmp_path: Path) -> Generator[mar.Archive]:
    written(onnx_file, tmp_path / "net.mar")
    loaded = mar.load(tmp_path / "net.mar")
    yield loaded
    loaded.close()


def test_an_archive_of_an_onnx_file_predicts(archive: mar.Archive) -> None:
    assert archive.signature == SIGNATURE
    np.testing.assert_array_equal(archive.predict(INPUTS)["out-put"], WANT)


def test_it_speaks_the_bodies_of_the_other_archives(archive: mar.Archive) -> None:
    body = {"inputs": {name: array.tolist() for name, array in INPUTS.items()}}
    plain, binary, told = archive.handle(
        [{"body": body}, {"body": bytearray(write_safetensors(INPUTS))}, {"body": {"describe": True}}]
    )
    np.testing.assert_array_equal(plain["outputs"]["out-put"], WANT)
    np.testing.assert_array_equal(read_safetensors(binary)["out-put"], WANT)
    assert Signature.from_json(told["signature"]) == SIGNATURE
    assert archive.context.content_types == {
        0: "application/json",
        1: "application/octet-stream",
        2: "application/json",
    }


def test_what_onnx_runtime_refuses_is_a_400(archive: mar.Archive) -> None:
    body = {"inputs": {"in.put": [[1, 1, 1]], "index": [5]}}
    (answer,) = archive.handle([{"body": body}])
    assert "out of" in answer["error"]
    assert archive.context.statuses == {0: 400}


def test_its_handler_needs_neither_torch_nor_us(onnx_file: Path, tmp_path: Path) -> None:
    written(onnx_file, tmp_path / "net.mar")
    with zipfile.ZipFile(tmp_path / "net.mar") as opened:
        opened.extractall(tmp_path / "out")
    subprocess.run([sys.executable, "-c", ALONE, str(tmp_path / "out")], check=True, timeout=60)


def test_the_same_files_give_the_same_bytes(onnx_file: Path, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'mine'\n")
    options = {"extra-files": str(tmp_path / "beside.py")}
    for name in ("one", "two"):
        written(onnx_file, tmp_path / name, options)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def predicted(path: Path) -> Any:
    loaded = mar.load(path, SIGNATURE)
    try:
        return loaded.predict(INPUTS)
    finally:
        loaded.close()


def user_files(folder: Path, handler: str) -> dict[str, str]:
    for name, text in {
        "mine.py": handler,
        "beside.py": "NAME = 'mine'\n",
        "labels.txt": "cat",
        "need.txt": "six",
    }.items():
        (folder / name).write_text(text)
    return {
        "handler": str(folder / "mine.py"),
        "extra-files": f"{folder / 'beside.py'},{folder / 'labels.txt'}",
        "requirements": str(folder / "need.txt"),
    }


def test_a_handler_of_the_user_takes_the_place_of_ours(onnx_file: Path, tmp_path: Path) -> None:
    remarks = written(onnx_file, tmp_path / "net.mar", user_files(tmp_path, OURS))
    assert any("mine.py is the user's" in remark for remark in remarks)
    with zipfile.ZipFile(tmp_path / "net.mar") as opened:
        names = opened.namelist()
        model = json.loads(opened.read("MAR-INF/MANIFEST.json"))["model"]
        assert opened.read("requirements.txt") == b"six"
    assert names == [
        "MAR-INF/MANIFEST.json", "deploy_handler.py", "model.onnx", "signature.json",
        "mine.py", "beside.py", "labels.txt", "requirements.txt",
    ]  # fmt: skip
    assert (model["handler"], model["requirementsFile"]) == ("mine.py", "requirements.txt")
    loaded: Any = mar.load(tmp_path / "net.mar", SIGNATURE)
    assert loaded.handler.name == "mine"
    np.testing.assert_array_equal(loaded.predict(INPUTS)["out-put"], WANT)
    loaded.close()
    assert "beside" not in sys.modules, "the next archive has a file of that name, too"


@pytest.mark.parametrize(
    ("handler", "words"),
    [(JSON_ONLY, "does not answer safetensors bodies"), (RAISES, "does not start here: OSError: no GPU")],
)
def test_a_handler_that_only_torchserve_can_run_is_unavailable(
    onnx_file: Path, tmp_path: Path, handler: str, words: str
) -> None:
    written(onnx_file, tmp_path / "net.mar", user_files(tmp_path, handler))
    with pytest.raises(UnavailableError, match=words) as caught:
        predicted(tmp_path / "net.mar")
    assert "TorchServe" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text", "option", "words"),
    [
        ("mine.txt", OURS, "handler", "no name of a Python module"),
        ("my-handler.py", OURS, "handler", "no name of a Python module"),
        ("mine.py", "def handle(", "handler", "is no Python"),
        ("mine.py", "x = 1\n", "handler", "defines 0 classes and no function handle"),
        ("mine.py", "class A: ...\nclass B: ...\n", "handler", "defines 2 classes"),
        ("deploy_handler.py", OURS, "handler", "would be 'deploy_handler.py' in the archive"),
        ("signature.json", "{}", "extra-files", "would be 'signature.json' in the archive"),
        ("Model.ONNX", "", "extra-files", "would be 'Model.ONNX' in the archive"),
        ("sub/labels.txt", "", "extra-files", "is no file|there is no file"),
    ],
)
def test_what_cannot_lie_in_an_archive_is_refused(
    onnx_file: Path, tmp_path: Path, name: str, text: str, option: str, words: str
) -> None:
    if "/" not in name:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        written(onnx_file, tmp_path / "net.mar", {option: str(tmp_path / name)})
    assert caught.value.hint
    assert not (tmp_path / "net.mar").exists()


def test_two_files_of_one_name_are_refused(onnx_file: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "labels.txt").write_text(folder)
    both = ",".join(str(tmp_path / folder / "labels.txt") for folder in ("a", "b"))
    with pytest.raises(UsageError, match=r"would be 'labels.txt' in the archive"):
        written(onnx_file, tmp_path / "net.mar", {"extra-files": both})


def test_code_beside_our_handler_is_not_run_from_outside(onnx_file: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    options = user_files(tmp_path, f"open({str(marker)!r}, 'w').close()\n{JSON_ONLY}")
    written(onnx_file, tmp_path / "net.mar", options)
    with pytest.raises(UsageError, match="a handler that is not ours"):
        mar.load(tmp_path / "net.mar")
    evil = tmp_path / "evil.mar"
    with zipfile.ZipFile(tmp_path / "net.mar") as opened, zipfile.ZipFile(evil, "w") as copy:
        for name in opened.namelist():
            body = opened.read(name)
            if name == "MAR-INF/MANIFEST.json":
                body = body.replace(b'"handler": "mine.py"', f'"handler": "{HANDLER.name}"'.encode())
            copy.writestr(name.replace("mine.py", "numpy.py"), body)
    with pytest.raises(UsageError, match="a handler that is not ours"):
        mar.load(evil)
    assert not marker.exists()


def test_a_handler_of_another_name_is_not_ours(onnx_file: Path, tmp_path: Path) -> None:
    written(onnx_file, tmp_path / "net.mar", {})
    renamed = tmp_path / "renamed.mar"
    with zipfile.ZipFile(tmp_path / "net.mar") as opened, zipfile.ZipFile(renamed, "w") as copy:
        for name in opened.namelist():
            body = opened.read(name)
            if name == "MAR-INF/MANIFEST.json":
                body = body.replace(HANDLER.name.encode(), b"labels.txt")
            copy.writestr(name, body)
        copy.writestr("labels.txt", "what TorchServe would import may lie in a folder of this name")
    with pytest.raises(UsageError, match="a handler that is not ours"):
        mar.load(renamed)
    with pytest.raises(UnsafeError, match=r"not ours: labels\.txt"):
        require_safe(renamed, "mar")


def test_compiled_code_beside_our_handler_is_not_run(onnx_file: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    source = tmp_path / "keyword.py"
    source.write_text(f"open({str(marker)!r}, 'w').close()\n")
    py_compile.compile(str(source), cfile=str(tmp_path / "keyword.pyc"))
    written(onnx_file, tmp_path / "net.mar", {"extra-files": str(tmp_path / "keyword.pyc")})
    with pytest.raises(UsageError, match="a handler that is not ours"):
        mar.load(tmp_path / "net.mar")
    with pytest.raises(UnsafeError, match=r"not ours: keyword\.pyc"):
        require_safe(tmp_path / "net.mar", "mar")
    loaded = mar.load(tmp_path / "net.mar", trust=True)
    assert str(tmp_path) not in sys.path
    loaded.close()
    assert not marker.exists()


def test_text_has_no_bodies(onnx_file: Path, tmp_path: Path) -> None:
    signature = Signature((TensorSpec("words", "string", ("batch",)),), SIGNATURE.outputs)
    with pytest.raises(ExportError, match="words is text"):
        mar_from_onnx(Job(onnx_file, tmp_path / "net.mar", signature, (), "net"))
