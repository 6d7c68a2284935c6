"""Servers whose answers are not what they should be, in the dialects that carry tensors as bytes; none is believed."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from deploy_clients import connect
from deploy_core.errors import EndpointError, UsageError
from deploy_core.signature import Signature, TensorSpec

Start = Callable[..., Any]
X = {"x": np.array([[1, 2], [3, 4]], np.float32)}
Y, Z = np.array([[0.5], [1.5]], np.float32), np.array([[7], [8]], np.int64)
SIGNATURE = Signature(
    (TensorSpec.parse("x:float32[batch,2]"),),
    (TensorSpec.parse("y:float32[batch,1]"), TensorSpec.parse("z:int64[batch,1]")),
)


def _tensor(name: str, array: Any, **changes: Any) -> dict[str, Any]:
    datatype = {"float32": "FP32", "int64": "INT64"}[str(array.dtype)]
    size = {"parameters": {"binary_data_size": array.nbytes}}
    return {"name": name, "datatype": datatype, "shape": list(array.shape), **size, **changes}


def _binary(*tensors: dict[str, Any], raw: bytes = Y.tobytes() + Z.tobytes(), length: object = None) -> dict[str, Any]:
    """An oip answer: JSON head, raw tensors behind it, and the header that tells where they begin."""
    head = json.dumps({"model_name": "m", "outputs": tensors}).encode()
    where = {"inference-header-content-length": str(len(head) if length is None else length)}
    return {"body": head + raw, "headers": {"content-type": "application/octet-stream", **where}}


def _oip(port: int, **options: Any) -> Any:
    return connect(f"oip+rest://127.0.0.1:{port}/m", signature=SIGNATURE, timeout=10, **options)


GOOD = _binary(_tensor("y", Y), _tensor("z", Z))


def _is_right(outputs: Any) -> bool:
    return list(outputs) == ["y", "z"] and bool((outputs["y"] == Y).all()) and bool((outputs["z"] == Z).all())


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        _binary(_tensor("z", Z), _tensor("y", Y), raw=Z.tobytes() + Y.tobytes()),
        _binary(
            _tensor("z", Z), {"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [0.5, 1.5]}, raw=Z.tobytes()
        ),
    ],
    ids=["as told", "another order", "one as JSON"],
)
def test_outputs_are_taken_by_name(http: Start, canned: Any, answer: dict[str, Any]) -> None:
    server = http(canned(**answer))
    with _oip(server.port, binary=True) as client:
        assert _is_right(client.predict(X))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_binary(_tensor("y", Y), raw=Y.tobytes()), "the outputs are ['y']"),
        (_binary(_tensor("y", Y), _tensor("z", Z), _tensor("y", Y), raw=bytes(32)), "twice"),
        (_binary(_tensor("y", Y), _tensor("w", Z)), "'w'"),
        (_binary(_tensor("z", Y), _tensor("y", Z)), "FP32"),
        (_binary(_tensor("y", Y, shape=[1, 2]), _tensor("z", Z)), "shape [1, 2]"),
        (_binary(_tensor("y", Y, shape=[3, 1]), _tensor("z", Z)), "12 bytes"),
        (_binary(_tensor("y", Y, shape=[2**40, 2**40]), _tensor("z", Z)), "answer"),
        (_binary(_tensor("y", Y, shape=[-2, -1]), _tensor("z", Z)), "-2"),
        (_binary(_tensor("y", Y, datatype="FP64"), _tensor("z", Z)), "FP64"),
        (_binary(_tensor("y", Y, parameters={"binary_data_size": 4}), _tensor("z", Z)), "got 4"),
        (_binary(_tensor("y", Y, parameters={"binary_data_size": 2**62}), _tensor("z", Z)), "binary_data_size"),
        (_binary(_tensor("y", Y, parameters={"binary_data_size": -8}), _tensor("z", Z)), "-8"),
        (_binary(_tensor("y", Y, parameters={"binary_data_size": "8"}), _tensor("z", Z)), "'8'"),
        (_binary(_tensor("y", Y), _tensor("z", Z), raw=Y.tobytes() + Z.tobytes() + b"more"), "4"),
        (_binary(_tensor("y", Y), _tensor("z", Z), raw=Y.tobytes()), "16"),
        (_binary(_tensor("y", Y), _tensor("z", Z), length=99999999999), "99999999999"),
        (_binary(_tensor("y", Y), _tensor("z", Z), length=-1), "-1"),
        (_binary(_tensor("y", Y), _tensor("z", Z), length=10), "not valid JSON"),
        (_binary(_tensor("y", Y), _tensor("z", Z), length="many"), "many"),
        (_binary(_tensor("y", Y, data=[0.5, 1.5]), _tensor("z", Z)), "data"),
    ],
)
def test_bytes_that_lie(http: Start, canned: Any, answer: dict[str, Any], words: str) -> None:
    server = http(canned(**answer))
    with _oip(server.port, binary=True) as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert words in str(caught.value)
    assert caught.value.hint


def _json(y: str, z: str = "[7, 8]") -> bytes:
    return (
        f'{{"outputs": [{{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": {y}}},'
        f'{{"name": "z", "datatype": "INT64", "shape": [2, 1], "data": {z}}}]}}'
    ).encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (_json("[0.5, null]"), "None"),
        (_json("[0.5]"), "2"),
        (_json("[0.5, 1.5, 2.5]"), "3"),
        (_json("[0.5, 1.5]", "[7, 8.5]"), "8.5"),
        (_json("[0.5, 1.5]", "[7, 9223372036854775808]"), "9223372036854775808"),
        (_json("[0.5, 1.5]", "[7, NaN]"), "nan"),
        (b'{"error": "out of memory"}', "out of memory"),
        (b"<html>It works!</html>", "not valid JSON"),
    ],
)
def test_json_that_lies(http: Start, canned: Any, body: bytes, words: str) -> None:
    server = http(canned(body=body))
    with _oip(server.port) as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert words in str(caught.value)


def test_numbers_that_are_none_are_told_as_they_are(http: Start, canned: Any) -> None:
    server = http(canned(body=_json("[NaN, -Infinity]")))
    with _oip(server.port) as client:
        assert np.array_equal(client.predict(X)["y"], np.array([[np.nan], [-np.inf]], np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (save({"y": Y}), "['y']"),
        (save({"y": Y, "z": Z, "w": Z}), "'w'"),
        (save({"y": Y.reshape(1, 2), "z": Z}), "[1, 2]"),
        (save({"y": Y.astype(np.float64), "z": Z}), "float64"),
        (save({"y": Y, "z": Z})[:-1], "safetensors"),
        (save({"y": Y, "z": Z}) + b"x", "safetensors"),
    ],
)
def test_safetensors_that_lie(http: Start, canned: Any, body: bytes, words: str) -> None:
    server = http(canned(body=body))
    url = f"torchserve+rest://127.0.0.1:{server.port}/m"
    with connect(url, signature=SIGNATURE, binary=True) as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert words in str(caught.value)


def test_a_bomb_is_not_unpacked(http: Start, canned: Any) -> None:
    bomb = gzip.compress(bytes(50 * 2**20))
    server = http(canned(body=bomb, headers={"content-encoding": "gzip"}))
    with _oip(server.port) as client, pytest.raises(EndpointError, match="content-encoding gzip"):
        client.predict(X)


@pytest.mark.parametrize("head", [b"transfer-encoding: chunked\r\n\r\n", b"connection: close\r\n\r\n"])
def test_a_body_without_an_end_is_cut(monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    for module in ("rest", "reading"):
        monkeypatch.setattr(f"deploy_clients.{module}.MAX_ANSWER", 100_000)

    def pour(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        piece = b"400\r\n" + bytes(1024) + b"\r\n" if b"chunked" in head else bytes(1024)
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + head)
            try:
                while True:
                    connection.sendall(piece)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=pour, args=(listener,), daemon=True)
        thread.start()
        with _oip(listener.getsockname()[1]) as client, pytest.raises(EndpointError, match="more than 100000 bytes"):
            client.predict(X)
        thread.join(10)
        assert not thread.is_alive()


def test_a_body_that_ends_with_the_connection(signature: Signature) -> None:
    def speak(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + _json("[0.5, 1.5]"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=speak, args=(listener,), daemon=True)
        thread.start()
        with _oip(listener.getsockname()[1]) as client:
            assert _is_right(client.predict(X))
        thread.join(10)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_gets_the_token(http: Start, canned: Any, status: int) -> None:
    other = http(canned(**GOOD))
    there = {"location": f"http://127.0.0.1:{other.port}/v2/models/m/infer"}
    server = http(canned(status, b"", there))
    for signature in (SIGNATURE, None):
        with pytest.raises(EndpointError, match=str(status)):
            with connect(
                f"oip+rest://127.0.0.1:{server.port}/m", signature=signature, headers={"Authorization": "Bearer s3cret"}
            ) as client:
                client.predict(X)
    assert not other.requests


@pytest.mark.parametrize("dialect", ["oip", "tfserving"])
@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_token_is_in_no_log(
    http: Start, canned: Any, rpc: Start, caplog: pytest.LogCaptureFixture, dialect: str, transport: str
) -> None:
    caplog.set_level(logging.DEBUG)
    server = http(canned(401, b'{"error": "no"}')) if transport == "rest" else rpc({})
    with connect(
        f"{dialect}+{transport}://127.0.0.1:{server.port}/m",
        signature=SIGNATURE,
        headers={"Authorization": "Bearer s3cret"},
    ) as client:
        with pytest.raises(EndpointError) as caught:
            client.predict(X)
    assert "s3cret" not in caplog.text + repr(client) + str(vars(client)) + str(caught.value) + caught.value.hint


@pytest.mark.parametrize("url", ["oip+rest://user:s3cret@127.0.0.1:1/m", "oip+grpc://s3cret@127.0.0.1:1/m"])
def test_a_secret_in_a_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="headers") as caught:
        connect(url, signature=SIGNATURE)
    assert "s3cret" not in str(caught.value) + caught.value.hint
