"""The tables: routes that fit together, formats that can be found, and what is told when something is missing."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from deploy_core import table
from deploy_core.errors import UnavailableError, UsageError
from deploy_exporters import export
from deploy_exporters.formats import FORMATS, PUBLIC, check_options, file_of
from deploy_exporters.routes import KINDS, REFUSED, ROUTES, STEPS, matrix, route


@pytest.mark.parametrize("pair", ROUTES)
def test_each_step_reads_what_the_ones_before_wrote(pair: tuple[str, str]) -> None:
    written = {""}
    for name in ROUTES[pair]:
        assert STEPS[name].reads in written
        written.add(STEPS[name].writes)
    assert STEPS[ROUTES[pair][-1]].writes == pair[1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_public_format_is_reached_or_refused_with_a_reason(kind: str) -> None:
    for name in PUBLIC:
        assert ((kind, name) in ROUTES) != bool(REFUSED.get((kind, name)))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_names_its_writer_and_a_module_that_is_there(name: str) -> None:
    module, _, function = STEPS[name].function.partition(":")
    assert function == name
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_format_module_has_the_fixed_names(name: str) -> None:
    module = import_module(FORMATS[name].module)
    assert isinstance(module.FILE, str)
    assert isinstance(module.LIBRARY, str)
    assert all(option.help for option in module.OPTIONS.values())
    written = {step.writes for step in STEPS.values()}
    assert {f"{name}-{option.only}" for option in module.OPTIONS.values() if option.only} <= written
    assert callable(module.load)


def test_the_parent_imports_no_framework() -> None:
    code = (
        "import sys\n"
        "from deploy_exporters import export, formats, routes, sources, worker\n"
        "for name in formats.FORMATS: formats.file_of(name, 'net'); formats.check_options((name,), {name: {}})\n"
        "heavy = {'torch', 'tensorflow', 'keras', 'onnx', 'onnxruntime', 'ai_edge_litert', 'openvino', 'executorch', 'coremltools'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_files_lie_where_the_store_wants_them() -> None:
    files = {name: file_of(name, "net") for name in PUBLIC}
    assert files == {
        "torchscript": "model.pt", "mar": "net.mar", "onnx": "model.onnx", "savedmodel": "", "tflite": "model.tflite",
        "pt2": "model.pt2", "openvino": "", "executorch": "model.pte", "coreml": "model.mlpackage",
    }  # fmt: skip


def test_unknown_format_route_and_option() -> None:
    with pytest.raises(UsageError, match="unknown format 'onyx'") as caught:
        route("torch", "onyx")
    assert "onnx" in caught.value.hint
    with pytest.raises(UsageError, match="no route from torch to keras"):
        route("torch", "keras")
    with pytest.raises(UsageError, match="format onnx has no option 'opsett'") as caught:
        check_options(("onnx",), {"onnx": {"opsett": "18"}})
    assert "opset" in caught.value.hint
    with pytest.raises(UsageError, match="'mar', which is not among"):
        check_options(("onnx",), {"mar": {}})


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("onnx.opset", "abc", "20 or 21"),
        ("onnx.opset", "12", "13 or 14"),
        ("onnx.opset", "24", "or 23"),
        ("onnx.opset", "²", "or 23"),
        ("onnx.opset", "", "or 23"),
        ("onnx.external_data", "yes", "auto or always"),
        ("torchscript.method", "hope", "script or trace or export"),
        ("tflite.layout", "nchw", "it is nhwc, or left out"),
        ("tflite.integers", "int16", "int32"),
        ("tflite.io", "int4", "float or int8"),
        ("mar.unproved", "no", "it is yes, or left out"),
    ],
)
def test_a_wrong_value_is_told_with_those_that_it_may_have(option: str, value: str, hint: str) -> None:
    name, _, key = option.partition(".")
    with pytest.raises(UsageError) as caught:
        check_options((name, f"{name}-int8"), {name: {key: value}})
    assert str(caught.value) == f"{option} is {value!r}"
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["onnx", "torchscript", "tflite", "mar"])
def test_every_value_that_is_told_is_taken(name: str) -> None:
    for key, option in import_module(FORMATS[name].module).OPTIONS.items():
        for value in option.values:
            check_options((name, f"{name}-{option.only}"), {name: {key: value}})


def test_a_missing_extra_is_one_sentence_and_a_row_of_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_found", lambda name: name != "tensorflow")
    with pytest.raises(UnavailableError, match="exporting torch to tflite needs tensorflow") as caught:
        export.check("torch", ["onnx", "tflite"], {})
    assert caught.value.exit_code == 6
    assert "deploy-toolkit[tensorflow]" in caught.value.hint
    cells = {(cell.kind, cell.format): cell for cell in matrix()}
    assert cells["torch", "tflite"].missing == ("tensorflow",)
    assert cells["torch", "tflite"].extras == ("tensorflow",)
    assert cells["torch", "onnx"].missing == ()
