"""OpenVINO's intermediate representation, run by OpenVINO on the CPU in float32."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core.dtypes import dtype_name
from deploy_core.predictor import Intermediate
from deploy_core.signature import BATCH, Dim, Signature, Tensors, TensorSpec
from deploy_exporters.formats.option import Options

FILE = ""  # a folder: the graph, and its weights beside it
GRAPH = "model.xml"
LIBRARY = "openvino"
OPTIONS: Options = {}


class Compiled:
    """A model compiled for this CPU; one call at a time."""

    def __init__(self, request: Any, signature: Signature, graph: Path) -> None:
        self.signature = signature
        self._graph = graph
        self._request = request
        self._lock = threading.Lock()

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        arrays = {name: np.ascontiguousarray(array) for name, array in self.signature.conform(inputs).items()}
        with self._lock:
            results = self._request.infer(arrays)
            return {spec.name: np.array(results[spec.name]) for spec in self.signature.outputs}

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside, of the model as its file has it."""
        from deploy_exporters.inside import openvino as inside

        names = [spec.name for spec in self.signature.outputs]
        return inside.intermediates(self._graph, self.signature.conform(inputs), names)

    def close(self) -> None:
        """Let go of the model."""
        self._request = None


def load(path: Path, signature: Signature | None = None, *, threads: int | None = None) -> Compiled:
    """Compile a model: the folder that holds `model.xml`, or an .xml; `threads` is how many one call may use."""
    from deploy_exporters.lean_import import openvino

    # By default it may compute in bfloat16 where the processor can.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    graph = path / GRAPH if path.is_dir() else path
    compiled = openvino().Core().compile_model(str(graph), "CPU", settings)
    told = signature or Signature(_specs(compiled.inputs), _specs(compiled.outputs))
    return Compiled(compiled.create_infer_request(), told, graph)


def _specs(ports: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(port.any_name, dtype_name(port.element_type.to_dtype()), _shape(port)) for port in ports)


def _shape(port: Any) -> tuple[Dim, ...]:
    # OpenVINO keeps no names of dimensions.
    return tuple(
        (BATCH if axis == 0 else f"{port.any_name}_{axis}") if dim.is_dynamic else dim.get_length()
        for axis, dim in enumerate(port.partial_shape)
    )
