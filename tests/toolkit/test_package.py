"""`deploy package` as a user has it, and its Linux package in two environments that hold nothing but a runtime."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from command_line import ROOT, run_deploy
from tiny_tflite import golden, signature, tiny

import deploy_toolkit
from deploy_core.artifact import Artifact
from deploy_core.errors import DeployError, ExportError, TamperedError, UnavailableError, UsageError
from deploy_exporters.packaging.operators import runtimes
from deploy_model_store import Golden, Record, Store
from deploy_toolkit.flows import package as flow

ENVIRONMENTS = {
    "ai-edge-litert": ("ai-edge-litert==2.3.0", "numpy>=2"),
    "tflite-runtime": ("tflite-runtime==2.14.0", "numpy==1.26.4"),
}
MODELS = ("simplenet", "simplecnn")
Shared = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def environments(shared: Shared) -> Path:
    """A virtual environment for each of `ENVIRONMENTS`, with what `pip install` brings for it and nothing else."""

    def make(folder: Path) -> None:
        for name, wanted in ENVIRONMENTS.items():
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / name], check=True)
            pip = [sys.executable, "-m", "pip", "--python", folder / name, "install", "-q", "--no-compile"]
            subprocess.run([*pip, *wanted], check=True, capture_output=True)

    return shared("environments", make)


@pytest.fixture(scope="session")
def packages(shared: Shared, models: Path) -> Path:
    """Linux packages of the example models, made on the command line and unpacked."""

    def make(folder: Path) -> None:
        (folder / "labels.txt").write_text("cat\ndog\n")
        (folder / "LICENCE.txt").write_text("\nOur licence 1.0\n\nAll of it.\n")
        more = {"simplecnn": ("--labels", "labels.txt", "--license", "LICENCE.txt")}
        for name in MODELS:
            done = run_deploy("package", name, "--for", "linux", "--store", models, *more.get(name, ()), cwd=folder)
            assert done.returncode == 0, done.stderr
            with zipfile.ZipFile(folder / f"{name}-1-linux.zip") as archive:
                archive.extractall(folder)

    return shared("packages", make)


@pytest.fixture
def unpacked(packages: Path, tmp_path: Path) -> Path:
    """A package of one's own, to damage."""
    return Path(shutil.copytree(packages / "simplecnn-1-linux", tmp_path / "simplecnn-1-linux"))


