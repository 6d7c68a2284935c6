"""An in-memory data plane, and one road through a dialect's client half, server half and client half again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from deploy_core.endpoint import Endpoint
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_dialects.wire import Ask, HttpReply, HttpRequest, Refused, RpcRequest, Served

NUMERIC = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip


class MemoryPlane:
    """A few versions in a list."""

    def __init__(self, *served: Served) -> None:
        self._served = served

    def served(self) -> Iterable[Served]:
        return self._served

    def find(self, name: str, version: str | None = None, *, label: str | None = None) -> Served:
        found = [
            s
            for s in self._served
            if s.name == name and version in (None, str(s.version)) and (label is None or label in s.labels)
        ]
        if not found:
            raise Refused("NOT_FOUND", f"no {name} {version} {label}")
        return max(found, key=lambda s: s.version)


def plane_of(inputs: str, outputs: str, *, labels: tuple[str, ...] = ()) -> MemoryPlane:
    """Serve model `m` in versions 1 and 2; the specs are separated by blanks."""
    signature = Signature(tuple(map(TensorSpec.parse, inputs.split())), tuple(map(TensorSpec.parse, outputs.split())))
    return MemoryPlane(Served("m", 1, signature, "onnx"), Served("m", 2, signature, "onnx", labels))


def run(module: ModuleType, plane: MemoryPlane, request: Any, answer: Callable[[Tensors], Tensors]) -> Any:
    """Do what a server does with one request, the model being `answer`."""
    if isinstance(request, RpcRequest):
        return _finish(module.HANDLERS[request.method](plane, request, None), answer)
    try:
        return _finish(_route(module, plane, request), answer)
    except Refused as refused:
        return module.refuse(refused.code, refused.message)


def _route(module: ModuleType, plane: MemoryPlane, request: HttpRequest) -> HttpReply | Ask[HttpReply]:
    path = request.target.partition("?")[0]
    for route in module.HANDLERS:
        match: re.Match[str] | None = route.path.fullmatch(path)
        if match and request.method in route.methods:
            reply: HttpReply | Ask[HttpReply] = route.handler(plane, request, match)
            return reply
    raise AssertionError(f"no route for {request.method} {path}")


def _finish(reply: Any, answer: Callable[[Tensors], Tensors]) -> Any:
    return reply.render(answer(reply.inputs)) if isinstance(reply, Ask) else reply


def sample_of(dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Give values of a dtype with its extremes among them; deterministic."""
    count = int(np.prod(shape))
    if dtype == "string":
        array = np.empty(count, dtype=object)
        array[:] = [f'{i}: ä\u20ac\x00"\\'.encode() for i in range(count)]
        return array.reshape(shape)
    if dtype == "bool":
        return (np.arange(count) % 3 == 0).reshape(shape)
    if dtype.startswith(("int", "uint")):
        info = np.iinfo(dtype)
        return np.resize(np.array([info.min, info.max, 0, 1, 100], dtype), shape)
    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    values = np.array([0.1, -1 / 3, 3.0, -0.0, 1e-3, 1e4], np.float64).astype(kind)
    if dtype.startswith("complex"):
        values = values + values.dtype.type(2j)
    elif dtype not in ("float16", "bfloat16"):
        values = np.concatenate(
            [values, [np.finfo(kind).max, np.finfo(kind).smallest_subnormal, np.nan, np.inf, -np.inf]]
        )
    return np.resize(values.astype(kind), shape)


def same(got: Mapping[str, Any], want: Mapping[str, Any]) -> None:
    """Assert that tensors are the same to the bit."""
    assert list(got) == list(want)
    for name, array in want.items():
        assert got[name].dtype == array.dtype
        assert got[name].shape == array.shape
        assert got[name].tobytes() == array.tobytes() if array.dtype.kind != "O" else (got[name] == array).all()


@pytest.fixture(params=["tfserving", "oip", "torchserve"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["rest", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Road:
    """One dialect over one transport, from a client's inputs to its outputs, with a server half between."""

    def __init__(self, dialect: str, transport: str) -> None:
        self.module = import_module(f"deploy_dialects.{dialect}.{transport}")
        self.endpoint = Endpoint(dialect, transport, "127.0.0.1", 1, "m")
        self.has_binary = (dialect, transport) != ("tfserving", "rest")

    def travel(
        self, plane: MemoryPlane, inputs: Tensors, answer: Callable[[Tensors], Tensors], *, binary: bool = False
    ) -> Tensors:
        """Encode, handle, decode."""
        signature = plane._served[0].signature
        request = self.module.encode(self.endpoint, signature, inputs, binary=binary)
        outputs: Tensors = self.module.decode(self.endpoint, signature, run(self.module, plane, request, answer))
        return outputs


@pytest.fixture
def road(dialect: str, transport: str) -> Road:
    return Road(dialect, transport)


@pytest.fixture
def dialects() -> Any:
    """Hand this module's functions to the tests, which cannot import a conftest."""
    import types

    return types.SimpleNamespace(
        plane_of=plane_of, run=run, sample=sample_of, same=same, Road=Road, MemoryPlane=MemoryPlane
    )


@pytest.fixture(scope="session")
def sample() -> Callable[..., Any]:
    """Give values of a dtype: `sample(dtype, shape)`."""
    return sample_of
