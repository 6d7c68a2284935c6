"""ONNX files: tensors that lie in other files, and operators that no standard runtime has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy_core.table import require
from deploy_exporters.safety.danger import Danger, some

_STANDARD = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft")
_PYTHON = ("PythonOp", "PythonOpGrad", "PyOp")
_COPY = "keep the data beside the model, as onnx.save(…, save_as_external_data=True) does"


def dangers(path: Path) -> Iterator[Danger]:
    """Give the data of an ONNX file that lie outside its folder or beyond their file, and operators that are code."""
    require("looking at an ONNX file", ("onnx",), "onnx")
    import onnx

    from deploy_exporters import onnx_weights

    path = path / "model.onnx" if path.is_dir() else path
    model = onnx.load(str(path), load_external_data=False)
    problems = [problem for tensor in onnx_weights.tensors(model) for problem in _external(tensor, path)]
    if problems:
        yield Danger(f"its external data are not its own: {some(problems)}", _COPY, trustable=False)
    yield from _operators(model, list(onnx_weights.graphs(model)))


def _operators(model: Any, graphs: list[Any]) -> Iterator[Danger]:
    known = {(function.domain, function.name) for function in model.functions}
    foreign = [
        f"{node.domain}.{node.op_type}"
        for graph in graphs
        for node in graph.node
        if (node.domain not in _STANDARD and (node.domain, node.op_type) not in known) or node.op_type in _PYTHON
    ]
    if foreign:
        hint = "express them in standard operators, or as functions in the file"
        what = f"it needs operators whose code is not in it: {some(foreign)}"
        yield Danger(what, hint, trustable=False)


def _external(tensor: Any, path: Path) -> Iterator[str]:
    if not tensor.external_data:
        return
    told = {entry.key: entry.value for entry in tensor.external_data}
    location = told.get("location", "")
    file = path.parent / location
    if not location or location.startswith(("/", "*/")) or ".." in Path(location.replace("\\", "/")).parts:
        yield f"{tensor.name} lies at {location!r}, outside its folder"
    elif file.is_symlink() or not file.resolve().is_relative_to(path.parent.resolve()):
        yield f"{tensor.name} lies at {location!r}, which is a link"
    elif not file.is_file():
        yield f"{tensor.name} lies at {location!r}, which is not there"
    elif _end(told) > file.stat().st_size:
        yield f"{tensor.name} ends at byte {_end(told)} of {location}, which has {file.stat().st_size}"


def _end(told: dict[str, str]) -> int:
    offset, length = (int(told.get(key) or 0) for key in ("offset", "length"))
    if min(offset, length) < 0:
        raise ValueError(f"external data begin at {offset} and are {length} long")
    return offset + length