def python(environments: Path, name: str, folder: Path, *args: object) -> subprocess.CompletedProcess[str]:
    command = [str(environments / name / "bin" / "python"), *map(str, args)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("model", MODELS)
def test_the_selftest_passes_with_nothing_but_a_runtime(
    model: str, environment: str, packages: Path, environments: Path
) -> None:
    folder = packages / f"{model}-1-linux"
    there = python(environments, environment, folder, "-c", "import torch")
    assert there.returncode != 0, "the environment is not as clean as it should be"
    done = python(environments, environment, folder, "-W", "error", "selftest.py")
    assert done.returncode == 0, done.stdout + done.stderr
    sizes = [line.split()[0] for line in done.stdout.splitlines()[1:-1]]
    assert sizes == ["8", "1", "2", "7"]


def resummed(folder: Path) -> None:
    """Write the checksums anew, as somebody would who hides a change."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def damage_golden(folder: Path) -> None:
    path = folder / "golden" / "output_0.npy"
    body = bytearray(path.read_bytes())
    body[-2] ^= 0x10  # a high bit of the last value's fraction
    path.write_bytes(body)


def damage_weights(folder: Path) -> None:
    path = folder / "simplecnn.tflite"
    body = path.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(body, 0)
    weights = max((b.data.tobytes() for b in model.buffers if b.data is not None), key=len)
    changed = np.frombuffer(weights, np.float32) * np.float32(1.01)
    assert body.count(weights) == 1
    path.write_bytes(body.replace(weights, changed.tobytes()))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("damage", [damage_golden, damage_weights])
def test_the_selftest_finds_one_changed_byte(
    damage: Callable[[Path], None], environment: str, unpacked: Path, environments: Path
) -> None:
    damage(unpacked)
    done = python(environments, environment, unpacked, "selftest.py")
    assert done.returncode == 1
    assert "is not what was packaged" in done.stdout
    resummed(unpacked)
    done = python(environments, environment, unpacked, "selftest.py")
    assert done.returncode == 1, "the answers tell, even where the checksums were made to fit"
    assert "WRONG: output 'output' is off by" in done.stdout


def test_the_selftest_misses_a_missing_file(unpacked: Path, environments: Path) -> None:
    (unpacked / "LICENSE").unlink()
    done = python(environments, "ai-edge-litert", unpacked, "selftest.py")
    assert done.returncode == 1
    assert "WRONG: LICENSE is missing" in done.stdout


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_run_answers_as_the_trained_model(
    environment: str, packages: Path, models: Path, environments: Path, tmp_path: Path
) -> None:
    folder, rows = packages / "simplecnn-1-linux", Store(models).resolve("simplecnn").golden
    np.savez(tmp_path / "x.npz", image=rows.inputs["image"][10:13])
    np.save(tmp_path / "x.npy", rows.inputs["image"][10:13])
    for given in ("x.npz", "x.npy"):
        done = python(
            environments, environment, folder, "run.py", "--input", tmp_path / given, "--output", tmp_path / "y.npz"
        )
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / "y.npz") as answer:
            np.testing.assert_allclose(answer["output"], rows.outputs["output"][10:13], rtol=2e-6, atol=4e-6)
    best = [("cat", "dog")[index] for index in rows.outputs["output"][10:13].argmax(axis=1)]
    assert done.stdout.endswith(f"labels: {', '.join(best)}\n")
    np.save(tmp_path / "x.npy", np.ones((3, 4), np.float32))
    done = python(environments, environment, folder, "run.py", "--input", tmp_path / "x.npy")
    assert done.returncode == 2
    assert "the model wants ['batch', 3, 16, 16]" in done.stderr


def test_the_readme_s_calls_run(packages: Path, environments: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(packages / "simplecnn-1-linux", tmp_path / "net")
    text = (folder / "README.md").read_text()
    blocks = [block.partition("\n") for block in text.split("```")[1::2]]
    for _, _, code in (block for block in blocks if block[0] == "python"):
        done = python(environments, "ai-edge-litert", folder, "-c", code)
        assert done.returncode == 0, done.stderr
    shell = next(code for language, _, code in blocks if language == "sh" and "run.py" in code)
    path = {"PATH": f"{environments / 'ai-edge-litert' / 'bin'}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-euc", shell], cwd=folder, env=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "output float32[2, 2]" in done.stdout


def test_the_calls_of_the_docs_run(models: Path, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "packaging.md").read_text()
    codes = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "DEPLOY_STORE": str(models)}
    for code in codes:
        done = subprocess.run(
            ["bash", "-euc", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(codes) == 1


def test_what_lies_in_a_package(packages: Path, models: Path) -> None:
    folder, version = packages / "simplecnn-1-linux", Store(models).resolve("simplecnn")
    stored, packaged = version.artifact("tflite").path.read_bytes(), (folder / "simplecnn.tflite").read_bytes()
    assert stored in packaged
    assert packaged.index(stored) % 64 == 0
    with zipfile.ZipFile(folder / "simplecnn.tflite") as files:
        assert files.read("labels.txt") == b"cat\ndog\n"
    assert (folder / "LICENSE").read_text() == "\nOur licence 1.0\n\nAll of it.\n"
    told = json.loads((folder / "provenance.json").read_text())
    assert told["training_id"] == version.training_id
    assert told["sha256"] == version.artifact("tflite").digest
    assert told["created"] == version.created
    assert str(Path.home()) not in json.dumps(told)
    with zipfile.ZipFile(packages / "simplenet-1-linux.zip") as archive:
        assert "simplenet-1-linux/LICENSE" not in archive.namelist()
        assert b"Licence of the model: not stated." in archive.read("simplenet-1-linux/README.md")


def test_the_same_version_gives_the_same_bytes(packages: Path, models: Path, tmp_path: Path) -> None:
    out = tmp_path / "elsewhere.zip"
    out.write_bytes(b"an older package")
    packaged = deploy_toolkit.package("simplenet@1", target="linux", out=out, store=models)
    assert packaged.path.read_bytes() == (packages / "simplenet-1-linux.zip").read_bytes()
    assert packaged.digest == hashlib.sha256(out.read_bytes()).hexdigest()
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere.zip"]


def test_an_android_package(models: Path, tmp_path: Path) -> None:
    packaged = flow.package(flow.Request("simplenet", "android", out=tmp_path), store=models)
    with zipfile.ZipFile(tmp_path / "simplenet-1-android.zip") as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        code = archive.read("simplenet-1-android/src/main/kotlin/deploy/packaged/simplenet/Simplenet.kt").decode()
        gradle = archive.read("simplenet-1-android/build.gradle.kts").decode()
        readme = archive.read("simplenet-1-android/README.md").decode()
    assert names == {*packaged.files, "SHA256SUMS"}
    assert {"src/main/assets/simplenet.tflite", "src/androidTest/assets/simplenet-golden/golden.json"} < names
    assert "fun predict(features: FloatArray, batch: Int)" in code
    assert "intArrayOf(batch, 6)" in code
    assert 'implementation("com.google.ai.edge.litert:litert:1.4.2")' in gradle
    assert "was\nnot compiled there" in readme


@pytest.fixture
def shelf(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def publish(shelf: Store, model: bytes, batch: int | str = "batch", *, variant: str = "", tolerance: float = 0) -> None:
    with shelf.staging("tiny") as staged:
        (staged / "tflite").mkdir()
        (staged / "tflite" / "model.tflite").write_bytes(model)
        spec = signature(batch)
        artifacts = (Artifact("tflite", staged / "tflite" / "model.tflite", spec, variant),)
        proof = {"subject": artifacts[0].name, "outputs": [{"name": "total", "tolerance": tolerance}]}
        agreement = {"rows": [proof]} if tolerance else {}
        inputs, outputs = golden(16 if batch == "batch" else int(batch))
        rows = Golden(inputs, outputs, dict.fromkeys(outputs, 1e-8), "test")
        shelf.publish(staged, "tiny", Record("t-1", spec, {"kind": "test"}, artifacts, agreement=agreement), rows)


def test_operators_outside_of_tflite_are_told_before_anything_is_written(shelf: Store, tmp_path: Path) -> None:
    publish(shelf, tiny(custom="FlexErf"))
    with pytest.raises(ExportError, match=r"FlexErf \(custom\) of layer/difference"):
        flow.package(flow.Request("tiny", "linux", out=tmp_path), store=shelf.root)
    assert not list(tmp_path.glob("*.zip"))


def test_what_an_older_runtime_does_not_know_is_told_before_anything_is_written(shelf: Store, tmp_path: Path) -> None:
    publish(shelf, tiny(versions={"ADD": 6}))
    events: list[str] = []
    packaged = flow.package(flow.Request("tiny", "linux", out=tmp_path), store=shelf.root, on_event=events.append)
    (remark,) = packaged.remarks
    assert "tflite-runtime 2.14.0 does not know ADD version 6 of layer/total" in remark
    assert events.index(remark) < next(n for n, event in enumerate(events) if event.startswith("writing"))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_fixed_batch_is_tried_at_its_size_alone(
    environment: str, shelf: Store, tmp_path: Path, environments: Path
) -> None:
    publish(shelf, tiny(batch=5), batch=5)
    packaged = flow.package(flow.Request("tiny", "linux", out=tmp_path), store=shelf.root)
    with zipfile.ZipFile(packaged.path) as archive:
        archive.extractall(tmp_path)
    done = python(environments, environment, tmp_path / "tiny-1-linux", "selftest.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:-1]] == ["5", "5"]


def test_a_variant_has_the_tolerance_that_it_was_published_with(shelf: Store, tmp_path: Path) -> None:
    publish(shelf, tiny(), variant="int8", tolerance=0.25)
    packaged = flow.package(flow.Request("tiny", "linux", "tflite-int8", out=tmp_path), store=shelf.root)
    assert packaged.path.name == "tiny-1-int8-linux.zip"
    with zipfile.ZipFile(packaged.path) as archive:
        told = json.loads(archive.read("tiny-1-int8-linux/golden/golden.json"))
    total, difference = (spec["tolerance"] for spec in told["outputs"])
    assert total == 0.25
    assert 0 < difference < 1e-5, "an output that the proof does not name has the rule for floats"


@pytest.mark.parametrize("file", ["tflite/model.tflite", "golden.safetensors"])
def test_a_damaged_version_is_not_packaged(file: str, shelf: Store, tmp_path: Path) -> None:
    publish(shelf, tiny())
    path = shelf.resolve("tiny").path / file
    path.chmod(0o644)
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)
    with pytest.raises(TamperedError) as refused:
        flow.package(flow.Request("tiny", "linux", out=tmp_path), store=shelf.root)
    assert refused.value.exit_code == 4
    assert not list(tmp_path.glob("*.zip"))


def test_a_file_that_answers_otherwise_is_not_packaged(
    shelf: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(shelf, tiny())
    model = schema.ModelT.InitFromPackedBuf(tiny(), 0)
    model.operatorCodes.reverse()  # the sum is the difference now
    for operator in model.subgraphs[0].operators:
        operator.builtinOptions, operator.builtinOptionsType = None, 0
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    other = bytes(builder.Output())
    monkeypatch.setattr(flow, "described_model", lambda *_: other)
    with pytest.raises(ExportError, match="another thing than the stored one"):
        flow.package(flow.Request("tiny", "linux", out=tmp_path), store=shelf.root)
    assert not list(tmp_path.glob("*.zip"))


REFUSED: dict[str, tuple[dict[str, object], type[DeployError], str]] = {
    "target": ({"target": "toaster"}, UsageError, "unknown target 'toaster'"),
    "version": ({"name": "tiny@7"}, UsageError, "7"),
    "format": ({"artifact": "onnx"}, UsageError, "onnx files are not packaged"),
    "variant": ({"artifact": "tflite-int8"}, UsageError, "tiny@1 has no tflite-int8 file, only tflite"),
    "labels": ({"labels": "none.txt"}, UsageError, "none.txt cannot be read"),
    "license": ({"license": Path("none.txt")}, UsageError, "none.txt cannot be read"),
    "out": ({"out": Path("none") / "net.zip"}, UsageError, "neither an existing folder"),
    "place": ({"out": Path("/proc/net.zip")}, UnavailableError, "cannot be written"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case: str, shelf: Store, tmp_path: Path) -> None:
    publish(shelf, tiny())
    more, error, text = REFUSED[case]
    request = replace(flow.Request("tiny", "linux", out=tmp_path), **more)
    with pytest.raises(error, match=text):
        flow.package(request, store=shelf.root)
    assert not list(tmp_path.glob("*.zip"))


def test_a_version_without_tflite_says_how_to_get_one(shelf: Store, tmp_path: Path) -> None:
    with shelf.staging("tiny") as staged:
        (staged / "onnx").mkdir()
        (staged / "onnx" / "model.onnx").write_bytes(b"none of our business")
        artifacts = (Artifact("onnx", staged / "onnx" / "model.onnx", signature()),)
        shelf.publish(staged, "tiny", Record("t-1", signature(), {"kind": "test"}, artifacts), Golden(*golden()))
    done = run_deploy("package", "tiny", "--for", "linux", "--store", shelf.root, cwd=tmp_path)
    assert done.returncode == 2
    assert "tiny@1 has no tflite file, only onnx" in done.stderr
    assert "deploy export tiny --to tflite adds one" in done.stderr


# Loads a file for each operator and version and prints, as JSON, the greatest version that the runtime takes.
_ASK = """
import json, sys
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter

def known(model):
    try:
        Interpreter(model_content=bytes.fromhex(model))
    except (ValueError, RuntimeError):
        return False
    return True

asked = json.load(open(sys.argv[1]))
print(json.dumps({name: max((int(v) for v in each if known(each[v])), default=0) for name, each in asked.items()}))
"""


@pytest.fixture(scope="session")
def asked(shared: Shared) -> Path:
    """Files of one unused operator each, which a runtime loads only if it knows that version of it.

    Asked for are the greatest version that each runtime's table has, and the one after it.
    """

    def make(folder: Path) -> None:
        names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
        files = {
            name: {version: _of_one_operator(code, version).hex() for version in _versions(name)}
            for code, name in names.items()
            if name != "CUSTOM"
        }
        (folder / "asked.json").write_text(json.dumps(files))

    return shared("asked", make) / "asked.json"


def _versions(name: str) -> set[int]:
    greatest = {known.get(name, 0) for known in runtimes().values()}
    return {version for last in greatest for version in (last, last + 1) if version}


def _of_one_operator(code: int, version: int) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(tiny(), 0)
    used = model.operatorCodes[0]
    used.builtinCode, used.deprecatedBuiltinCode, used.version = code, min(code, 127), version
    model.operatorCodes, model.signatureDefs, model.subgraphs[0].operators = [used], None, []
    builder = flatbuffers.Builder(512)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("environment", "runtime"), [("ai-edge-litert", "LiteRT 2.3.0"), ("tflite-runtime", "tflite-runtime 2.14.0")]
)
def test_the_table_of_operators_is_what_the_runtime_answers(
    environment: str, runtime: str, environments: Path, asked: Path
) -> None:
    done = python(environments, environment, asked.parent, "-c", _ASK, asked)
    assert done.returncode == 0, done.stderr
    answered = {name: version for name, version in json.loads(done.stdout).items() if version}
    assert answered == runtimes()[runtime]
