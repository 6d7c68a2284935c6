"""The Open Inference Protocol over REST: the specification's examples, and what Triton, MLServer and KServe answer to a client."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_core.signature import Signature, TensorSpec
from deploy_dialects.oip import rest
from deploy_dialects.wire import HttpReply, HttpRequest

ENDPOINT = Endpoint("oip", "rest", "127.0.0.1", 1, "m")
INFER = "/v2/models/m/infer"


def _specs(text: str) -> tuple[TensorSpec, ...]:
    return tuple(map(TensorSpec.parse, text.split()))


@pytest.fixture
def infer(dialects: Any) -> Any:
    """Ask `input0:uint32[2,2] input1:bool[3] -> output0:float32[3,2]`, the specification's model."""

    def send(body: bytes, **headers: str) -> HttpReply:
        plane = dialects.plane_of("input0:uint32[2,2] input1:bool[3]", "output0:float32[3,2]")

        def answer(got: Any) -> Any:
            assert got["input0"].tolist() == [[1, 2], [3, 4]]
            assert got["input1"].tolist() == [True, False, True]
            return {"output0": np.array([[1.0, 1.1], [2.0, 2.1], [3.0, 3.1]], np.float32)}

        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = dialects.run(rest, plane, HttpRequest("POST", INFER, named, body), answer)
        assert isinstance(reply, HttpReply)
        return reply

    return send


FLAT = {
    "id": "42",
    "inputs": [
        {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 3, 4]},
        {"name": "input1", "shape": [3], "datatype": "BOOL", "data": [True, False, True]},
    ],
    "outputs": [{"name": "output0"}],
}


def test_the_example_of_the_specification(infer: Any) -> None:
    reply = infer(json.dumps(FLAT).encode())
    assert reply.headers == {"content-type": "application/json"}
    assert json.loads(reply.body) == {
        "model_name": "m",
        "model_version": "2",
        "id": "42",
        "outputs": [{"name": "output0", "shape": [3, 2], "datatype": "FP32", "data": [1.0, 1.1, 2.0, 2.1, 3.0, 3.1]}],
    }


@pytest.mark.parametrize("change", [{"outputs": None}, {"outputs": []}, {"extra": {"a": 1}}, {"parameters": None}, {}])
def test_what_may_be_left_out_or_added(infer: Any, change: dict[str, Any]) -> None:
    assert infer(json.dumps({**FLAT, **change}).encode()).status == 200


def test_nested_data_and_no_id(infer: Any) -> None:
    nested = json.loads(json.dumps(FLAT))
    nested["inputs"][0]["data"] = [[1, 2], [3, 4]]
    nested["inputs"].reverse()
    del nested["id"]
    assert "id" not in json.loads(infer(json.dumps(nested).encode()).body)


def _binary(**more: Any) -> bytes:
    tensors = [
        {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "parameters": {"binary_data_size": 16}},
        {"name": "input1", "shape": [3], "datatype": "BOOL", "parameters": {"binary_data_size": 3}},
    ]
    return json.dumps({"inputs": tensors, **more}).encode()


RAW = bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 1])


@pytest.mark.parametrize(
    ("more", "binary"),
    [
        ({}, False),
        ({"outputs": [{"name": "output0", "parameters": {"binary_data": True}}]}, True),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"parameters": {"binary_data_output": True}, "outputs": [{"name": "output0"}]}, True),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "output0", "parameters": {"binary_data": False}}],
            },
            False,
        ),
    ],
)
def test_the_example_of_the_binary_extension(infer: Any, more: dict[str, Any], binary: bool) -> None:
    head = _binary(**more)
    reply = infer(head + RAW, inference_header_content_length=str(len(head)))
    if not binary:
        assert json.loads(reply.body)["outputs"][0]["data"] == [1.0, 1.1, 2.0, 2.1, 3.0, 3.1]
        return
    length = int(reply.headers["inference-header-content-length"])
    assert reply.headers["content-type"] == "application/octet-stream"
    assert json.loads(reply.body[:length])["outputs"] == [
        {"name": "output0", "shape": [3, 2], "datatype": "FP32", "parameters": {"binary_data_size": 24}}
    ]
    assert reply.body[length:] == np.array([1.0, 1.1, 2.0, 2.1, 3.0, 3.1], "<f4").tobytes()


def test_mixed_inputs(infer: Any) -> None:
    mixed = json.loads(_binary())
    mixed["inputs"][0] = FLAT["inputs"][0]  # type: ignore[index]
    head = json.dumps(mixed).encode()
    assert infer(head + RAW[16:], inference_header_content_length=str(len(head))).status == 200


def test_bytes_elements_on_the_wire(dialects: Any) -> None:
    signature = Signature(_specs("x:string[batch]"), _specs("y:string[batch]"))
    x = np.array([b"ab", b"", b"\xff"], dtype=object)
    request = rest.encode(ENDPOINT, signature, {"x": x}, binary=True)
    length = int(request.headers["inference-header-content-length"])
    assert request.body[length:] == b"\2\0\0\0ab\0\0\0\0\1\0\0\0\xff"


