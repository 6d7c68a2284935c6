"""TensorFlow Serving's JSON: rows, columns, strings, several inputs and outputs; and what other servers answer to a client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_core.signature import Signature, TensorSpec
from deploy_dialects.codes import STATUSES
from deploy_dialects.tfserving import rest
from deploy_dialects.wire import HttpReply, HttpRequest

Predict = Callable[..., Any]
ENDPOINT = Endpoint("tfserving", "rest", "127.0.0.1", 1, "m")


@pytest.fixture
def predict(dialects: Any) -> Predict:
    """Ask a model that gives every input back as `out_NAME`, plus what `more` makes of the inputs."""

    def send(inputs: str, body: Any, outputs: str = "", more: Any = None) -> Any:
        specs = [spec for spec in inputs.split() if not outputs]
        plane = dialects.plane_of(inputs, outputs or " ".join(f"out_{spec}" for spec in specs))

        def answer(got: Any) -> Any:
            return more(got) if more else {f"out_{name}": array for name, array in got.items()}

        reply = dialects.run(
            rest, plane, HttpRequest("POST", "/v1/models/m:predict", {}, json.dumps(body).encode()), answer
        )
        text = reply.body.decode()
        return json.loads(text) if reply.status == 200 else (reply.status, json.loads(text)["error"])

    return send


@pytest.mark.parametrize(
    ("inputs", "body", "answer"),
    [
        ("x:float32[batch,2]", {"instances": [[1, 2.5]]}, {"predictions": [[1.0, 2.5]]}),
        ("x:float32[batch,2]", {"instances": [{"x": [1, 2]}]}, {"predictions": [[1.0, 2.0]]}),
        ("x:float32[batch,2]", {"inputs": [[1, 2]]}, {"outputs": [[1.0, 2.0]]}),
        ("x:float32[batch,2]", {"inputs": {"x": [[1, 2]]}}, {"outputs": [[1.0, 2.0]]}),
        ("x:float32[batch,2]", {"inputs": {"x": [[1, 2]], "ignored": 1}}, {"outputs": [[1.0, 2.0]]}),
        ("x:float32[batch,2]", {"inputs": [], "unknown": 1}, {"outputs": []}),
        ("x:float32[]", {"inputs": 5}, {"outputs": 5.0}),
        ("x:int32[batch]", {"instances": [1, 2], "signature_name": ""}, {"predictions": [1, 2]}),
        ("x:int32[batch]", {"instances": [1], "signature_name": "serving_default"}, {"predictions": [1]}),
        ("x:bool[batch]", {"instances": [True]}, {"predictions": [True]}),
        ("x:string[batch]", {"instances": ["ä", {"b64": "YQ=="}]}, {"predictions": ["ä", "a"]}),
        ("x_bytes:string[batch]", {"instances": [{"b64": "/w=="}]}, {"predictions": [{"b64": "/w=="}]}),
        ("x:string[]", {"inputs": {"b64": "YQ=="}}, {"outputs": "a"}),
        (
            "a:float32[batch] b:int64[batch,2]",
            {"instances": [{"a": 1, "b": [1, 2]}, {"b": [3, 4], "a": 2}]},
            {"predictions": [{"out_a": 1.0, "out_b": [1, 2]}, {"out_a": 2.0, "out_b": [3, 4]}]},
        ),
        (
            "a:string[batch] b:string[batch,1]",
            {"instances": [{"a": {"b64": "YQ=="}, "b": ["b"]}]},
            {"predictions": [{"out_a": "a", "out_b": ["b"]}]},
        ),
        (
            "a:float32[batch] b:int64[batch]",
            {"inputs": {"b": [], "a": []}},
            {"outputs": {"out_a": [], "out_b": []}},
        ),
    ],
)
def test_forms(predict: Predict, inputs: str, body: Any, answer: Any) -> None:
    assert predict(inputs, body) == answer


def test_bare_rows_for_several_inputs(predict: Predict) -> None:
    status, text = predict("a:float32[batch] b:float32[batch]", {"instances": [[1, 2]]})
    assert (status, "several inputs: a, b" in text) == (400, True)


def test_a_missing_input(predict: Predict) -> None:
    answer = predict("a:float32[batch] b:float32[batch]", {"inputs": {"a": [1]}})
    assert answer == (400, "Missing named input: b in 'inputs' object.")


def test_rows_of_different_batches(predict: Predict) -> None:
    def more(got: Any) -> Any:
        return {"y": got["x"], "z": got["x"][:1]}

    body = {"instances": [1, 2]}
    status, text = predict("x:float32[batch]", body, "y:float32[batch] z:float32[n]", more)
    assert (status, "inconsistent batch size" in text) == (400, True)
    columns = predict("x:float32[batch]", {"inputs": [1, 2]}, "y:float32[batch] z:float32[n]", more)
    assert columns == {"outputs": {"y": [1.0, 2.0], "z": [1.0]}}


def test_rows_of_a_scalar(predict: Predict) -> None:
    status, text = predict(
        "x:float32[batch]",
        {"instances": [1]},
        "y:float32[]",
        lambda got: {"y": got["x"].sum(keepdims=False)[()] * np.ones(())},
    )
    assert (status, "no shape information" in text) == (400, True)


def test_bytes_that_are_no_text_are_refused_and_not_changed(predict: Predict) -> None:
    status, text = predict("x:string[batch]", {"instances": [{"b64": "/w=="}]})
    assert (status, "out_x_bytes" in text) == (400, True)


def test_floats_are_the_shortest_that_read_back(dialects: Any) -> None:
    plane = dialects.plane_of("x:float32[batch]", "y:float32[batch]")
    body = b'{"inputs": [0.1, 16777216, 1e-45, 3.4028235e38, 9e6]}'
    reply = dialects.run(
        rest, plane, HttpRequest("POST", "/v1/models/m:predict", {}, body), lambda got: {"y": got["x"]}
    )
    assert reply.body == b'{"outputs":[0.1,16777216.0,1e-45,3.4028235e+38,9000000.0]}'
    reply = dialects.run(
        rest,
        plane,
        HttpRequest("POST", "/v1/models/m:predict", {}, b'{"inputs": [0.1, NaN]}'),
        lambda got: {"y": got["x"]},
    )
    assert reply.body == b'{"outputs":[0.1,NaN]}'


def _signature(outputs: str = "y:float32[batch]") -> Signature:
    return Signature((TensorSpec.parse("x:float32[batch]"),), tuple(map(TensorSpec.parse, outputs.split())))


@pytest.mark.parametrize(
    ("outputs", "body", "want"),
    [
        ("y:float32[batch]", b'{\n    "outputs": [\n        1.0,\n        9e+06\n    ]\n}', [1.0, 9e6]),
        ("y:float32[batch]", b'{"outputs": {"y": [1, 2]}}', [1.0, 2.0]),
        ("y:float32[batch]", b'{"outputs": [NaN, Infinity]}', [np.nan, np.inf]),
        ("y:string[batch]", b'{"outputs": ["a", {"b64": "Yg=="}]}', [b"a", b"b"]),
        ("y:float32[batch,3]", b'{"outputs": []}', []),
    ],
)
def test_answers_as_the_real_server_writes_them(outputs: str, body: bytes, want: list[Any]) -> None:
    array = rest.decode(ENDPOINT, _signature(outputs), HttpReply(200, {}, body))["y"]
    assert all(a == b or a != a != b for a, b in zip(array.ravel().tolist(), want, strict=True))


def test_metadata_in_camel_case() -> None:
    """OpenVINO Model Server writes the same document so."""
    info = {"dtype": "DT_FLOAT", "tensorShape": {"dim": [{"size": "-1"}, {"size": "3"}]}}
    answer = {
        "modelSpec": {"name": "m", "version": "4"},
        "metadata": {
            "signatureDef": {"signatureDef": {"serving_default": {"inputs": {"x": info}, "outputs": {"y": info}}}}
        },
    }
    described = rest.read_description(ENDPOINT, HttpReply(200, {}, json.dumps(answer).encode()))
    assert described.version == "4"
    assert str(described.signature.inputs[0]) == "x:float32[batch,3]"


def test_metadata_as_the_real_server_writes_them(dialects: Any) -> None:
    plane = dialects.plane_of("x:float32[batch,6]", "y:int64[batch]")
    reply = dialects.run(rest, plane, HttpRequest("GET", "/v1/models/m/metadata"), None)
    assert json.loads(reply.body) == {
        "model_spec": {"name": "m", "signature_name": "", "version": "2"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "serving_default": {
                        "inputs": {
                            "x": {
                                "dtype": "DT_FLOAT",
                                "tensor_shape": {
                                    "dim": [{"size": "-1", "name": ""}, {"size": "6", "name": ""}],
                                    "unknown_rank": False,
                                },
                                "name": "x:0",
                            }
                        },
                        "outputs": {
                            "y": {
                                "dtype": "DT_INT64",
                                "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
                                "name": "y:0",
                            }
                        },
                        "method_name": "tensorflow/serving/predict",
                        "defaults": {},
                    }
                }
            }
        },
    }


@pytest.mark.parametrize("body", [b'{"outputs": {"b64": "%%"}}', b'{"outputs": {"y": 1, "z": 2}}', b'{"outputs": "a"}'])
def test_answers_that_are_none(body: bytes) -> None:
    with pytest.raises(EndpointError):
        rest.decode(ENDPOINT, _signature(), HttpReply(200, {}, body))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("INVALID_ARGUMENT", 400),
        ("FAILED_PRECONDITION", 400),
        ("OUT_OF_RANGE", 400),
        ("UNAUTHENTICATED", 401),
        ("PERMISSION_DENIED", 403),
        ("NOT_FOUND", 404),
        ("ALREADY_EXISTS", 409),
        ("ABORTED", 409),
        ("RESOURCE_EXHAUSTED", 429),
        ("CANCELLED", 499),
        ("UNKNOWN", 500),
        ("INTERNAL", 500),
        ("DATA_LOSS", 500),
        ("UNIMPLEMENTED", 501),
        ("UNAVAILABLE", 503),
        ("DEADLINE_EXCEEDED", 504),
        ("NO_SUCH_CODE", 500),
    ],
)
def test_statuses(code: str, status: int) -> None:
    reply = rest.refuse(code, 'no "x"')
    assert (reply.status, json.loads(reply.body)) == (status, {"error": 'no "x"'})


def test_every_dialect_has_a_status_for_every_code() -> None:
    import grpc

    codes = {code.name for code in grpc.StatusCode}
    assert all(set(table) == codes for table in STATUSES.values())
