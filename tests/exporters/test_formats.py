"""Files outside the store: told apart, and refused in one sentence when they are damaged."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_sources import formats_of

from deploy_core.device import Device
from deploy_core.errors import DeployError, InputError, UnavailableError, UnsafeError, UsageError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters.formats import adopt, format_of, hosted, load
from deploy_exporters.worker import Workers


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Generator[Workers]:
    """Workers of our own: a damaged file may crash them."""
    with Workers(tmp_path_factory.mktemp("logs")) as workers:
        workers.call("runtime", "os:getpid")
        yield workers


@pytest.mark.parametrize("format_", formats_of("torch-simple"))
def test_the_format_is_told_from_the_file(exported: Any, format_: str) -> None:
    assert format_of(exported("torch-simple").artifacts[format_].path) == format_


def test_a_tflite_is_known_by_its_bytes_too(exported: Any, tmp_path: Path) -> None:
    shutil.copy(exported("torch-simple").artifacts["tflite"].path, tmp_path / "model.bin")
    assert format_of(tmp_path / "model.bin") == "tflite"


def test_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04")
    for name in ("none.onnx", "none.pt", "none.txt"):
        (tmp_path / name).touch()
    (tmp_path / "words.onnx").write_text("<html>\r\n\tNot found: \N{LATIN SMALL LETTER U WITH DIAERESIS}")
    (tmp_path / "words.keras").write_text("a model")
    for name in ("large.tflite", "large.pt"):
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n")
    for name, words in {
        "nothing.onnx": "there is no file",
        "notes.txt": "no model file that is known",
        "empty": "no SavedModel",
        "cut.pt": "is not a TorchScript file",
        "none.onnx": "none.onnx is empty",
        "none.pt": "none.pt is empty",
        "none.txt": "none.txt is empty",
        "words.onnx": "words.onnx holds text, and no model",
        "words.keras": "words.keras holds text, and no model",
        "large.tflite": "large.tflite only says where Git LFS keeps the file",
        "large.pt": "large.pt only says where Git LFS keeps the file",
    }.items():
        with pytest.raises(UsageError, match=words):
            format_of(tmp_path / name)


def _damaged(path: Path, folder: Path, how: str) -> Path:
    copy = folder / (path.name or "model")
    if path.is_dir():
        shutil.copytree(path, copy)
        victim = next(copy / name for name in ("saved_model.pb", "model.xml") if (copy / name).exists())
    else:
        shutil.copy(path, copy)
        victim = copy
    victim.chmod(0o644)
    whole = victim.read_bytes()
    random = np.random.default_rng(0)
    body = {
        "truncated": whole[: len(whole) // 2],
        "empty": b"",
        "garbage": random.bytes(len(whole)),
        "flipped": whole[:200] + random.bytes(len(whole) - 400) + whole[-200:],
    }[how]
    victim.write_bytes(body)
    return copy


@pytest.mark.parametrize("how", ["truncated", "empty", "garbage", "flipped"])
@pytest.mark.parametrize("format_", formats_of("torch-simple"))
def test_a_damaged_file_is_one_sentence(
    breakable: Workers, exported: Any, tmp_path: Path, format_: str, how: str
) -> None:
    artifact = exported("torch-simple").artifacts[format_]
    damaged = replace(artifact, path=_damaged(artifact.path, tmp_path, how))
    with pytest.raises(DeployError, match="cannot be loaded as") as caught:
        hosted(breakable, damaged)
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert str(damaged.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    breakable.call("runtime", "os:getpid")  # started again if it died


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("kind", ["pt", "pt2"])
def test_a_foreign_program_goes_by_the_names_of_whom_it_is_held_against(
    breakable: Workers, tmp_path: Path, kind: str
) -> None:
    import torch

    class Other(torch.nn.Module):
        def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            return first - 2 * second

    path, example = tmp_path / f"foreign.{kind}", (torch.ones(2, 3), torch.ones(2, 3))
    if kind == "pt":
        torch.jit.save(torch.jit.trace(Other(), example), path)
    else:
        torch.export.save(torch.export.export(Other(), example), path)
    with pytest.raises(UsageError, match="does not tell the names"):
        adopt(breakable, path)
    names = "left:float32[2,3]", "right:float32[2,3]"
    like = Signature(tuple(map(TensorSpec.parse, names)), (TensorSpec.parse("y:float32[2,3]"),))
    predictor = hosted(breakable, adopt(breakable, path, like=like))
    left, right = np.full((2, 3), 5, np.float32), np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(predictor.predict({"right": right, "left": left})["y"], left - 2)


def test_a_foreign_mar_is_not_run(breakable: Workers, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "foreign.mar", "w") as archive:
        manifest = (
            '{"model": {"modelName": "m", "handler": "evil.py", "serializedFile": "m.pt", "modelVersion": "1.0"}}'
        )
        archive.writestr("MAR-INF/MANIFEST.json", manifest)
        archive.writestr("evil.py", "raise SystemExit('executed')")
        archive.writestr("m.pt", b"")
    with pytest.raises(UnsafeError, match="carries a handler that is not ours"):
        adopt(breakable, tmp_path / "foreign.mar")


def test_a_foreign_handler_under_our_handlers_name_is_not_run(
    breakable: Workers, exported: Any, tmp_path: Path
) -> None:
    ours = exported("torch-simple").artifacts["mar"].path
    with zipfile.ZipFile(ours) as archive, zipfile.ZipFile(tmp_path / "evil.mar", "w") as evil:
        for name in archive.namelist():
            body = b"raise SystemExit('executed')" if name == "deploy_handler.py" else archive.read(name)
            evil.writestr(name, body)
    with pytest.raises(UnsafeError, match="carries a handler that is not ours"):
        adopt(breakable, tmp_path / "evil.mar")
    assert adopt(breakable, ours).format == "mar"


def test_a_missing_file(breakable: Workers, exported: Any, tmp_path: Path) -> None:
    artifact = replace(exported("torch-simple").artifacts["onnx"], path=tmp_path / "gone.onnx")
    for loads in (load, lambda each: hosted(breakable, each)):
        with pytest.raises(UsageError, match="there is no file"):
            loads(artifact)


@pytest.mark.parametrize("format_", ["onnx", "tflite", "torchscript", "mar"])
def test_load_in_this_process(exported: Any, format_: str) -> None:
    result = exported("torch-heads")
    predictor = load(result.artifacts[format_], threads=1)
    answer = result.answers[7]
    got = predictor.predict(answer.inputs)
    for name, want in answer.outputs.items():
        np.testing.assert_allclose(got[name], want, rtol=1e-5, atol=1e-6)
    predictor.close()
    predictor.close()


def test_inputs_are_checked_before_they_are_sent(workers: Workers, exported: Any) -> None:
    predictor = hosted(workers, exported("torch-simple").artifacts["onnx"])
    with pytest.raises(InputError, match=r"has shape \[2, 5\]"):
        predictor.predict({"x": np.zeros((2, 5), np.float32)})
    with pytest.raises(InputError, match="has dtype float64"):
        predictor.predict({"x": np.zeros((2, 6))})
    predictor.close()


def test_a_predictor_of_a_dead_worker_says_so(exported: Any, tmp_path: Path) -> None:
    with Workers(tmp_path) as workers:
        predictor = hosted(workers, exported("torch-simple").artifacts["onnx"])
        workers.close()
        with pytest.raises(DeployError, match="the worker process"):
            predictor.predict({"x": np.zeros((2, 6), np.float32)})
        predictor.close()


@pytest.mark.parametrize("model", ["torch-simple", "torch-cnn", "keras-cnn"])
def test_an_onnx_file_computes_in_float64_what_its_source_does(exported: Any, workers: Workers, model: str) -> None:
    made = exported(model)
    predictor = hosted(workers, adopt(workers, made.artifacts["onnx"].path))
    answer = made.answers[7]
    got = predictor.predict_float64(answer.inputs)  # type: ignore[attr-defined]  # an ONNX file can
    for name, want in answer.float64.items():
        assert got[name].dtype == np.float64
        # Weights are the float32 ones on both sides; what is folded at export was folded in float32.
        np.testing.assert_allclose(got[name], want, rtol=1e-6, atol=1e-7)
    predictor.close()


def test_a_large_onnx_file_has_no_float64(exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from deploy_exporters import onnx_float64

    monkeypatch.setattr(onnx_float64, "MAX_BYTES", 10)
    made = exported("torch-simple")
    with pytest.raises(UsageError, match="too many for the reference implementation"):
        load(made.artifacts["onnx"]).predict_float64(made.answers[7].inputs)  # type: ignore[attr-defined]


def test_what_cannot_run_on_a_gpu_says_so(exported: Any) -> None:
    artifacts, gpu = exported("torch-simple").artifacts, Device.parse("cuda:1")
    with pytest.raises(UsageError, match="tflite files do not run on a GPU here") as refused:
        load(artifacts["tflite"], device=gpu)
    assert refused.value.hint == "torchscript, onnx files do"


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU")
@pytest.mark.parametrize("format_", ["onnx", "torchscript"])
def test_no_gpu_is_no_silent_cpu(exported: Any, format_: str) -> None:
    with pytest.raises(UnavailableError, match=r"no GPU|CPU alone") as refused:
        load(exported("torch-simple").artifacts[format_], device=Device.parse("cuda"))
    assert "nvidia-smi" in refused.value.hint