SIGNATURE = Signature(_specs("x:float32[batch]"), _specs("y:float32[batch] s:string[batch]"))
Y = {"name": "y", "datatype": "FP32", "shape": [2], "data": [1.5, 2.5]}
S = {"name": "s", "datatype": "BYTES", "shape": [2], "data": ["a", "ä"]}


def _decode(outputs: list[Any], **more: Any) -> Any:
    body = json.dumps({"model_name": "m", "outputs": outputs, **more}).encode()
    return rest.decode(ENDPOINT, SIGNATURE, HttpReply(200, {}, body))


@pytest.mark.parametrize(
    ("outputs", "more"),
    [
        pytest.param([Y, S], {"model_version": "1"}, id="triton"),
        pytest.param([S, Y], {}, id="in another order"),
        pytest.param(
            [{**Y, "parameters": {}}, {**S, "parameters": {"content_type": "str"}}],
            {"id": "2a7d", "parameters": {}},
            id="mlserver",
        ),
        pytest.param(
            [{**Y, "parameters": None}, {**S, "parameters": None}],
            {"id": "x", "model_version": None, "parameters": None},
            id="kserve",
        ),
        pytest.param([{**Y, "data": [[1.5, 2.5]][0]}, S], {}, id="nested"),
    ],
)
def test_answers_of_other_servers(outputs: list[Any], more: dict[str, Any]) -> None:
    got = _decode(outputs, **more)
    assert list(got) == ["y", "s"]
    assert got["y"].tolist() == [1.5, 2.5]
    assert got["s"].tolist() == [b"a", "ä".encode()]


def test_tokens_that_triton_writes() -> None:
    got = _decode([{**Y, "data": [float("nan"), float("-inf")]}, S])
    assert np.isnan(got["y"][0])
    assert got["y"][1] == -np.inf


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ([{**Y, "data": [None, 1.5]}, S], "None"),
        ([Y], "outputs are ['y']"),
        ([Y, S, {**Y, "name": "z"}], "no tensor 'z'"),
        ([Y, Y, S], "twice"),
        ([{**Y, "shape": [3]}, S], "needs 3 values, got 2"),
        ([{**Y, "shape": [1, 2]}, S], "shape [1, 2]"),
        ([{**Y, "shape": None}, S], "'shape' is None"),
        ([{**Y, "datatype": "FP64"}, S], "datatype 'FP64'"),
        ([{**Y, "data": "abc"}, S], "'data' is 'abc'"),
        ([{**Y, "parameters": {"binary_data_size": 8}, "data": None}, S], "both data and binary"),
        ("abc", "'outputs' is 'abc'"),
    ],
)
def test_answers_that_are_none(outputs: Any, words: str) -> None:
    with pytest.raises(EndpointError) as caught:
        _decode(outputs)
    assert words in str(caught.value)


def _binary_answer(size: int, tail: int, length: str | None = None) -> HttpReply:
    y = {"name": "y", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": size}}
    head = json.dumps({"outputs": [y, S]}).encode()
    return HttpReply(200, {"inference-header-content-length": length or str(len(head))}, head + bytes(tail))


def test_a_binary_answer() -> None:
    assert rest.decode(ENDPOINT, SIGNATURE, _binary_answer(8, 8))["y"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("size", "tail", "length"),
    [(8, 7, None), (8, 9, None), (4, 4, None), (9, 8, None), (8, 8, "5"), (8, 8, "99999"), (8, 8, "-1"), (8, 8, "x")],
)
def test_a_binary_answer_that_lies(size: int, tail: int, length: str | None) -> None:
    with pytest.raises(EndpointError):
        rest.decode(ENDPOINT, SIGNATURE, _binary_answer(size, tail, length))


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"inputs": [], "outputs": {}},
        {"inputs": [{"name": "x"}], "outputs": []},
        {"inputs": [{"name": "x", "datatype": "FP8", "shape": [1]}], "outputs": []},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": ["a"]}], "outputs": []},
        {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-2]}], "outputs": []},
    ],
)
def test_metadata_that_are_none(answer: Any) -> None:
    with pytest.raises(EndpointError):
        rest.read_description(ENDPOINT, HttpReply(200, {}, json.dumps(answer).encode()))


@pytest.mark.parametrize("dialect", ["tfserving", "oip", "torchserve"])
def test_an_error_under_status_200(dialects: Any, dialect: str) -> None:
    road = dialects.Road(dialect, "rest")
    reply = HttpReply(200, {}, b'{"error": "out of memory"}')
    for read in (
        lambda: road.module.read_description(road.endpoint, reply),
        lambda: road.module.decode(road.endpoint, SIGNATURE, reply),
    ):
        with pytest.raises(EndpointError, match="out of memory"):
            read()
