"""Files that other tools wrote as sources: which signature they have, which way they take, and what is refused."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_sources import HERE, write

from deploy_core.artifact import digest_of
from deploy_core.errors import DeployError, ExportError, UsageError
from deploy_core.signature import TensorSpec
from deploy_exporters import sources
from deploy_exporters.export import OpenedSource, Order, export, open_source
from deploy_exporters.formats import hosted
from deploy_exporters.routes import REFUSED, route
from deploy_exporters.sources import handover
from deploy_exporters.worker import Workers

HEADS = tuple(map(TensorSpec.parse, ("tokens:int64[batch,7]", "weight:float32[batch,1]")))
X = (TensorSpec.parse("x:float32[batch,6]"),)


@pytest.fixture(scope="module")
def opener(tmp_path_factory: pytest.TempPathFactory) -> Generator[Workers]:
    with Workers(tmp_path_factory.mktemp("logs")) as workers:
        for kind in ("source", "tensorflow", "runtime"):  # at once, so that no test seems to leave them behind
            workers.call(kind, "os:getpid")
        yield workers


def opened(workers: Workers, path: Path, *, signature: str = "", **options: Any) -> OpenedSource:
    return open_source(workers, replace(sources.find(str(path)), signature=signature), **options)


def inputs_of(source: OpenedSource, rows: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows)
    made = {}
    for spec in source.signature.inputs:
        shape = [rows if dim == "batch" else dim for dim in spec.shape]
        if spec.dtype == "string":
            made[spec.name] = np.array([f"{spec.name} ä {row}".encode() for row in range(rows)], dtype=object)
        elif spec.dtype == "bool":
            made[spec.name] = random.integers(0, 2, shape).astype(bool)
        else:
            values = random.standard_normal(shape) if "float" in spec.dtype else random.integers(0, 11, shape)
            made[spec.name] = values.astype(spec.dtype)
    return made


def assert_answers(workers: Workers, artifact: Any, source: OpenedSource, *, rtol: float = 1e-5) -> None:
    predictor = hosted(workers, artifact)
    for rows in (1, 2, 3, 7):
        inputs = inputs_of(source, rows)
        got = predictor.predict(inputs)
        for name, want in source.predict(inputs).items():
            assert (got[name].dtype, got[name].shape) == (want.dtype, want.shape)
            if want.dtype == object:
                assert got[name].tolist() == want.tolist()
            else:
                np.testing.assert_allclose(got[name], want, rtol=rtol, atol=rtol)
    predictor.close()


def test_a_branch_goes_to_onnx_by_the_old_exporter(opener: Workers, tmp_path: Path) -> None:
    source = opened(opener, write(opener, "scripted", tmp_path), inputs=X)
    written = export(opener, source, Order(["onnx"], tmp_path / "onnx", "net"))
    assert written.artifacts[0].route == ("onnx_from_torchscript (legacy)",)
    assert_answers(opener, written.artifacts[0], source)
    with pytest.raises(ExportError, match="no way to pt2 works: TS2EP"):
        export(opener, source, Order(["pt2"], tmp_path / "pt2", "net"))


def test_frozen_weights_have_float64_and_an_identity(opener: Workers, exported: Any) -> None:
    ours = exported("torch-cnn").artifacts["torchscript"].path
    source = opened(opener, ours)
    assert [str(spec) for spec in source.signature.inputs] == ["image:float32[batch,3,16,16]"]
    inputs = inputs_of(source, 3)
    exact = source.predict_float64(inputs)["output"]
    assert exact.dtype == np.float64
    assert 0 < np.abs(exact - source.predict(inputs)["output"]).max() < 1e-5
    assert source.description["parameters"] > 1000


@pytest.mark.parametrize(
    ("file", "options", "code", "words"),
    [
        ("traced", {}, 2, "does not say what inputs it takes"),
        ("traced", {"inputs": X}, 2, "wrong inputs: unknown x; missing tokens, weight"),
        ("numbered", {"inputs": X}, 2, "argument 'rate' of the TorchScript program is a int, not a tensor"),
        ("onnx", {"inputs": X}, 2, "are not the model's"),
        ("onnx", {"inputs": (replace(HEADS[0], dtype="int32"), HEADS[1])}, 2, "does not fit the model"),
        ("onnx", {"outputs": ("a", "b")}, 2, "keeps the names of its outputs: scores, pooled"),
        ("frozen", {}, 3, "frozen"),
        ("ragged", {}, 2, "input 'words' of the SavedModel is a ragged tensor"),
        ("signatures", {}, 2, "has no signature 'serving_default'"),
        ("signatures", {"signature": "nothing"}, 2, "has no signature 'nothing'"),
    ],
)
def test_what_cannot_be_opened(
    opener: Workers, tmp_path: Path, file: str, options: dict[str, Any], code: int, words: str
) -> None:
    with pytest.raises(DeployError, match=words) as caught:
        opened(opener, write(opener, file, tmp_path), **options)
    assert caught.value.exit_code == code
    assert caught.value.hint


def test_a_signature_of_a_savedmodel_is_written_alone(opener: Workers, tmp_path: Path) -> None:
    path = write(opener, "signatures", tmp_path)
    source = opened(opener, path, signature="heads", outputs=("mean", "chances"))
    assert [str(spec) for spec in source.signature.outputs] == ["mean:float32[batch,5]", "chances:float32[batch,4]"]
    written = export(opener, source, Order(["savedmodel", "onnx"], tmp_path / "out", "net"))
    assert written.artifacts[0].route == ("savedmodel_from_savedmodel (signature heads)",)
    for artifact in written.artifacts:
        assert_answers(opener, artifact, source)


def test_strings_stay_where_a_format_has_them(opener: Workers, tmp_path: Path) -> None:
    loud = opened(opener, write(opener, "signatures", tmp_path / "tf"), signature="upper")
    joined = opened(opener, write(opener, "text", tmp_path / "onnx"))
    for source, name in ((loud, "savedmodel"), (joined, "onnx")):
        written = export(opener, source, Order([name], tmp_path / name, "net"))
        assert_answers(opener, written.artifacts[0], source)
    assert joined.predict({"first": _text("a"), "second": _text("b")})["joined"].tolist() == [b"ab"]


def _text(value: str) -> np.ndarray:
    return np.array([value.encode()], dtype=object)


def test_onnx_with_its_weights_beside_it(opener: Workers, tmp_path: Path) -> None:
    path = write(opener, "external", tmp_path / "file")
    source = opened(opener, path)
    assert list(source.description["external_data"]) == ["weights.bin"]
    written = export(opener, source, Order(["onnx", "savedmodel"], tmp_path / "out", "net"))
    folder = written.artifacts[0].path
    assert sorted(each.name for each in folder.iterdir()) == ["model.onnx", "weights.bin"]
    assert (folder / "weights.bin").read_bytes() == (path.parent / "weights.bin").read_bytes()
    for artifact in (*written.artifacts, written.reference):
        assert_answers(opener, artifact, source)
    again = opened(opener, folder)
    assert again.signature == source.signature


def test_weights_of_torch_go_beside_the_graph_when_they_are_large(opener: Workers, tmp_path: Path) -> None:
    source = open_source(opener, sources.find(f"{HERE}/torch_models.py:cnn_with_example"))
    options = {"onnx": {"external_data": "always"}}
    written = export(opener, source, Order(["onnx", "tflite"], tmp_path / "asked", "net", options=options))
    folder = written.artifacts[0].path
    assert sorted(each.name for each in folder.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert (folder / "model.onnx.data").stat().st_size > 4000
    opener.call(
        "source", "builtins:exec", "from deploy_exporters.steps import onnx_file; onnx_file.INLINE_BYTES = 1000"
    )
    try:
        large = export(opener, source, Order(["onnx"], tmp_path / "large", "net"))
    finally:
        back = "from deploy_exporters.steps import onnx_file; onnx_file.INLINE_BYTES = 1_900_000_000"
        opener.call("source", "builtins:exec", back)
    for artifact in (*written.artifacts, *large.artifacts):
        assert_answers(opener, artifact, source)
    assert large.artifacts[0].path.is_dir()
    with pytest.raises(UsageError, match=r"onnx\.external_data is 'never'"):
        export(opener, source, Order(["onnx"], tmp_path / "no", "net", options={"onnx": {"external_data": "never"}}))


@pytest.mark.parametrize("name", ["tflite", "mar"])
def test_adopted_files_are_kept_to_the_byte(opener: Workers, exported: Any, tmp_path: Path, name: str) -> None:
    path = exported("torch-cnn").artifacts[name].path
    source = opened(opener, path)
    written = export(opener, source, Order([name], tmp_path, "net"))
    assert written.artifacts[0].digest == written.reference.digest == digest_of(path)
    with pytest.raises(UsageError, match=f"no route from {name} to onnx") as caught:
        export(opener, source, Order(["onnx"], tmp_path / "onnx", "net"))
    assert "kept as it is" in caught.value.hint


@pytest.mark.parametrize("kind", ["onnx", "savedmodel"])
def test_torchscript_from_a_graph_is_refused_with_what_to_do(kind: str) -> None:
    with pytest.raises(UsageError, match=f"no route from {kind} to torchscript") as caught:
        route(kind, "torchscript")
    assert caught.value.hint == "a mar holds the ONNX file and an ONNX Runtime handler"
    assert REFUSED[kind, "pt2"]


@pytest.mark.parametrize("function", ["of_bools", "of_halves", "tuples", "lightning"])
def test_dtypes_structures_and_lightning(opener: Workers, tmp_path: Path, function: str) -> None:
    source = open_source(opener, sources.find(f"{HERE}/torch_models.py:{function}"))
    written = export(opener, source, Order(["torchscript", "onnx", "savedmodel"], tmp_path, "net"))
    for artifact in written.artifacts:
        assert_answers(opener, artifact, source, rtol=5e-3 if function == "of_halves" else 1e-5)


def test_scripts_and_lightning_modules_are_handed_over(
    opener: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(HERE)
    import torch
    import torch_models

    from deploy_exporters import jit

    script = handover.hand_over(jit.script(torch_models.Branches()), tmp_path / "script", torch.ones(2, 6))
    assert script.note == "handed over as TorchScript"
    assert open_source(opener, script).kind == "torchscript"
    assert [str(s) for s in open_source(opener, script).signature.inputs] == ["x:float32[batch,6]"]
    lit = torch_models.lightning()
    lit._trainer = (each for each in ())  # as a trainer, it cannot be copied
    found = open_source(opener, handover.hand_over(lit, tmp_path / "lit", lit.example_input_array))
    assert lit._trainer is not None, "the caller's model is left as it is"
    rows = np.random.default_rng(0).standard_normal((3, 6)).astype(np.float32)
    want = lit.eval()(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(next(iter(found.predict({"x": rows}).values())), want, rtol=1e-5)
