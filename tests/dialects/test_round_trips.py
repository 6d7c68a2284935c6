"""Every dtype through client half, server half and client half, to the bit."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from deploy_core.dtypes import DTYPES
from deploy_core.endpoint import DIALECTS, TRANSPORTS, Endpoint
from deploy_core.errors import InputError
from deploy_core.signature import Signature, TensorSpec
from deploy_dialects.carrying import NOT_CARRIED, not_carried

SIXTEEN = {"float16", "bfloat16"}
COMPLEX = {"complex64", "complex128"}
# What a dialect over a transport cannot carry, by the protocol's own rules; the client says so before it sends anything.
REFUSED = {
    ("tfserving", "rest", False): SIXTEEN | COMPLEX,
    ("tfserving", "rest", True): set(DTYPES),
    ("tfserving", "grpc", False): set(),
    ("tfserving", "grpc", True): set(),
    ("oip", "rest", False): SIXTEEN | COMPLEX,
    ("oip", "rest", True): COMPLEX,
    ("oip", "grpc", False): COMPLEX,
    ("oip", "grpc", True): COMPLEX,
    ("torchserve", "rest", False): COMPLEX,
    ("torchserve", "rest", True): {"complex128", "string"},
    ("torchserve", "grpc", False): {"complex128", "string"},
    ("torchserve", "grpc", True): {"complex128", "string"},
}
ROADS = [(*road, dtype) for road in REFUSED for dtype in DTYPES]


@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (0, 4)], ids=str)
@pytest.mark.parametrize(("dialect", "transport", "binary", "dtype"), ROADS)
def test_round_trip(
    dialects: Any, dialect: str, transport: str, binary: bool, dtype: str, shape: tuple[int, ...]
) -> None:
    road = dialects.Road(dialect, transport)
    plane = dialects.plane_of(f"x:{dtype}[batch,4] n:{dtype}[batch]", f"y:{dtype}[batch,4] m:{dtype}[batch]")
    x = dialects.sample(dtype, shape)
    inputs, outputs = {"x": x, "n": x[:, 0]}, {"y": x, "m": x[:, 1]}

    def answer(got: Any) -> Any:
        dialects.same(got, inputs)
        return outputs

    if dtype in REFUSED[dialect, transport, binary]:
        with pytest.raises(InputError) as caught:
            road.travel(plane, inputs, answer, binary=binary)
        assert dtype in str(caught.value) or "no binary form" in str(caught.value)
    else:
        dialects.same(road.travel(plane, inputs, answer, binary=binary), outputs)


def test_what_cannot_be_carried_is_known_before_it_is_tried() -> None:
    for (dialect, transport), refused in NOT_CARRIED.items():
        assert set(refused) == REFUSED[dialect, transport, dialect == "oip"]
        signature = Signature((TensorSpec("x", "complex128", (2,)),), (TensorSpec("y", "float32", ()),))
        told = not_carried(dialect, transport, signature)
        assert [spec.name for spec in told] == (["x"] if "complex128" in refused else [])
    assert len(NOT_CARRIED) == len(DIALECTS) * len(TRANSPORTS)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("shape", ["[]", "[batch]", "[2,0]", "[batch,3,2,2]", "[1]"])
def test_shapes(dialects: Any, road: Any, binary: bool, shape: str) -> None:
    plane = dialects.plane_of(f"x:float32{shape}", f"y:float32{shape} z:float32{shape}")
    dims = [2 if d == "batch" else d for d in TensorSpec.parse(f"x:float32{shape}").shape]
    x = np.arange(np.prod(dims), dtype=np.float32).reshape(dims)
    outputs = {"y": x, "z": np.asarray(x + 1)}
    dialects.same(road.travel(plane, {"x": x}, lambda got: outputs, binary=binary and road.has_binary), outputs)


@pytest.mark.parametrize("binary", [False, True])
def test_arrays_that_are_not_contiguous(dialects: Any, road: Any, binary: bool) -> None:
    plane = dialects.plane_of("x:float32[batch,3]", "y:float32[batch,3]")
    x = np.arange(12, dtype=np.float32).reshape(3, 4).T[:, ::-1]
    got = road.travel(plane, {"x": x}, lambda got: {"y": got["x"].T.copy().T}, binary=binary and road.has_binary)
    assert (got["y"] == x).all()


def test_big_endian_arrays(dialects: Any, transport: str) -> None:
    road = dialects.Road("oip", transport)
    plane = dialects.plane_of("x:float32[batch]", "y:float32[batch]")
    x = np.array([1.5, 2.5], ">f4")
    got = road.travel(plane, {"x": x}, lambda got: {"y": got["x"].astype(">f4")}, binary=transport == "rest")
    assert got["y"].tolist() == [1.5, 2.5]


def test_bytes_that_are_no_text(dialects: Any) -> None:
    raw = np.array([b"\xff\x00\xfe", b""], dtype=object)
    plane = dialects.plane_of("x:string[batch]", "y_bytes:string[batch]")
    for dialect, transport, binary in (
        ("tfserving", "rest", False),
        ("tfserving", "grpc", False),
        ("oip", "rest", True),
        ("oip", "grpc", False),
    ):
        road = dialects.Road(dialect, transport)
        got = road.travel(plane, {"x": raw}, lambda got: {"y_bytes": got["x"]}, binary=binary)
        assert got["y_bytes"].tolist() == raw.tolist()


def test_random_floats_keep_every_bit(dialects: Any, road: Any) -> None:
    random = np.random.default_rng(5)
    bits = random.integers(0, 2**32, 2000, dtype=np.uint32)
    x = bits.view(np.float32).copy()
    x = x[np.isfinite(x)]
    plane = dialects.plane_of("x:float32[batch]", "y:float32[batch]")
    dialects.same(road.travel(plane, {"x": x}, lambda got: {"y": got["x"]}), {"y": x})


@pytest.mark.parametrize("labels", [(), ("stable",)])
@pytest.mark.parametrize("version", [None, "1", "2"])
def test_description(dialects: Any, road: Any, version: str | None, labels: tuple[str, ...]) -> None:
    plane = dialects.plane_of("a:float32[batch,6] b:int64[batch,2]", "y:float32[batch,1] z:bool[batch]", labels=labels)
    endpoint = Endpoint(road.endpoint.dialect, road.endpoint.transport, "127.0.0.1", 1, "m", version)
    reply = dialects.run(road.module, plane, road.module.describe(endpoint), lambda got: got)
    described = road.module.read_description(endpoint, reply)
    assert described.signature == plane._served[0].signature
    newest = None if road.endpoint.dialect == "oip" else "2"  # oip lists all versions and says not which one answers
    assert described.version == (version or newest)


def test_symbols_beyond_the_batch_are_not_taken_for_equal(dialects: Any) -> None:
    road = dialects.Road("oip", "rest")
    plane = dialects.plane_of("a:float32[batch,n] b:float32[batch,n]", "y:float32[batch,k]")
    reply = dialects.run(road.module, plane, road.module.describe(road.endpoint), None)
    shapes = [spec.shape for spec in road.module.read_description(road.endpoint, reply).signature.inputs]
    assert shapes == [("batch", "a_1"), ("batch", "b_1")]


def test_labels(dialects: Any) -> None:
    plane = dialects.plane_of("x:float32[batch]", "y:float32[batch]", labels=("stable",))
    x = {"x": np.zeros(2, np.float32)}
    for dialect in ("tfserving", "oip"):
        for transport in ("rest", "grpc"):
            road = dialects.Road(dialect, transport)
            endpoint = Endpoint(dialect, transport, "127.0.0.1", 1, "m", "stable")
            request = road.module.encode(endpoint, plane._served[0].signature, x, binary=False)
            reply = dialects.run(road.module, plane, request, lambda got: {"y": got["x"]})
            assert road.module.decode(endpoint, plane._served[0].signature, reply)["y"].shape == (2,)


def test_half_floats_are_the_same_numbers(dialects: Any) -> None:
    road = dialects.Road("oip", "grpc")
    plane = dialects.plane_of("x:bfloat16[batch]", "y:float32[batch]")
    x = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    got = road.travel(plane, {"x": x}, lambda got: {"y": got["x"].astype(np.float32)})
    assert got["y"].tolist() == [1.5, -2.0]
