"""ONNX files that OpenVINO does not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from deploy_core.errors import ExportError
from deploy_core.signature import Signature
from deploy_exporters.steps.job import Job
from deploy_exporters.steps.openvino import openvino_from_onnx


def _rows(name: str) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"])


def test_operators_that_openvino_cannot_read_are_named(tmp_path: Path) -> None:
    node = helper.make_node("NoSuchThing", ["rows"], ["out"], domain="somebodys.own")
    graph = helper.make_graph([node], "graph", [_rows("rows")], [_rows("out")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("somebodys.own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "model.onnx")
    job = Job(tmp_path / "model.onnx", tmp_path / "openvino", Signature((), ()), (), "net")
    with pytest.raises(ExportError, match=r"OpenVINO cannot read these operators .*: somebodys\.own\.NoSuchThing"):
        openvino_from_onnx(job)
