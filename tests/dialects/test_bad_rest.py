"""Requests over REST that must be refused in the dialect's own words, at once and with nothing allocated."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest

from deploy_dialects.wire import HttpReply, HttpRequest

Ask = Callable[..., HttpReply]
DEEP = 250_000
PATHS = {"tfserving": "/v1/models/m:predict", "oip": "/v2/models/m/infer", "torchserve": "/predictions/m"}


@pytest.fixture
def ask(dialects: Any) -> Ask:
    """Send a body to a model `x:DTYPE[batch,2] -> y` that echoes."""

    def send(dialect: str, body: bytes, dtype: str = "float32", headers: dict[str, str] | None = None) -> HttpReply:
        plane = dialects.plane_of(f"x:{dtype}[batch,2]", f"y:{dtype}[batch,2]")
        request = HttpRequest("POST", PATHS[dialect], {"content-type": "application/json", **(headers or {})}, body)
        reply = dialects.run(dialects.Road(dialect, "rest").module, plane, request, lambda got: {"y": got["x"]})
        assert isinstance(reply, HttpReply)
        return reply

    return send


@pytest.fixture(autouse=True)
def _small_memory() -> Generator[None]:
    """No request of this module makes more of itself than its own size explains."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20


def wrapped(dialect: str, data: str, datatype: str = "FP32", shape: str = "[1,2]") -> bytes:
    """Put nested lists into a request of the dialect."""
    if dialect == "oip":
        text = f'{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":{shape},"data":{data}}}]}}'
    elif dialect == "tfserving":
        text = f'{{"instances":{data}}}'
    else:
        text = f'{{"inputs":{{"x":{data}}}}}'
    return text.encode()


def refused(reply: HttpReply, status: int = 400) -> str:
    """Assert that the reply is an error of its dialect; give its text."""
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/json"
    answer = json.loads(reply.body)
    text = str(answer["error"] if "error" in answer else answer["message"])
    assert text
    assert len(text) < 1000
    assert "Traceback" not in text
    assert "/site-packages" not in text
    return text


def test_honest_requests_are_answered(ask: Ask, dialect: str) -> None:
    reply = ask(dialect, wrapped(dialect, "[[1, 2.5]]"))
    assert reply.status == 200
    assert b"2.5" in reply.body


