"""What Triton's python backend runs as `model.py`: ONNX by ONNX Runtime, TorchScript by torch; it stands alone.

Tensors go in and out by DLPack: with numpy 2, a backend that was built for numpy 1 gives `as_numpy()` the first element
in every place, and says nothing. Strings have no form in DLPack and come as they always did.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Tensors = Mapping[str, Any]
Run = Callable[[Tensors], Sequence[Any]]
_USED = b"used_dltensor"  # the capsule keeps the address only


class TritonPythonModel:
    """One instance of a model: Triton makes it, and asks it with several requests at once."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the file that lies beside this one, onto the instance's GPU if it has one."""
        self._backend = import_module("triton_python_backend_utils")
        config = json.loads(args["model_config"])
        self._batched = config["max_batch_size"] > 0
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._texts = {tensor["name"] for tensor in config["input"] if tensor["data_type"] == "TYPE_STRING"}
        self._outputs = [tensor["name"] for tensor in config["output"]]
        folder = Path(args["model_repository"]) / args["model_version"]
        gpu = int(args["model_instance_device_id"]) if args["model_instance_kind"] == "GPU" else None
        threads = int(config.get("parameters", {}).get("intra_op_thread_count", {}).get("string_value", 0))
        start = _start_torch if (folder / "model.pt").exists() else _start_onnx
        self._run = start(folder, gpu, threads, self._outputs)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request; they are asked as one batch, and one by one if that fails."""
        asked = [self._read(request) for request in requests]
        if self._batched and len(asked) > 1:
            try:
                answers = self._joined(asked)
                return [self._written(*pair) for pair in zip(requests, answers, strict=True)]
            except Exception as error:
                # One of them may be at fault, and only that one is to fail.
                said = f"{len(asked)} requests failed together and are asked one by one: {error}"
                self._backend.Logger.log_warn(said)
        return [self._alone(request, inputs) for request, inputs in zip(requests, asked, strict=True)]

    def _joined(self, asked: Sequence[Tensors]) -> list[list[Any]]:
        rows = [len(next(iter(inputs.values()))) for inputs in asked]
        whole = {name: np.concatenate([inputs[name] for inputs in asked]) for name in self._inputs}
        outputs = self._run(whole)
        if any(len(array) != sum(rows) for array in outputs):
            raise ValueError("an output has another number of rows than the inputs")
        parts = [np.split(array, np.cumsum(rows)[:-1]) for array in outputs]
        return [list(answer) for answer in zip(*parts, strict=True)]

    def _alone(self, request: Any, inputs: Tensors) -> Any:
        try:
            return self._written(request, self._run(inputs))
        except Exception as error:
            return self._backend.InferenceResponse([], self._backend.TritonError(f"{type(error).__name__}: {error}"))

    def _read(self, request: Any) -> dict[str, Any]:
        tensors = ((name, self._backend.get_input_tensor_by_name(request, name)) for name in self._inputs)
        return {name: t.as_numpy() if name in self._texts else np.from_dlpack(t) for name, t in tensors}

    def _written(self, request: Any, outputs: Sequence[Any]) -> Any:
        wanted = request.requested_output_names()
        named = zip(self._outputs, outputs, strict=True)
        return self._backend.InferenceResponse([self._tensor(*pair) for pair in named if pair[0] in wanted])

    def _tensor(self, name: str, array: Any) -> Any:
        if array.dtype.kind in "OU":
            return self._backend.Tensor(name, _bytes(array))
        shared = _Shared(array)
        tensor = self._backend.Tensor.from_dlpack(name, shared)
        shared.note_used()
        return tensor


class _Shared:
    """An array that is handed over by DLPack once.

    The backend marks a capsule as used by a name of its own; numpy, which knows another one, would write a traceback
    into the log with every answer.
    """

    def __init__(self, array: Any) -> None:
        # A part of an array or a constant of the model may be read-only, which DLPack has no word for.
        self._array = np.ascontiguousarray(array) if array.flags.writeable else np.array(array, order="C")
        self._capsule: Any = None

    def __dlpack__(self, **wanted: Any) -> Any:
        self._capsule = self._array.__dlpack__()
        return self._capsule

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def note_used(self) -> None:
        capsule, python = ctypes.py_object(self._capsule), ctypes.pythonapi
        if python.PyCapsule_IsValid(capsule, b"used_dlpack"):
            python.PyCapsule_SetName(capsule, _USED)


def _start_onnx(folder: Path, gpu: int | None, threads: int, outputs: list[str]) -> Run:
    import onnxruntime

    providers: list[Any] = ["CPUExecutionProvider"]
    if gpu is not None:
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise RuntimeError("the ONNX Runtime of this server's Python has no CUDA: install onnxruntime-gpu there")
        # TensorFloat-32 rounds to ten bits, which is another model's answer.
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": gpu, "use_tf32": 0}))
    path = folder / "model.onnx"
    options = onnxruntime.SessionOptions()
    if threads:
        options.intra_op_num_threads = threads
    file = path / "model.onnx" if path.is_dir() else path
    session = onnxruntime.InferenceSession(str(file), options, providers=providers)

    def run(inputs: Tensors) -> Sequence[Any]:
        answer: Sequence[Any] = session.run(outputs, {name: _texts(array) for name, array in inputs.items()})
        return answer

    return run


def _start_torch(folder: Path, gpu: int | None, threads: int, outputs: list[str]) -> Run:
    import torch

    handler = import_module("deploy_handler")  # it lies beside this file
    if gpu is not None and not torch.cuda.is_available():
        raise RuntimeError("the torch of this server's Python has no CUDA: install one that has")
    if threads:
        torch.set_num_threads(threads)
    ask = handler.run_torchscript(folder / "model.pt", gpu, outputs)

    def run(inputs: Tensors) -> list[Any]:
        # Copied: what comes by DLPack is read-only, of which torch warns with every request.
        return [array for _, array in ask({name: (array.dtype.name, array.copy()) for name, array in inputs.items()})]

    return run


def _texts(array: Any) -> Any:
    """Give strings as str: of bytes ONNX Runtime would make their Python source."""
    if array.dtype.kind != "O":
        return array
    return np.array([value.decode() for value in array.ravel().tolist()], dtype=object).reshape(array.shape)


def _bytes(array: Any) -> Any:
    flat = [value.encode() if isinstance(value, str) else value for value in array.ravel().tolist()]
    result = np.empty(len(flat), dtype=object)
    result[:] = flat
    return result.reshape(array.shape)
