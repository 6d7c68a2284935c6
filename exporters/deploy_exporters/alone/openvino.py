"""Some operations of an OpenVINO model as a model of their own."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deploy_core.errors import UsageError
from deploy_core.signature import Tensors
from deploy_exporters.inside.openvino import ports
from deploy_exporters.lean_import import openvino


def part(path: Path, tensors: Sequence[str], values: Tensors) -> bytes:
    """Give a model, its graph and its constants in one file, of the operations that make `tensors`.

    Raises UsageError for a tensor that the model has not.
    """
    runtime = openvino()
    named = ports(runtime.Core().read_model(str(path / "model.xml" if path.is_dir() else path)))
    if unknown := [name for name in (*values, tensors[-1]) if name not in named]:
        raise UsageError(f"{path.name} has no tensor {unknown[0]!r}", hint="name its intermediates")
    given = []
    for name, array in values.items():
        port = named[name]
        parameter = runtime.opset13.parameter(array.shape, port.get_element_type(), name=f"given {name}")
        parameter.output(0).get_tensor().set_names({name})
        for use in list(port.get_target_inputs()):
            use.replace_source_output(parameter.output(0))
        given.append(parameter)
    with tempfile.TemporaryDirectory(prefix="deploy-alone-") as folder:
        graph = Path(folder) / "model.xml"
        runtime.serialize(runtime.Model([named[tensors[-1]]], given, "part"), str(graph))
        files = {"graph": graph, "constants": graph.with_suffix(".bin")}
        whole = io.BytesIO()
        np.savez(
            whole,
            allow_pickle=False,
            **{name: np.frombuffer(file.read_bytes(), np.uint8) for name, file in files.items()},
        )
    return whole.getvalue()