GARBAGE = {
    "nothing": b"",
    "no JSON": b"hello",
    "cut off": b'{"inputs": [',
    "trailing garbage": b"{} x",
    "two documents": b"{}{}",
    "BOM": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "invalid UTF-8": b'{"a": "\xff"}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "NUL": b'{"a": 1}\0',
    "depth": b'{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "depth of objects": b'{"a": ' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "depth and NaN": b'{"b": NaN, "a": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "never closed": b"[" * DEEP,
    "number beyond float64": b'{"a": 1e400}',
    "number beyond float64 and NaN": b'{"a": 1e400, "b": NaN}',
    "number of 10 000 digits": b'{"a": ' + b"1" * 10_000 + b"}",
    "comment": b"{/* */}",
}


NO_REQUEST = {
    "a list": b"[]",
    "null": b"null",
    "a number": b"12",
    "depth just below the reader's": b'{"a": ' + b'{"a":' * 990 + b"1" + b"}" * 990 + b"}",
    "no inputs": b"{}",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(ask: Ask, dialect: str, name: str) -> None:
    assert "not valid JSON" in refused(ask(dialect, GARBAGE[name]))


@pytest.mark.parametrize("name", NO_REQUEST)
def test_documents_that_are_no_request(ask: Ask, dialect: str, name: str) -> None:
    refused(ask(dialect, NO_REQUEST[name]))


@pytest.mark.parametrize("where", ["start", "end"])
def test_duplicate_keys(ask: Ask, dialect: str, where: str) -> None:
    good = wrapped(dialect, "[[1,2]]").decode()
    key = next(iter(json.loads(good)))
    body = good[:-1] + f',"{key}":{json.dumps(json.loads(good)[key])}}}'
    assert "duplicate key" in refused(ask(dialect, body.encode()))


def test_duplicate_keys_within(ask: Ask) -> None:
    body = b'{"inputs":[{"name":"x","name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}'
    assert "duplicate key 'name'" in refused(ask("oip", body))


def test_a_colon_in_a_string_is_no_member(ask: Ask) -> None:
    body = b'{"id":"a:b:c","inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]}'
    assert json.loads(ask("oip", body).body)["id"] == "a:b:c"


@pytest.mark.parametrize(
    "data",
    [
        "[[1,2],[3]]",
        "[[1,2],3]",
        "[1,[2,3]]",
        "[[1,[2]]]",
        "[[1,2,3]]",
        "[[[1],[2]]]",
        "[[1]]",
        "{}",
        '{"a":1}',
        "null",
    ],
)
def test_lists_that_are_no_tensor(ask: Ask, dialect: str, data: str) -> None:
    refused(ask(dialect, wrapped(dialect, data)))


@pytest.mark.parametrize("depth", [33, 400, 900, 100_000])
def test_nesting_within_the_data(ask: Ask, dialect: str, depth: int) -> None:
    refused(ask(dialect, wrapped(dialect, "[" * depth + "1" + "]" * depth)))


@pytest.mark.parametrize("depth", [400, 900])
def test_nesting_within_strings(ask: Ask, dialect: str, depth: int) -> None:
    refused(ask(dialect, wrapped(dialect, "[" * depth + '"a"' + "]" * depth, "BYTES"), "string"))


@pytest.mark.parametrize(
    ("dtype", "datatype", "value"),
    [
        ("uint8", "UINT8", "256"),
        ("uint8", "UINT8", "-1"),
        ("int8", "INT8", "-129"),
        ("int8", "INT8", "128"),
        ("int16", "INT16", "32768"),
        ("int32", "INT32", "2147483648"),
        ("uint32", "UINT32", "4294967296"),
        ("int64", "INT64", "9223372036854775808"),
        ("int64", "INT64", "-9223372036854775809"),
        ("uint64", "UINT64", "18446744073709551616"),
        ("int32", "INT32", "1.0"),
        ("int32", "INT32", "1.5"),
        ("int32", "INT32", "1e2"),
        ("int32", "INT32", "true"),
        ("int32", "INT32", '"1"'),
        ("int32", "INT32", "null"),
        ("int32", "INT32", "{}"),
        ("int32", "INT32", "NaN"),
        ("float32", "FP32", "true"),
        ("float32", "FP32", '"1"'),
        ("float32", "FP32", "null"),
        ("float32", "FP32", '{"b64":"AA=="}'),
        ("bool", "BOOL", "1"),
        ("bool", "BOOL", '"true"'),
        ("string", "BYTES", "1"),
        ("string", "BYTES", "null"),
        ("string", "BYTES", '{"a":"b"}'),
    ],
)
def test_values_that_are_not_of_the_dtype(ask: Ask, dialect: str, dtype: str, datatype: str, value: str) -> None:
    good = {"bool": "false", "string": '"a"'}.get(dtype, "0")
    for data in (f"[[{good},{value}]]", f"[[{value},{good}]]"):
        refused(ask(dialect, wrapped(dialect, data, datatype), dtype))


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "uint64"])
def test_the_ends_of_integers_are_kept(ask: Ask, dialect: str, dtype: str) -> None:
    info = np.iinfo(dtype)
    body = wrapped(dialect, f"[[{info.min},{info.max}]]", dtype.upper())
    assert f"{info.min},{info.max}".encode() in ask(dialect, body, dtype).body


def test_numbers_beyond_float32(ask: Ask) -> None:
    for dialect in ("oip", "torchserve"):
        assert "beyond float32" in refused(ask(dialect, wrapped(dialect, "[[1e39,0]]")))
    assert b"[[Infinity,-Infinity]]" in ask("tfserving", wrapped("tfserving", "[[1e39,-1e39]]")).body


def test_integers_beyond_float64(ask: Ask, dialect: str) -> None:
    refused(ask(dialect, wrapped(dialect, f"[[{'9' * 400},0]]")))


def test_tokens_that_are_no_numbers_in_json(ask: Ask, dialect: str) -> None:
    reply = ask(dialect, wrapped(dialect, "[[NaN,-Infinity]]"))
    assert reply.status == 200
    assert b"NaN" in reply.body
    assert b"-Infinity" in reply.body
    assert b"null" not in reply.body
    for token in ("nan", "inf", "+Infinity", "-NaN"):
        refused(ask(dialect, wrapped(dialect, f"[[{token},0]]")))


SHAPES = [
    "[1,1099511627776]",
    "[1099511627776,1099511627776]",
    "[16,1152921504606846978]",
    "[4294967296,4294967296,0]",
    "[-1,2]",
    "[1.0,2]",
    "[true,2]",
    '["1",2]',
    "[null]",
    "[[1,2]]",
    "[]",
    "[2]",
    "[1,2,1]",
    "[2,1]",
    "[0,2]",
    "[1,18446744073709551616]",
    "null",
    '"1,2"',
    "{}",
    str([1] * 1000),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s[:30])
def test_shapes(ask: Ask, shape: str) -> None:
    refused(ask("oip", wrapped("oip", "[1,2]", shape=shape)))
    head = {"inputs": [{"name": "x", "datatype": "FP32", "shape": 0, "parameters": {"binary_data_size": 8}}]}
    text = json.dumps(head).replace('"shape": 0', f'"shape": {shape}').encode()
    refused(ask("oip", text + bytes(8), headers={"inference-header-content-length": str(len(text))}))


def _input(**changes: Any) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2], **changes}
    return json.dumps({"inputs": [{k: v for k, v in tensor.items() if v != "absent"}]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        _input(name="z"),
        _input(name=1),
        _input(name="absent"),
        _input(datatype="FP64"),
        _input(datatype="FLOAT"),
        _input(datatype=1),
        _input(datatype="absent"),
        _input(data="absent"),
        _input(data=1),
        _input(data=[1]),
        _input(data=[1, 2, 3]),
        _input(data=[[1], [2]]),
        _input(parameters=1),
        _input(parameters={"binary_data_size": 8}),
        b'{"inputs": {}}',
        b'{"inputs": []}',
        b'{"inputs": [1]}',
        b'{"inputs": null}',
        json.dumps({"inputs": json.loads(_input())["inputs"] * 2}).encode(),
        json.dumps({"inputs": json.loads(_input())["inputs"] * 100_000}).encode(),
        json.dumps({**json.loads(_input()), "id": 1}).encode(),
        json.dumps({**json.loads(_input()), "outputs": 1}).encode(),
        json.dumps({**json.loads(_input()), "outputs": [1]}).encode(),
        json.dumps({**json.loads(_input()), "outputs": [{"name": "z"}]}).encode(),
        json.dumps({**json.loads(_input()), "outputs": [{"name": "y"}] * 2}).encode(),
        json.dumps({**json.loads(_input()), "outputs": [{"name": "y"}] * 100_000}).encode(),
        json.dumps({**json.loads(_input()), "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}).encode(),
        json.dumps({**json.loads(_input()), "outputs": [{"name": "y", "parameters": {"classification": 3}}]}).encode(),
        json.dumps({**json.loads(_input()), "parameters": {"binary_data_output": "yes"}}).encode(),
    ],
)
def test_oip_requests(ask: Ask, body: bytes) -> None:
    refused(ask("oip", body))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_floats_have_no_json(ask: Ask, dtype: str) -> None:
    datatype = {"float16": "FP16", "bfloat16": "BF16"}[dtype]
    assert "use binary" in refused(ask("oip", wrapped("oip", "[1,2]", datatype), dtype))
    head = json.dumps(
        {"inputs": [{"name": "x", "datatype": datatype, "shape": [1, 2], "parameters": {"binary_data_size": 4}}]}
    ).encode()
    headers = {"inference-header-content-length": str(len(head))}
    assert "use binary" in refused(ask("oip", head + bytes(4), dtype, headers)), "the answer has no JSON form either"
    assert "not supported" in refused(ask("tfserving", wrapped("tfserving", "[[1,2]]"), dtype), 501)


def _binary(size: Any, **changes: Any) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": size}, **changes}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.mark.parametrize("length", ["-1", "99999999999", "x", "", "1.5", "1e2", "0x10", "+5", "²", "9" * 5000, "1"])
def test_header_length(ask: Ask, length: str) -> None:
    refused(ask("oip", _binary(8) + bytes(8), headers={"inference-header-content-length": length}))


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (_binary(8), 7),
        (_binary(8), 9),
        (_binary(8), 0),
        (_binary(4), 4),
        (_binary(16), 16),
        (_binary(-1), 8),
        (_binary(2**63), 8),
        (_binary("8"), 8),
        (_binary(8.0), 8),
        (_binary(True), 1),
        (_binary(8, data=[1, 2]), 8),
        (_input(), 1),
    ],
)
def test_binary_sizes(ask: Ask, head: bytes, tail: int) -> None:
    refused(ask("oip", head + bytes(tail), headers={"inference-header-content-length": str(len(head))}))


