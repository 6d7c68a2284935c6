"""The parts of a package: metadata in the file, operators and who knows them, Kotlin, vectors, archives."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from tiny_tflite import golden as golden_rows
from tiny_tflite import signature, tiny

from deploy_core.artifact import Artifact
from deploy_core.changes import Change
from deploy_core.errors import ExportError, UnavailableError, UsageError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters import packaging
from deploy_exporters.packaging import TARGETS, Contents, android, linux
from deploy_exporters.packaging.archive import archive, write
from deploy_exporters.packaging.describing import described_model
from deploy_exporters.packaging.embedding import has_metadata, with_metadata
from deploy_exporters.packaging.graph import graph
from deploy_exporters.packaging.labels import read_labels
from deploy_exporters.packaging.metadata import ModelFacts, TensorFacts, metadata
from deploy_exporters.packaging.operators import Operator, operators, require_builtin, told, unknown_to
from deploy_exporters.packaging.vectors import npy

GOLDEN = Path(__file__).parent / "golden"
FILES = Path(packaging.__file__).parent
FACTS = ModelFacts(
    "net",
    "net 1: x to y.",
    "1",
    "Apache-2.0",
    [TensorFacts("x", "x:float32[batch,2]", (-1.5, 2.25)), TensorFacts("ids", "ids:int64[batch]", (0.0, 9.0))],
    [TensorFacts("y", "y:float32[batch,2]", (0.0, 1.0), "labels.txt"), TensorFacts("text", "text:string[batch]")],
)


def test_the_official_reader_of_metadata_has_read_these_bytes() -> None:
    # metadata.json is what tflite-support 0.4.4 (MetadataDisplayer) says of metadata.bin.
    assert metadata(FACTS) == (GOLDEN / "metadata.bin").read_bytes()
    told = json.loads((GOLDEN / "metadata.json").read_text())
    (graph_told,) = told["subgraph_metadata"]
    assert [tensor["name"] for tensor in graph_told["input_tensor_metadata"]] == ["x", "ids"]
    assert graph_told["input_tensor_metadata"][0]["stats"] == {"max": [2.25], "min": [-1.5]}
    files = graph_told["output_tensor_metadata"][0]["associated_files"]
    assert [(file["name"], file["type"]) for file in files] == [("labels.txt", "TENSOR_AXIS_LABELS")]
    assert (told["name"], told["version"], told["license"]) == ("net", "1", "Apache-2.0")


@pytest.mark.parametrize("size", [1, 15, 16, 17, 491, 5000])
def test_metadata_stand_in_front_of_the_published_bytes(size: int) -> None:
    model = tiny(metadata={"min_runtime_version": b"1.5.0"})
    content = bytes(range(256)) * 20
    made = with_metadata(model, content[:size], {})
    before, after = (schema.ModelT.InitFromPackedBuf(body, 0) for body in (model, made))
    assert made.endswith(model)
    assert (len(made) - len(model)) % 64 == 0
    assert [entry.name for entry in after.metadata] == [b"min_runtime_version", b"TFLITE_METADATA"]
    assert bytes(after.buffers[after.metadata[1].buffer].data) == content[:size]
    assert bytes(after.buffers[after.metadata[0].buffer].data) == b"1.5.0"
    assert len(after.buffers) == len(before.buffers) + 1
    assert made.rindex(content[:size], 0, -len(model)) % 16 == 0 or size == 1
    assert (after.version, after.description) == (3, b"by hand")
    assert operators(made) == operators(model)
    assert graph(made) == graph(model)
    assert (has_metadata(model), has_metadata(made)) == (False, True)


def test_the_runtime_answers_as_before_and_finds_the_labels() -> None:
    made = with_metadata(tiny(), metadata(FACTS), {"labels.txt": b"a\nb\n"})
    inputs, outputs = golden_rows()
    answer = Interpreter(model_content=made).get_signature_runner()(**inputs)
    for name, want in outputs.items():
        np.testing.assert_array_equal(answer[name], want)
    with zipfile.ZipFile(io.BytesIO(made)) as packed:
        assert packed.read("labels.txt") == b"a\nb\n"


def test_a_file_with_weights_elsewhere_is_refused() -> None:
    model = schema.ModelT.InitFromPackedBuf(tiny(), 0)
    model.buffers[0].offset = 4096
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ExportError, match="outside of its flatbuffer"):
        with_metadata(bytes(builder.Output()), b"x", {})


def test_operators_are_named_with_their_layers() -> None:
    found = operators(tiny(versions={"SUB": 3}))
    assert [(op.name, op.version, op.layers) for op in found] == [
        ("ADD", 1, ("layer/total",)),
        ("SUB", 3, ("layer/difference",)),
    ]


def test_what_is_not_built_in_is_refused_by_name_and_layer() -> None:
    require_builtin(operators(tiny()))
    require_builtin(operators(tiny(custom="TFLite_Detection_PostProcess")))
    with pytest.raises(ExportError, match=r"FlexErf \(custom\) of layer/difference") as refused:
        require_builtin(operators(tiny(custom="FlexErf")))
    assert refused.value.exit_code == 3


def test_a_version_that_a_runtime_does_not_know_is_told() -> None:
    known = operators(tiny())
    assert (linux.remarks(known), android.remarks(known)) == ((), ())
    young = operators(tiny(versions={"ADD": 6}))
    assert [str(op) for op in unknown_to("tflite-runtime 2.14.0", young)] == ["ADD version 6 of layer/total"]
    (new,) = unknown_to("tflite-runtime 2.14.0", [Operator("DILATE", 1, ("dilated",)), *known])
    assert "DILATE version 1 of dilated (it knows none of that name)" in told("tflite-runtime 2.14.0", [new])
    (for_linux,), (for_android,) = linux.remarks(young), android.remarks(young)
    assert "tflite-runtime 2.14.0 does not know ADD version 6 of layer/total (it knows versions up to 5)" in for_linux
    assert "ai-edge-litert" in for_linux
    assert "LiteRT 2.3.0" in for_android
    with pytest.raises(ExportError, match="ADD version 99 of layer/total"):
        android.remarks(operators(tiny(versions={"ADD": 99})))


def test_a_signature_beside_the_first_graph_is_refused() -> None:
    with pytest.raises(ExportError, match="does not name the inputs"):
        graph(tiny(subgraph=1))
    assert graph(tiny()).inputs == ("first", "second")


def contents(**more: Any) -> Contents:
    inputs, outputs = golden_rows(8)
    made = Contents(
        name="tiny-net",
        version=3,
        created="2026-01-01T00:00:00+00:00",
        artifact=Artifact("tflite", Path("model.tflite"), signature()),
        model=tiny(),
        inputs=inputs,
        outputs=outputs,
        rows=dict.fromkeys((*inputs, *outputs), 0),
        batches=(8, 1, 2, 7),
        tolerances=dict.fromkeys(outputs, 1e-6),
        provenance={"model": "tiny-net@3"},
    )
    return Contents(**{**vars(made), **more})


def test_metadata_follow_the_order_of_the_graph() -> None:
    inputs, outputs = golden_rows()
    made = described_model(contents(), inputs, outputs)
    entry = schema.ModelT.InitFromPackedBuf(made, 0)
    facts = bytes(entry.buffers[entry.metadata[0].buffer].data)
    assert facts.index(b"\x05\0\0\0first\0") != facts.index(b"\x06\0\0\0second\0")
    wanted = ModelFacts(
        "tiny-net",
        "tiny-net 3: second:float32[batch,3], first:float32[batch,3] to "
        "total:float32[batch,3], difference:float32[batch,3].",
        "3",
        "not stated",
        [_facts(name, inputs[name]) for name in ("first", "second")],
        [_facts(name, outputs[name]) for name in ("total", "difference")],
    )
    assert facts == metadata(wanted)


def _facts(name: str, array: np.ndarray) -> TensorFacts:
    return TensorFacts(name, f"{name}:float32[batch,3], as it was trained", (float(array.min()), float(array.max())))


def test_a_file_described_by_its_maker_stays_as_it_is(tmp_path: Path) -> None:
    model = with_metadata(tiny(), b"M001", {})
    inputs, outputs = golden_rows()
    assert described_model(contents(model=model), inputs, outputs) == model
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    labels = read_labels(f"total={tmp_path / 'labels.txt'}", signature())
    with pytest.raises(UsageError, match="metadata of its own"):
        described_model(contents(model=model, labels=labels), inputs, outputs)


def test_labels_belong_to_one_output(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("a\nb\nc\n")
    assert read_labels(f"difference={path}", signature()).output == "difference"
    with pytest.raises(UsageError, match="fits total, difference"):
        read_labels(str(path), signature())
    one = Signature(signature().inputs, (TensorSpec("y", "float32", ("batch", 3)),))
    assert read_labels(str(path), one).names == ["a", "b", "c"]
    assert read_labels(str(path.rename(tmp_path / "run.py")), one).file == "labels.txt", "never in another file's place"
    path.write_text("a\n")
    for given in (str(path), f"total={path}"):
        with pytest.raises(UsageError, match="1 labels"):
            read_labels(given, signature())
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(str(tmp_path / "none.txt"), signature())


@pytest.mark.parametrize("dtype", ["float32", ">f4", "float64", "int64", "uint8", "bool", "complex64"])
def test_vectors_are_little_endian_and_dense(dtype: str) -> None:
    array = (np.arange(12).reshape(3, 4) % 3).astype(dtype).T
    body = npy(array)
    np.testing.assert_array_equal(np.load(io.BytesIO(body), allow_pickle=False), array)
    (length,) = struct.unpack_from("<H", body, 8)
    assert b"'>" not in body[: 10 + length]
    assert b"'fortran_order': False" in body[: 10 + length]
    assert len(body) == 10 + length + array.nbytes, "what Kotlin reads behind the header"
    with pytest.raises(ExportError, match="string cannot be packaged"):
        npy(np.array([b"x"], object))


def test_an_archive_follows_from_its_content_alone() -> None:
    files = {"b/run.py": b"print()", "a.txt": "ä".encode()}
    made = archive("net-1-linux", files)
    assert made == archive("net-1-linux", dict(reversed(files.items())))
    with zipfile.ZipFile(io.BytesIO(made)) as opened:
        assert opened.namelist() == [f"net-1-linux/{name}" for name in ("SHA256SUMS", "a.txt", "b/run.py")]
        assert {(i.date_time, i.compress_type, i.external_attr >> 16) for i in opened.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 0o100644)
        }


def test_an_archive_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.zip"
    write(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", _full)
        with pytest.raises(UnavailableError, match="No space left"):
            write(path, b"new")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"net.zip": b"old"}
    write(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o644)


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_golden_kotlin(golden: Callable[[Path, str], None]) -> None:
    spec = {spec.name: spec for spec in (*signature().inputs, *signature().outputs)}
    made = Signature((spec["second"], TensorSpec("first", "int64", ("batch", 3))), (spec["total"], spec["difference"]))
    changes = (
        Change("second", "int8", (), 0.5, 3, "integers in and out"),
        Change("first", "int32", (), why="the runtime has no int64 here"),
        Change("total", "uint8", (), 0.25, 128, "integers in and out"),
    )
    inputs, _ = golden_rows(8)
    whole = contents(
        artifact=Artifact("tflite", Path("model.tflite"), made, "int8", changes=changes),
        inputs={**inputs, "first": np.arange(24).reshape(8, 3)},
    )
    files = TARGETS.load("android").files(whole)
    for name in ("TinyNet.kt", "TinyNetTest.kt"):
        (path,) = (path for path in files if path.endswith(f"/{name}"))
        golden(GOLDEN / f"{name}.txt", files[path].decode())
    array = np.load(io.BytesIO(files["src/androidTest/assets/tinynet-golden/input_1.npy"]))
    assert array.dtype == np.int32, "the test's inputs are as the class takes them"


def test_every_target_tells_both_signatures_and_where_the_file_comes_from() -> None:
    for target in TARGETS:
        files = TARGETS.load(target).files(contents(remarks=("mind this",)))
        assert json.loads(files["signature.json"])["source"] == signature().to_json()
        assert json.loads(files["provenance.json"])["remarks"] == ["mind this"]
        readme = files["README.md"].decode()
        assert all(f"{name}" in readme for name in ("first", "second", "total", "difference", "mind this"))
        assert not [name for name, content in files.items() if b"@FILE@" in content or b"@NAME@" in content]


def test_dtypes_that_kotlin_cannot_hold_are_refused() -> None:
    odd = Signature((TensorSpec("second", "float16", ("batch", 3)), signature().inputs[1]), signature().outputs)
    with pytest.raises(ExportError, match="second:float16"):
        TARGETS.load("android").files(contents(artifact=Artifact("tflite", Path("m"), odd)))


@pytest.mark.parametrize("name", ["run.py", "selftest.py"])
def test_the_programs_are_python_3_8(name: str) -> None:
    ast.parse((FILES / "linux_files" / name).read_text(), feature_version=(3, 8))


@pytest.fixture(scope="module")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("packaged_run", FILES / "linux_files" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


CHANGES = (
    Change("x", "int8", (), 0.02, -3),
    Change("x", "uint8", (0, 2, 3, 1), 0.01, 128),
    Change("x", "float16", (0, 2, 3, 1)),
    Change("x", "float32", (3, 0, 2, 1)),
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: f"{c.dtype}-{c.axes}")
def test_the_package_goes_between_the_forms_as_we_do(change: Change, run: ModuleType) -> None:
    model = object.__new__(run.Model)
    model._changes = {"x": json.loads(json.dumps(change.to_json()))}
    array = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    there = model._to_file("x", array)
    np.testing.assert_array_equal(there, change.to_file(array))
    assert there.dtype == change.dtype
    assert there.flags["C_CONTIGUOUS"]
    back = model._from_file({"name": "x", "dtype": "float32"}, there)
    np.testing.assert_array_equal(back, change.from_file(there, "float32"))
    assert back.dtype == np.float32


def test_the_package_refuses_what_does_not_fit(run: ModuleType) -> None:
    model = object.__new__(run.Model)
    model._changes = {"x": Change("x", "int32", why="no int64").to_json()}
    with pytest.raises(ValueError, match="does not fit int32: no int64"):
        model._to_file("x", np.array([2**40]))
    spec = {"name": "x", "dtype": "float32", "shape": ["batch", 3]}
    assert run.conformed(spec, np.ones((2, 3))).dtype == np.float32
    for wrong in (np.ones((2, 4), np.float32), np.ones(3, np.float32), np.ones((2, 3), np.int64)):
        with pytest.raises(ValueError, match="the model wants"):
            run.conformed(spec, wrong)
