"""ONNX, run by ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deploy_core.device import CPU, Device
from deploy_core.errors import InputError, UnavailableError, UsageError
from deploy_core.predictor import Intermediate
from deploy_core.signature import BATCH, Array, Dim, Signature, Tensors, TensorSpec
from deploy_exporters.formats import onnx_empty as empty
from deploy_exporters.formats.option import Option, Options

FILE = "model.onnx"
LIBRARY = "onnxruntime"
GPU = True
FROM_TORCH, FROM_TENSORFLOW = range(18, 24), range(13, 19)  # the operator sets that their converters write
OPTIONS: Options = {
    "opset": Option(
        "version of the operator set: from torch 18 to 23 (20 without it), from Keras 13 to 18 (18)",
        tuple(map(str, range(FROM_TENSORFLOW[0], FROM_TORCH[-1] + 1))),
    ),
    "external_data": Option(
        "always: the weights in a file beside the graph, as they are above 2 GB; auto without it", ("auto", "always")
    ),
}
_CUDA = "CUDAExecutionProvider"
_DTYPES = {"float": "float32", "double": "float64"}


class Session:
    """An ONNX Runtime session called by tensor names; calls from several threads may run at once."""

    def __init__(self, session: Any, signature: Signature, path: Path) -> None:
        self.signature = signature
        self._path = path
        self._run = session.run
        self._names = [spec.name for spec in signature.outputs]

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch. Raises InputError for an empty sequence in a recurrent model."""
        arrays = self.signature.conform(inputs)
        if any(array.size == 0 for array in arrays.values()) and empty.is_deadly(self._path):
            return empty.answer(self._answer, self.signature, arrays)
        return self._answer(arrays)

    def _answer(self, arrays: dict[str, Array]) -> dict[str, Array]:
        return dict(zip(self._names, map(_bytes, self._run(self._names, _texts(arrays))), strict=True))

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer in float64, by the standard's reference implementation: ONNX Runtime has no float64 convolution.

        Raises UsageError for a file of more than 4 MiB, and for operators that it cannot compute.
        """
        from deploy_exporters import onnx_float64

        return onnx_float64.predict(onnx_float64.evaluator(self._path), self.signature.conform(inputs), self._names)

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside, computed on the CPU with nothing fused."""
        from deploy_exporters.inside import onnx

        return onnx.intermediates(self._path, _texts(self.signature.conform(inputs)))

    def close(self) -> None:
        """Let go of the session."""
        self._run = None


def load(
    path: Path, signature: Signature | None = None, *, threads: int | None = None, device: Device = CPU
) -> Session:
    """Load an ONNX file, or the folder that holds one with its weights beside it; `threads` is how many one call may use.

    Raises UnavailableError if it is to run on a GPU and cannot.
    """
    from deploy_exporters import lean_import

    onnxruntime = lean_import.onnxruntime()
    path = path / FILE if path.is_dir() else path

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=_providers(onnxruntime, device))
    if device.on_gpu and _CUDA not in session.get_providers():
        raise _no_cuda("ONNX Runtime finds no GPU that it can use")
    told = signature or Signature(_specs(session.get_inputs()), _specs(session.get_outputs()))
    return Session(session, told, path)


def _providers(onnxruntime: Any, device: Device) -> list[Any]:
    if not device.on_gpu:
        return ["CPUExecutionProvider"]
    if _CUDA not in onnxruntime.get_available_providers():
        raise _no_cuda("this ONNX Runtime is built for the CPU alone")
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries as pip installs them
    # TensorFloat-32 rounds to ten bits, which is another model's answer.
    chosen = {"device_id": device.indexes[0] if device.indexes else 0, "use_tf32": 0}
    return [(_CUDA, chosen), "CPUExecutionProvider"]


def _no_cuda(what: str) -> UnavailableError:
    return UnavailableError(
        what, hint="pip uninstall onnxruntime; pip install 'onnxruntime-gpu[cuda,cudnn]', and look at nvidia-smi"
    )


def _specs(values: Sequence[Any]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(value.name, _dtype(value), _shape(value)) for value in values)


def _dtype(value: Any) -> str:
    if not value.type.startswith("tensor("):
        raise UsageError(f"{value.name!r} of the ONNX file is a {value.type}, not a tensor")
    name: str = value.type.removeprefix("tensor(").removesuffix(")")
    return _DTYPES.get(name, name)


def _shape(value: Any) -> tuple[Dim, ...]:
    # The first symbol of a foreign file may have any name; to everyone else it is the batch.
    dims: list[Dim] = [
        dim if isinstance(dim, int | str) else f"{value.name}_{axis}" for axis, dim in enumerate(value.shape)
    ]
    return (BATCH, *dims[1:]) if dims and isinstance(dims[0], str) else tuple(dims)


def _texts(arrays: dict[str, Array]) -> dict[str, Array]:
    """Give strings as str: of bytes ONNX Runtime would make their Python source. Raises InputError for what is no UTF-8."""
    return {name: _decoded(name, array) if array.dtype.kind == "O" else array for name, array in arrays.items()}


def _decoded(name: str, array: Array) -> Array:
    try:
        flat = [value.decode() for value in array.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise InputError(f"input {name!r} holds bytes that are no text: {error}", hint="ONNX wants UTF-8") from error
    return np.array(flat, dtype=object).reshape(array.shape)


def _bytes(array: Array) -> Array:
    if array.dtype.kind not in "OU":
        return array
    flat = [value.encode() if isinstance(value, str) else value for value in array.ravel().tolist()]
    result = np.empty(len(flat), dtype=object)
    result[:] = flat
    return result.reshape(array.shape)