@pytest.mark.parametrize(
    "raw",
    [
        b"\1\0\0",
        b"\1\0\0\0",
        b"\xff\xff\xff\x7fa",
        b"\1\0\0\0a\xff\xff\xff\x7fb",
        b"\1\0\0\0a",
        b"\1\0\0\0a\1\0\0\0b\1\0\0\0c",
        b"\1\0\0\0a\1\0\0\0b\0",
        b"",
    ],
)
def test_bytes_tensors(ask: Ask, raw: bytes) -> None:
    head = _binary(len(raw), datatype="BYTES")
    refused(ask("oip", head + raw, "string", {"inference-header-content-length": str(len(head))}))


def test_a_byte_that_is_no_bool(ask: Ask) -> None:
    head = _binary(2, datatype="BOOL")
    refused(ask("oip", head + b"\1\2", "bool", {"inference-header-content-length": str(len(head))}))


def test_raw_requests(ask: Ask, dialects: Any) -> None:
    zero = {"inference-header-content-length": "0"}
    reply = ask("oip", np.array([[1, 2], [3, 4]], "<f4").tobytes(), headers=zero)
    length = int(reply.headers["inference-header-content-length"])
    assert json.loads(reply.body[:length])["outputs"][0]["shape"] == [2, 2]
    assert np.frombuffer(reply.body[length:], "<f4").tolist() == [1, 2, 3, 4]
    refused(ask("oip", b"\0" * 9, headers=zero))
    refused(ask("oip", b"", "string", zero))
    module = dialects.Road("oip", "rest").module
    plane = dialects.plane_of("a:float32[batch] b:float32[batch]", "y:float32[batch]")
    refused(dialects.run(module, plane, HttpRequest("POST", PATHS["oip"], zero, bytes(8)), None))


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": []}',
        b'{"instances": 1}',
        b'{"instances": [[1,2]], "inputs": [[1,2]]}',
        b'{"instances": [[1,2]], "signature_name": 1}',
        b'{"instances": [[1,2]], "signature_name": "other"}',
        b'{"instances": [{"x": [1,2]}, [1,2]]}',
        b'{"instances": [{"x": [1,2], "z": 1}]}',
        b'{"instances": [{"z": [1,2]}]}',
        b'{"instances": [{"x": [1,2]}, {"x": [1]}]}',
        b'{"inputs": {"z": [[1,2]]}}',
        b'{"inputs": {}}',
    ],
)
def test_tfserving_requests(ask: Ask, body: bytes) -> None:
    refused(ask("tfserving", body))


