"""What runs inside Triton's python backend, with a backend that is made of Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from triton_store import fill

from deploy_core.signature import Array, Tensors
from deploy_model_store import Store
from deploy_servers.triton.model import TritonPythonModel


class Tensor:
    """As the backend's own; strings are given by `as_numpy` only, everything else by DLPack only."""

    def __init__(self, name: str, array: Array) -> None:
        self.name, self.array = name, array

    @classmethod
    def from_dlpack(cls, name: str, shared: Any) -> Tensor:
        return cls(name, np.from_dlpack(shared))

    def as_numpy(self) -> Array:
        assert self.array.dtype == object
        return self.array

    def __dlpack__(self, **wanted: Any) -> Any:
        return self.array.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class Request(SimpleNamespace):
    def requested_output_names(self) -> list[str]:
        return list(self.wanted)


@pytest.fixture(scope="module")
def kinds(shared: Callable[[str, Callable[[Path], None]], Path]) -> Store:
    return Store(shared("triton-store", fill))


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    backend = SimpleNamespace(
        Tensor=Tensor,
        TritonError=str,
        InferenceResponse=lambda tensors, error=None: error or {tensor.name: tensor.array for tensor in tensors},
        Logger=SimpleNamespace(log_warn=said.append),
        get_input_tensor_by_name=lambda request, name: Tensor(name, request.inputs[name]),
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", backend)  # type: ignore[arg-type]
    return said


def started(kinds: Store, name: str, folder: Path, *, rows: int = 8, kind: str = "CPU") -> TritonPythonModel:
    version = kinds.resolve(name)
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").symlink_to(version.artifact("onnx").path)
    types = {"string": "TYPE_STRING"}
    config = {
        side: [{"name": spec.name, "data_type": types.get(spec.dtype, "TYPE_OTHER")} for spec in specs]
        for side, specs in (("input", version.signature.inputs), ("output", version.signature.outputs))
    }
    model = TritonPythonModel()
    model.initialize(
        {
            "model_config": json.dumps({"max_batch_size": rows, **config}),
            "model_repository": str(folder),
            "model_version": "1",
            "model_instance_kind": kind,
            "model_instance_device_id": "0",
        }
    )
    return model


def asked(model: TritonPythonModel, *inputs: Tensors, wanted: tuple[str, ...] = ("y",)) -> list[Any]:
    return model.execute([Request(inputs=each, wanted=wanted) for each in inputs])


def test_requests_are_asked_as_one_batch_and_each_gets_its_rows(
    kinds: Store, tmp_path: Path, warned: list[str]
) -> None:
    model = started(kinds, "linear@1", tmp_path)
    rows: list[int] = []
    run = model._run
    model._run = lambda inputs: (rows.append(len(inputs["x"])), run(inputs))[1]  # type: ignore[func-returns-value]
    inputs = [np.full((size, 3), size, np.float32) for size in (1, 3, 2)]
    answers = asked(model, *({"x": x} for x in inputs))
    assert [answer["y"].tolist() for answer in answers] == [[[111.0 * len(x)]] * len(x) for x in inputs]
    assert rows == [6]
    assert warned == []


def test_one_that_cannot_be_answered_fails_alone(kinds: Store, tmp_path: Path, warned: list[str]) -> None:
    model = started(kinds, "linear@1", tmp_path)
    good, bad = {"x": np.ones((1, 3), np.float32)}, {"x": np.ones((1, 4), np.float32)}
    first, second, third = asked(model, good, bad, good)
    assert first["y"].tolist() == third["y"].tolist() == [[111.0]]
    assert "InvalidArgument" in second
    assert warned[0].startswith("3 requests failed together")


def test_only_outputs_that_are_wanted_come(kinds: Store, tmp_path: Path, warned: list[str]) -> None:
    model = started(kinds, "many", tmp_path)
    inputs = {"ids": np.ones((1, 2), np.int64), "mask": np.ones((1, 2), bool), "half": np.ones((1, 2), np.float16)}
    (answer,) = asked(model, inputs, wanted=("flipped", "twice"))
    assert list(answer) == ["flipped", "twice"]
    assert answer["flipped"].tolist() == [[False, False]]


def test_strings_go_through_as_bytes(kinds: Store, tmp_path: Path, warned: list[str]) -> None:
    model = started(kinds, "text", tmp_path)
    words = np.array([[b"one", "zwölf".encode()]], dtype=object)
    answers = asked(model, {"x": words}, {"x": words})
    assert [answer["y"].tolist() for answer in answers] == [words.tolist()] * 2


def test_a_model_without_a_batch_is_never_joined(kinds: Store, tmp_path: Path, warned: list[str]) -> None:
    model = started(kinds, "total", tmp_path, rows=0)
    x = np.ones((3, 2), np.float32)
    assert [answer["y"].tolist() for answer in asked(model, {"x": x}, {"x": x})] == [[3.0, 3.0]] * 2


def test_a_gpu_that_the_runtime_cannot_use_is_no_cpu(kinds: Store, tmp_path: Path, warned: list[str]) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(RuntimeError, match="install onnxruntime-gpu"):
        started(kinds, "linear", tmp_path, kind="GPU")
