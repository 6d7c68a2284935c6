"""TensorFlow Lite, run by LiteRT."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core.dtypes import dtype_name
from deploy_core.errors import UsageError
from deploy_core.predictor import Intermediate
from deploy_core.signature import BATCH, Dim, Signature, Tensors, TensorSpec
from deploy_exporters.formats.option import Option, Options

FILE = "model.tflite"
LIBRARY = "ai_edge_litert"
OPTIONS: Options = {
    "io": Option("of tflite-int8: `float` or `int8` for its inputs and outputs (float)", ("float", "int8"), "int8"),
    "layout": Option(
        "nhwc: inputs and outputs of four dimensions in floats have their channels last (as in the source)", ("nhwc",)
    ),
    "integers": Option("int32: int64 inputs and outputs are int32 (as in the source)", ("int32",)),
}


class Interpreted:
    """A signature of a TensorFlow Lite file; one call at a time."""

    def __init__(self, runner: Any, signature: Signature, path: Path) -> None:
        self.signature = signature
        self._path = path
        self._runner = runner
        self._lock = threading.Lock()

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        arrays = {name: np.ascontiguousarray(array) for name, array in self.signature.conform(inputs).items()}
        with self._lock:
            outputs = self._runner(**arrays)
        return {spec.name: outputs[spec.name] for spec in self.signature.outputs}

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside, computed by LiteRT's own kernels without a delegate, quantised ones as real numbers."""
        from deploy_exporters.inside import tflite

        return tflite.intermediates(self._path, self.signature.conform(inputs))

    def close(self) -> None:
        """Let go of the interpreter."""
        self._runner = None


def load(path: Path, signature: Signature | None = None, *, threads: int | None = None) -> Interpreted:
    """Load a .tflite; from its bytes, because a corrupt file can crash the reader of paths."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=threads)
    runner = interpreter.get_signature_runner(signature_key(interpreter, path))
    return Interpreted(runner, signature or _signature(runner), path)


def signature_key(interpreter: Any, path: Path) -> str:
    """Give the name of the signature that is run. Raises UsageError for a file without one."""
    names = list(interpreter.get_signature_list())
    if not names:
        raise UsageError(
            f"{path} has no signature, so its tensors have no names", hint="convert it with a newer TensorFlow"
        )
    return "serving_default" if "serving_default" in names else str(names[0])


def _signature(runner: Any) -> Signature:
    return Signature(_specs(runner.get_input_details()), _specs(runner.get_output_details()))


def _specs(details: Mapping[str, Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, _dtype(detail["dtype"]), _shape(name, detail)) for name, detail in details.items())


def _dtype(kind: Any) -> str:
    return "string" if kind in (bytes, np.bytes_, object) else dtype_name(np.dtype(kind))


def _shape(name: str, detail: Mapping[str, Any]) -> tuple[Dim, ...]:
    sizes = [int(size) for size in detail.get("shape_signature", detail["shape"])]
    return tuple(size if size >= 0 else (BATCH if axis == 0 else f"{name}_{axis}") for axis, size in enumerate(sizes))
