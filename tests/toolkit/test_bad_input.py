"""Each mistake is one clear sentence with what to do, the right exit code, and nothing half-written."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Deploy

from deploy_core.errors import InputError, UsageError
from deploy_toolkit.commands import tensor_files
from deploy_toolkit.flows.check.request import inputs_from

SOURCES = Path(__file__).parent / "bad_sources.py"


def _export(source: str, formats: str = "onnx", *more: object) -> tuple[object, ...]:
    return ("export", source, "--to", formats, "--name", "net", *more)


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (_export("nowhere.py:net"), 2, "nowhere.py"),
        (_export("nowhere"), 2, "is not a source"),
        (_export(f"{SOURCES}"), 2, "names no attribute"),
        (_export(f"{SOURCES}:absent"), 2, "absent"),
        (_export(f"{SOURCES}:not_a_model"), 2, "dict"),
        (_export(f"{SOURCES}:good", "onyx"), 2, "unknown format 'onyx'"),
        (_export(f"{SOURCES}:good", "onnx", "--set", "onnx.opsett=3"), 2, "opsett"),
        (_export(f"{SOURCES}:good", "onnx", "--set", "opset"), 2, "has no value"),
        (_export(f"{SOURCES}:good", "onnx", "--input", "x=3"), 2, "is not a tensor spec"),
        (_export(f"{SOURCES}:good", "onnx", "--example", "absent.npz"), 2, "absent.npz does not exist"),
        (_export(f"{SOURCES}:good", "onnx", "--output", "a", "--output", "b"), 2, "2 output names"),
        (("export", f"{SOURCES}:good", "--to", "onnx", "--name", "../net"), 2, "no name for a model"),
        (_export(f"{SOURCES}:good", "onnx", "--signature", "go"), 2, "--signature go is for a SavedModel"),
        (_export(f"{SOURCES}:nan"), 3, "NaN"),
        (_export(f"{SOURCES}:raises_when_converted"), 3, "does not want to be converted"),
        (_export(f"{SOURCES}:random"), 3, "answers the same inputs differently"),
        (_export(f"{SOURCES}:rows_depend"), 3, "does not agree with itself"),
        (_export(f"{SOURCES}:raises"), 3, "no weights here"),
        (_export(f"{SOURCES}:dies"), 3, "SIGSEGV"),
        (_export(f"{SOURCES}:exits"), 3, "SystemExit"),
        (("serve", "absent"), 2, "no model 'absent'"),
        (("serve", "absent@3"), 2, "no model 'absent'"),
        (("serve",), 2, "holds no model"),
        (("serve", "absent", "--server", "nginx"), 2, "unknown server 'nginx'"),
        (("check", "absent"), 2, "neither a stored model nor a file nor an endpoint"),
        (("check", "http://127.0.0.1:1/m"), 2, "is not an endpoint"),
        (("check", "tfserving+rest://127.0.0.1:1/m"), 2, "no inputs are known to ask"),
        (("check", "absent", "--atol", "inf"), 2, "atol is inf"),
        (("check", "absent", "--search", "nan"), 2, "search is nan"),
        (("check", "absent", "--found", SOURCES), 2, "is no folder"),
        (("check", "absent", "--html", "x", "--junit", "./x"), 2, "--html and --junit both name x"),
        (("check", "absent", "--html", "/proc/a.html"), 2, "/proc/a.html cannot be written"),
        (("check", "absent", "--junit", "/proc/a.xml"), 2, "/proc/a.xml cannot be written"),
        (("check", "absent", "--tensorboard", "/proc/runs"), 2, "/proc/runs cannot be written"),
        (("check", "absent", "--search", "1", "--found", "/proc/found"), 2, "/proc/found cannot be written"),
        (("predict", "absent", "--input", "x.json"), 2, "x.json does not exist"),
        (("check", SOURCES, "--server", "embedded"), 2, "nothing is named that embedded could serve"),
        (("store", "show", "absent"), 2, "no model 'absent'"),
        (("store", "verify"), 2, "holds no model"),
        (("store", "alias", "absent", "stable"), 2, "no model 'absent'"),
        (("frobnicate",), 2, "No such command"),
        (("export", "x.keras"), 2, "--to"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_told(args: tuple[object, ...], code: int, said: str, deploy: Deploy, tmp_path: Path) -> None:
    done = deploy(*args)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not [path for path in tmp_path.glob("models/*") if not path.name.startswith(".")]
    assert not list(tmp_path.glob("models/.staging/*~*"))


def test_inputs_that_do_not_fit_are_told_with_the_file_that_they_are_from() -> None:
    with pytest.raises(InputError, match=r"^mine\.npz: too few") as caught, inputs_from("mine.npz"):
        raise InputError("too few", hint="give more")
    assert caught.value.hint == "give more"


_MAR = ("--handler", "h.py")
_INT8 = ("--quantize", "int8", "--calibration")
_INPUT = ("--input", "input:float32[batch,seq,6]")


@pytest.mark.parametrize(
    ("formats", "more", "said"),
    [
        ("onnx", ("--set", "onnx.opset=abc"), "onnx.opset is 'abc'"),
        ("mar", ("--handler", "absent.py"), "mar.handler: there is no file absent.py"),
        ("mar", ("--extra-files", "h.py,absent.txt"), "mar.extra-files: there is no file absent.txt"),
        ("mar", ("--requirements", "absent.txt"), "mar.requirements: there is no file absent.txt"),
        ("mar", _MAR, "mar.handler: h.py is no Python"),
        ("tflite", (*_INT8, "absent.npz"), "absent.npz does not exist"),
        ("tflite", (*_INPUT, *_INT8, "h.py"), "h.py holds no named tensors: it is a text file"),
        ("tflite", (*_INT8, "nan.npz"), "the calibration data for 'input' hold NaN"),
        ("tflite", (*_INT8, "none.npz"), "none.npz holds no named tensors: it is empty"),
        ("tflite", (*_INPUT, *_INT8, "other.npz"), "wrong input names: missing input; unknown other"),
        ("onnx", (*_INPUT, "--range", "sec=1..9"), "a range is given for 'sec'"),
        ("onnx", ("--static", "--range", "batch=1..9"), "the dynamic dimensions are none"),
        ("onyx", (), "known: coreml, executorch, mar, onnx, openvino, pt2, savedmodel, tflite, torchscript"),
        ("keras", (), "nothing is exported to 'keras'"),
        ("tflite-int4", (), "there are tflite, tflite-float16, tflite-dynamic-int8, tflite-int8"),
    ],
)
def test_what_needs_no_model_is_told_before_one_is_opened(
    formats: str, more: tuple[str, ...], said: str, deploy: Deploy, tmp_path: Path
) -> None:
    (tmp_path / "h.py").write_text("def handle(data, context) return data\n")
    np.savez(tmp_path / "nan.npz", input=np.full((32, 6), np.nan, np.float32))
    np.savez(tmp_path / "other.npz", other=np.ones((32, 5, 6), np.float32))
    np.savez(tmp_path / "none.npz")
    done = deploy(*_export(f"{SOURCES}:good", formats, *more))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "opening" not in done.stderr


def test_a_range_that_a_version_cannot_have_is_told_before_it_is_opened(deploy: Deploy, models: Path) -> None:
    done = deploy("export", "simplenet", "--to", "executorch", "--range", "seq=1..9", "--store", models)
    assert done.returncode == 2, done.stderr
    assert "the dynamic dimensions are batch" in done.stderr
    assert "opening" not in done.stderr


def test_debug_shows_where_and_keeps_the_exit_code(deploy: Deploy) -> None:
    done = deploy("serve", "absent", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "no model 'absent'" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_export_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy_toolkit.cli", *_export(f"{SOURCES}:waits")]
    process = subprocess.Popen(list(map(str, command)), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "opening" in process.stderr.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert not list(tmp_path.glob("models/.staging/*~*"))


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ({"input": np.ones((4, 5), np.float32)}, "shape"),
        ({"input": np.ones((4, 6), np.int64)}, ""),
        ({"other": np.ones((4, 6), np.float32)}, "other"),
        ({"input": np.ones((0, 6), np.float32)}, "empty"),
    ],
)
def test_a_wrong_example_is_told(example: dict[str, np.ndarray], said: str, deploy: Deploy, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **example)
    done = deploy(*_export(f"{SOURCES}:good", "onnx", "--example", "x.npz"))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr


_NPZ = io.BytesIO()
np.savez_compressed(_NPZ, input=np.arange(600, dtype=np.float32).reshape(100, 6))
_FLIPPED = bytearray(_NPZ.getvalue())
_FLIPPED[200:260] = bytes(60)


def _zip(**files: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return written.getvalue()


def _saved(save: Callable[[io.BytesIO], None]) -> bytes:
    written = io.BytesIO()
    save(written)
    return written.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.npz", b"", "it is empty"),
        ("x.npz", _NPZ.getvalue()[:200], "cut off or damaged"),
        ("x.npz", bytes(_FLIPPED), ""),
        ("x.npz", b"a;b\n1;2\n", "it is a text file"),
        ("x.npz", pickle.dumps({"x": 1}), "it is a pickle"),
        ("x.npz", b"\x89HDF\r\n\x1a\n\0", "it is an HDF5 file"),
        ("x.npz", b"RIFF\0\0", "a file of another kind"),
        ("x.npz", _saved(lambda file: np.save(file, np.ones(3))), r"a single array \(.npy\), which has no name"),
        ("x.npz", _saved(lambda file: np.savez(file, x=np.array([{}]))), "'x' holds Python objects"),
        ("x.npz", _saved(np.savez), "it is empty"),
        ("x.npz", _zip(data=b"weights"), "archive of other files, such as data"),
        ("x.json", ('{"input": ' + "[" * 100_000).encode(), ""),
        ("x.json", b"[1, 2]", r"it holds a list, not \{name: nested list\}"),
        ("x.json", b"{}", "it is empty"),
        ("x.json", b"\xff", ""),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value,
)
def test_what_is_no_file_of_tensors_is_told(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=f"{name} holds no named tensors: .*{said}") as raised:
        tensor_files.read(path)
    assert "allow_pickle" not in f"{raised.value} {raised.value.hint}"


def test_a_folder_of_tensors_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        tensor_files.read(tmp_path)


def test_tensors_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", ids=np.arange(3), text=np.array(["a", "b"]))
    (tmp_path / "x.json").write_text('{"ids": [0, 1, 2]}')
    read = tensor_files.read(tmp_path / "x.npz")
    assert {name: array.tolist() for name, array in read.items()} == {"ids": [0, 1, 2], "text": ["a", "b"]}
    assert tensor_files.read(tmp_path / "x.json") == {"ids": [0, 1, 2]}


def test_a_missing_extra_is_told(deploy: Deploy, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'ai_edge_litert':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
    )
    done = deploy(*_export(f"{SOURCES}:good", "tflite"), PYTHONPATH=str(tmp_path))
    assert done.returncode == 6, done.stderr
    assert "ai_edge_litert" in done.stderr
    assert "pip install 'deploy-toolkit[tflite]'" in done.stderr


def test_a_missing_framework_of_the_users_is_told(deploy: Deploy, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def model():\n    import no_such_framework\n")
    done = deploy(*_export("mine.py:model"))
    assert done.returncode == 6, done.stderr
    assert "pip install no_such_framework" in done.stderr


def test_missing_java_is_told(deploy: Deploy, models: Path, tmp_path: Path) -> None:
    done = deploy("serve", "simplenet", "--server", "torchserve", "--store", models, PATH=str(tmp_path), JAVA_HOME="")
    assert done.returncode == 6, done.stderr
    assert "Java" in done.stderr


def test_an_occupied_port_is_told(deploy: Deploy, models: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = deploy("serve", "simplenet", "--http-port", port, "--store", models)
    assert done.returncode == 6, done.stderr
    assert str(port) in done.stderr


def test_one_port_for_both_is_told(deploy: Deploy, models: Path) -> None:
    done = deploy("serve", "simplenet", "--http-port", 8501, "--grpc-port", 8501, "--dry-run", "--store", models)
    assert done.returncode == 2, done.stderr
    assert "both to have port 8501" in done.stderr


@pytest.mark.parametrize("server", ["embedded", "torchserve"])
def test_a_version_named_twice_is_served_once(server: str, deploy: Deploy, models: Path) -> None:
    names = ("simplenet", "simplenet@1")
    done = deploy("serve", *names, "--server", server, "--dry-run", "--json", "--store", models)
    assert done.returncode == 0, done.stderr
    endpoints = json.loads(done.stdout)["endpoints"]
    assert len(endpoints) == len(set(endpoints))


def test_an_absent_version_is_told(deploy: Deploy, models: Path) -> None:
    done = deploy("serve", "simplenet@99", "--store", models)
    assert done.returncode == 2
    assert "no version 99" in done.stderr


def test_an_unreachable_endpoint_is_a_failed_row(deploy: Deploy, models: Path) -> None:
    done = deploy("check", "simplenet", "tfserving+rest://127.0.0.1:1/simplenet", "--store", models)
    assert done.returncode == 6
    assert "127.0.0.1:1" in done.stdout
    assert "1 could not be asked" in done.stdout


@pytest.mark.parametrize(
    "path", ["onnx/model.onnx", "tflite/model.tflite", "torchscript/model.pt", "mar/simplenet.mar"]
)
@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_file_is_named_and_refused(
    path: str, damage: str, deploy: Deploy, models: Path, tmp_path: Path
) -> None:
    shutil.copytree(models / "simplenet", tmp_path / "models" / "simplenet")
    file = tmp_path / "models" / "simplenet" / "1" / path
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 0x10
    file.write_bytes(content)
    verified = deploy("store", "verify", "simplenet")
    assert verified.returncode == 4
    assert path in verified.stdout
    checked = deploy("check", "simplenet")
    assert checked.returncode == 4, checked.stderr
    assert path in checked.stdout
    if path.startswith("onnx"):
        served = deploy("serve", "simplenet")
        assert served.returncode == 4, served.stderr
        assert path in served.stderr


def test_one_damaged_manifest_does_not_hide_other_damage(deploy: Deploy, models: Path, tmp_path: Path) -> None:
    for name in ("simplenet", "simplenet-twin"):
        shutil.copytree(models / name, tmp_path / "models" / name)
    (tmp_path / "models" / "simplenet" / "1" / "manifest.json").unlink()
    (tmp_path / "models" / "simplenet-twin" / "1" / "stray").touch()
    verified = deploy("store", "verify", "--json")
    assert verified.returncode == 4, verified.stderr
    assert [version["damages"] for version in json.loads(verified.stdout)["versions"]] == [
        [{"file": "manifest.json", "problem": "missing"}],
        [{"file": "stray", "problem": "extra"}],
    ]


def test_code_that_was_put_into_a_stored_archive_is_not_run(deploy: Deploy, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "simplenet", tmp_path / "models" / "simplenet")
    path = tmp_path / "models" / "simplenet" / "1" / "mar" / "simplenet.mar"
    with zipfile.ZipFile(path) as archive:
        bodies = {name: archive.read(name) for name in archive.namelist()}
    bodies["deploy_handler.py"] += f"\nopen({str(tmp_path / 'executed')!r}, 'w')\n".encode()
    path.chmod(0o644)
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in bodies.items():
            archive.writestr(name, body)
    checked = deploy("check", "simplenet")
    assert checked.returncode == 4
    assert "mar/simplenet.mar is changed" in checked.stdout
    assert deploy("serve", "simplenet", "--server", "torchserve").returncode == 4
    assert not (tmp_path / "executed").exists()


def test_check_says_by_how_much_a_damaged_file_is_off(deploy: Deploy, models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "simplenet", tmp_path / "models" / "simplenet")
    folder = tmp_path / "models" / "simplenet" / "1" / "onnx"
    folder.joinpath("model.onnx").chmod(0o644)
    shutil.copyfile(models / "simplenet-keras" / "1" / "onnx" / "model.onnx", folder / "model.onnx")
    checked = deploy("check", "simplenet", "--json")
    assert checked.returncode == 4
    (row,) = [row for row in json.loads(checked.stdout)["rows"] if row["subject"] == "simplenet@1/onnx"]
    assert row["problems"][0]["kind"] == "damaged"
    assert row["outputs"][0]["max_abs"] > 1e-3
