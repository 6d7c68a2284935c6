"""The gRPC client against a real grpc server that answers well, badly, late or not at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from deploy_clients import connect
from deploy_core.errors import EndpointError, InputError, UsageError
from deploy_core.signature import Signature
from deploy_dialects.messages import message

X = {"x": np.array([[1, 2], [3, 4]], np.float32)}
INFER = "/inference.GRPCInferenceService/ModelInfer"
METADATA = "/inference.GRPCInferenceService/ModelMetadata"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
Start = Callable[..., Any]


def _answer(shape: tuple[int, ...] = (2, 1), raw: bytes = b"\0\0\0\x3f\0\0\xc0\x3f", **changes: Any) -> bytes:
    answer = message("oip", "inference.ModelInferResponse")(model_name="m")
    answer.outputs.add(**{"name": "y", "datatype": "FP32", "shape": shape, **changes})
    answer.raw_output_contents.append(raw)
    return bytes(answer.SerializeToString())


def _client(port: int, signature: Signature | None, dialect: str = "oip", at: str = "", **options: Any) -> Any:
    url = f"{dialect}+grpc://127.0.0.1:{port}/m{at}"
    return connect(url, signature=signature, **{"timeout": 10.0, **options})


def test_predicts(rpc: Start, signature: Signature) -> None:
    server = rpc({INFER: _answer()})
    with _client(server.port, signature) as client:
        outputs = client.predict(X)
    assert outputs["y"].tolist() == [[0.5], [1.5]]
    assert outputs["y"].flags.writeable
    asked = message("oip", "inference.ModelInferRequest").FromString(server.requests[0][2])
    assert (asked.model_name, asked.model_version) == ("m", "")
    assert list(asked.raw_input_contents) == [X["x"].tobytes()]


@pytest.mark.parametrize("at", ["3", "stable"])
def test_version_and_label_go_into_the_request(rpc: Start, signature: Signature, at: str) -> None:
    server = rpc({INFER: _answer(), PREDICT: grpc.StatusCode.NOT_FOUND})
    with _client(server.port, signature, at=f"@{at}") as client:
        client.predict(X)
    with _client(server.port, signature, "tfserving", at=f"@{at}") as client:
        with pytest.raises(EndpointError):
            client.predict(X)
    oip = message("oip", "inference.ModelInferRequest").FromString(server.requests[0][2])
    spec = message("tfserving", "tensorflow.serving.PredictRequest").FromString(server.requests[1][2]).model_spec
    assert oip.model_version == at
    assert (spec.version_label, spec.version.value) == (("stable", 0) if at == "stable" else ("", 3))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "outputs are []"),
        (b"\xff\xff", "no inference.ModelInferResponse"),
        (_answer(name="z"), "'z'"),
        (_answer(datatype="FP64"), "FP64"),
        (_answer(datatype="FP99"), "FP99"),
        (_answer(raw=b"\0\0\0\0"), "needs 8 bytes, got 4"),
        (_answer(raw=b""), "needs 8 bytes, got 0"),
        (_answer(shape=(2,)), "shape [2]"),
        (_answer(shape=(1, 1), raw=b"\0\0\0\0"), "batch = 2"),
        (_answer(shape=(2**40, 2**40)), "more than can be held"),
        (_answer(shape=(-1, 1)), "-1"),
        (_answer() + _answer(), "twice"),
    ],
)
def test_an_answer_that_is_none(rpc: Start, signature: Signature, answer: bytes, words: str) -> None:
    server = rpc({INFER: answer})
    with _client(server.port, signature) as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert words in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c.name != "OK"], ids=lambda c: str(c.name))
def test_every_code_is_an_error_and_asked_once(rpc: Start, signature: Signature, code: grpc.StatusCode) -> None:
    server = rpc({INFER: code})
    with _client(server.port, signature) as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert caught.value.status == code.name
    assert code.name in str(caught.value)
    assert len(server.requests) == 1


def test_an_answer_beyond_four_mebibytes(rpc: Start, signature: Signature) -> None:
    rows = 2**21
    server = rpc({INFER: _answer((rows, 1), bytes(4 * rows))})
    with _client(server.port, signature) as client:
        assert client.predict({"x": np.zeros((rows, 2), np.float32)})["y"].shape == (rows, 1)


def test_an_answer_beyond_the_bound(rpc: Start, signature: Signature, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [("grpc.max_receive_message_length", 1000), ("grpc.use_local_subchannel_pool", 1)]
    monkeypatch.setattr("deploy_clients.rpc._OPTIONS", options)
    server = rpc({INFER: _answer((500, 1), bytes(2000))})
    with _client(server.port, signature) as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert caught.value.status == "RESOURCE_EXHAUSTED"


def test_no_answer_in_time(rpc: Start, signature: Signature) -> None:
    server = rpc({INFER: _answer()})
    server.hold = threading.Event()
    with _client(server.port, signature, timeout=0.2) as client:
        with pytest.raises(EndpointError, match=r"within 0\.2 s") as caught:
            client.predict(X)
    server.hold.set()
    assert caught.value.status == "DEADLINE_EXCEEDED"


def test_nobody_listens(signature: Signature) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with _client(port, signature) as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert caught.value.status == "UNAVAILABLE"
    with pytest.raises(EndpointError):
        _client(port, None, timeout=1.0)


def test_a_service_that_is_not_there(rpc: Start, signature: Signature) -> None:
    server = rpc({})
    with _client(server.port, signature) as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert caught.value.status == "UNIMPLEMENTED"
    assert "dialect" in caught.value.hint


def test_asks_for_the_signature_and_again_while_the_server_comes_up(rpc: Start, signature: Signature) -> None:
    answer = message("oip", "inference.ModelMetadataResponse")(name="m", versions=["7"])
    answer.inputs.add(name="x", datatype="FP32", shape=[-1, 2])
    answer.outputs.add(name="y", datatype="FP32", shape=[-1, 1])
    server = rpc({METADATA: [grpc.StatusCode.UNAVAILABLE, answer.SerializeToString()], INFER: _answer()})
    with _client(server.port, None) as client:
        assert client.signature == signature
        assert client.version == "7"
        client.predict(X)
    assert [request[0] for request in server.requests] == [METADATA, METADATA, INFER]


@pytest.mark.parametrize("inputs", [{}, {"x": np.zeros((2, 3), np.float32)}, {"x": np.zeros((2, 2), np.int32)}])
def test_wrong_inputs_are_never_sent(rpc: Start, signature: Signature, inputs: dict[str, Any]) -> None:
    server = rpc({INFER: _answer()})
    with _client(server.port, signature) as client, pytest.raises(InputError):
        client.predict(inputs)
    assert not server.requests


def test_secrets_are_sent_and_never_shown(rpc: Start, signature: Signature) -> None:
    server = rpc({INFER: grpc.StatusCode.PERMISSION_DENIED})
    client = _client(server.port, signature, headers={"Authorization": "Bearer s3cret"})
    with client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert server.requests[0][1]["authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(client) + repr(caught.value) + str(caught.value) + caught.value.hint


@pytest.mark.parametrize("name", ["x-bin", "grpc-timeout", "x!", "x y", "x\r\n"])
def test_a_header_that_cannot_be_sent(signature: Signature, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        _client(1, signature, headers={name: "s3cret"})
    assert "s3cret" not in str(caught.value) + caught.value.hint


def test_proxies_of_the_environment_are_ignored(
    rpc: Start, signature: Signature, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server = rpc({INFER: _answer()})
    with _client(server.port, signature) as client:
        assert client.predict(X)["y"].shape == (2, 1)


def test_close_twice_and_use_after(rpc: Start, signature: Signature) -> None:
    server = rpc({INFER: _answer()})
    client = _client(server.port, signature)
    client.close()
    client.close()
    with pytest.raises(EndpointError, match="is closed"):
        client.predict(X)