def test_base64(ask: Ask) -> None:
    assert b'[["a","b"]]' in ask("tfserving", b'{"instances": [["a", {"b64": "Yg=="}]]}', "string").body
    for bad in ("%%%", "Yg", "Y g=="):
        body = json.dumps({"instances": [["a", {"b64": bad}]]}).encode()
        assert "base64" in refused(ask("tfserving", body, "string"))
    for value in ({"b64": "Yg==", "x": 1}, {"b64": 1}, {"b64": None}):
        refused(ask("tfserving", json.dumps({"instances": [["a", value]]}).encode(), "string"))


@pytest.mark.parametrize("count", [2, 1_000_000])
def test_many_instances_of_the_wrong_shape(ask: Ask, count: int) -> None:
    if count == 1_000_000:
        tracemalloc.stop()
        tracemalloc.start()
    refused(ask("tfserving", b'{"instances": [' + b",".join([b"1"] * count) + b"]}"))


def test_tokens_of_torchserve_bodies(ask: Ask) -> None:
    binary = {"content-type": "application/octet-stream"}
    for body in (b"", b"\0" * 8, b"\x02" + b"\0" * 7 + b"{}", b"\xff" * 64, bytes(7)):
        refused(ask("torchserve", body, headers=binary))
    header = b'{"x":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,8]}}'
    refused(ask("torchserve", len(header).to_bytes(8, "little") + header + bytes(8), headers=binary))


@pytest.mark.parametrize("body", [b"{}", b'{"x":[[1,2]]}', b'{"inputs":[[1,2]]}', b'{"inputs":null}'])
def test_a_torchserve_body_without_named_inputs_is_told_what_to_send(ask: Ask, body: bytes) -> None:
    assert 'send {"inputs": {NAME: nested list}}' in refused(ask("torchserve", body))
