"""The REST client against a real HTTP server that answers well, badly, late or not at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deploy_clients import connect
from deploy_core.errors import EndpointError, InputError, UsageError
from deploy_core.signature import Signature

X = {"x": np.array([[1, 2], [3, 4]], np.float32)}
GOOD = b'{"outputs":[[0.5],[1.5]]}'
Start = Callable[..., Any]


def _client(port: int, signature: Signature | None, **options: Any) -> Any:
    return connect(f"tfserving+rest://127.0.0.1:{port}/m", signature=signature, **{"timeout": 10.0, **options})


def test_predicts(http: Start, canned: Any, signature: Signature) -> None:
    server = http(canned(body=GOOD))
    with _client(server.port, signature) as client:
        outputs = client.predict(X)
    assert outputs["y"].dtype == np.float32
    assert outputs["y"].tolist() == [[0.5], [1.5]]
    assert outputs["y"].flags.writeable
    method, path, headers, body = server.requests[0]
    assert (method, path) == ("POST", "/v1/models/m:predict")
    assert headers["accept-encoding"] == "identity"
    assert json.loads(body)["inputs"] == {"x": [[1.0, 2.0], [3.0, 4.0]]}


def test_keeps_its_connection(http: Start, canned: Any, signature: Signature) -> None:
    server = http(canned(body=GOOD))
    with _client(server.port, signature) as client:
        for _ in range(5):
            client.predict(X)
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("at", "path"),
    [
        ("", "/v1/models/m"),
        ("@3", "/v1/models/m/versions/3"),
        ("@stable", "/v1/models/m/labels/stable"),
        ("@a%2Fb", "/v1/models/m/labels/a%2Fb"),
    ],
)
def test_version_and_label_go_into_the_request(
    http: Start, canned: Any, signature: Signature, at: str, path: str
) -> None:
    server = http(canned(body=GOOD))
    with connect(f"tfserving+rest://127.0.0.1:{server.port}/m{at}", signature=signature) as client:
        client.predict(X)
    assert server.requests[0][1] == f"{path}:predict"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("oip+rest://127.0.0.1:{}/m@3", "/v2/models/m/versions/3/infer"),
        ("torchserve+rest://127.0.0.1:{}/m@1.0", "/predictions/m/1.0"),
    ],
)
def test_versions_of_other_dialects(http: Start, canned: Any, signature: Signature, url: str, path: str) -> None:
    server = http(canned(503, b""))
    with connect(url.format(server.port), signature=signature) as client, pytest.raises(EndpointError):
        client.predict(X)
    assert server.requests[0][1] == path


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"", "not valid JSON"),
        (200, b"<html>hello</html>", "not valid JSON"),
        (200, b"[]", "not an object"),
        (200, b'{"error": "no"}', "an error under HTTP 200"),
        (200, b'{"predictions": [[0.5],[1.5]]}', "'outputs' is missing"),
        (200, b'{"outputs": [[0.5],[null]]}', "None"),
        (200, b'{"outputs": [[0.5],["1.5"]]}', "'1.5'"),
        (200, b'{"outputs": [[0.5],[true]]}', "True"),
        (200, b'{"outputs": [[0.5],[1e39]]}', "beyond float32"),
        (200, b'{"outputs": [[0.5],[1e400]]}', "not valid JSON"),
        (200, b'{"outputs": [[0.5],[1.5, 2.5]]}', "ragged"),
        (200, b'{"outputs": [0.5, 1.5]}', "shape [2]"),
        (200, b'{"outputs": [[0.5, 1.5], [2.5, 3.5]]}', "shape [2, 2]"),
        (200, b'{"outputs": [[0.5]]}', "batch = 2"),
        (200, b'{"outputs": {"z": [[0.5],[1.5]]}}', "'z'"),
        (200, b'{"outputs": {"y": [[0.5],[1.5]], "z": 1}}', "'z'"),
        (200, b'{"outputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not valid JSON"),
        (200, b'{"outputs": [[0.5],[1.5]], "outputs": [[1.5],[0.5]]}', "duplicate key"),
        (200, b"\xff\xfe{}", "not valid JSON"),
        (400, b'{"error": "bad shape"}', "bad shape"),
        (404, b'{"error": "Servable not found"}', "Servable not found"),
        (422, b'{"detail": ["field required"]}', "field required"),
        (500, b"Internal Server Error", "Internal Server Error"),
        (502, b"<html>502</html>", "502"),
        (503, b"", "an empty body"),
        (204, b"", "204"),
    ],
)
def test_an_answer_that_is_none(
    http: Start, canned: Any, signature: Signature, status: int, body: bytes, words: str
) -> None:
    server = http(canned(status, body))
    with _client(server.port, signature) as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert words in str(caught.value)
    assert f"tfserving+rest://127.0.0.1:{server.port}/m" in str(caught.value)
    assert caught.value.hint
    assert caught.value.status == (None if status == 200 else status)
    assert len(server.requests) == 1, "a prediction must not be asked for again"


def test_redirects_are_not_followed(http: Start, canned: Any, signature: Signature) -> None:
    other = http(canned(body=GOOD))
    server = http(canned(307, b"", {"location": f"http://127.0.0.1:{other.port}/v1/models/m:predict"}))
    with _client(server.port, signature, headers={"Authorization": "Bearer s3cret"}) as client:
        with pytest.raises(EndpointError, match="307") as caught:
            client.predict(X)
    assert "redirect" in caught.value.hint
    assert not other.requests


def test_an_encoded_answer_is_refused(http: Start, canned: Any, signature: Signature) -> None:
    server = http(canned(body=b"\x1f\x8b", headers={"content-encoding": "gzip"}))
    with _client(server.port, signature) as client, pytest.raises(EndpointError, match="gzip"):
        client.predict(X)


def test_an_endless_answer_is_cut(
    http: Start, canned: Any, signature: Signature, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("rest", "reading"):
        monkeypatch.setattr(f"deploy_clients.{module}.MAX_ANSWER", 1000)
    server = http(canned(body=b" " * 2000 + GOOD))
    with _client(server.port, signature) as client, pytest.raises(EndpointError, match="more than 1000 bytes"):
        client.predict(X)


@pytest.mark.parametrize("headers", [{"x": "y" * 100_000}, {f"x{i}": "y" for i in range(1000)}], ids=["long", "many"])
def test_absurd_headers(http: Start, canned: Any, signature: Signature, headers: dict[str, str]) -> None:
    server = http(canned(body=GOOD, headers=headers))
    with _client(server.port, signature) as client, pytest.raises(EndpointError, match="broke off"):
        client.predict(X)


def test_a_truncated_answer(http: Start, canned: Any, signature: Signature) -> None:
    server = http(canned(body=GOOD, length=len(GOOD) + 10))
    with _client(server.port, signature) as client, pytest.raises(EndpointError, match="broke off"):
        client.predict(X)


def test_no_answer_in_time(http: Start, canned: Any, signature: Signature) -> None:
    release = threading.Event()
    server = http(canned(body=GOOD, hold=release))
    with _client(server.port, signature, timeout=0.2) as client:
        with pytest.raises(EndpointError, match=r"within 0\.2 s") as caught:
            client.predict(X)
    release.set()
    assert caught.value.status == "DEADLINE_EXCEEDED"


def test_an_answer_that_drips_past_the_deadline(signature: Signature) -> None:
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while not stop.wait(0.02):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        with _client(listener.getsockname()[1], signature, timeout=0.3) as client:
            with pytest.raises(EndpointError, match="within"):
                client.predict(X)
        stop.set()
        thread.join(5)


def test_what_speaks_no_http(signature: Signature) -> None:
    def speak(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example ESMTP\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=speak, args=(listener,), daemon=True)
        thread.start()
        with _client(listener.getsockname()[1], signature) as client, pytest.raises(EndpointError, match="broke off"):
            client.predict(X)
        thread.join(5)


def test_nobody_listens(signature: Signature) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with _client(port, signature) as client, pytest.raises(EndpointError, match="cannot be reached") as caught:
        client.predict(X)
    assert caught.value.status == "UNAVAILABLE"
    with pytest.raises(EndpointError, match="cannot be reached"):
        _client(port, None, timeout=1.0)


def test_tls_to_a_plain_port(http: Start, canned: Any, signature: Signature) -> None:
    server = http(canned(body=GOOD))
    with connect(f"tfserving+rests://127.0.0.1:{server.port}/m", signature=signature) as client:
        with pytest.raises(EndpointError, match="TLS"):
            client.predict(X)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"x": np.zeros((2, 3), np.float32)},
        {"x": np.zeros((2, 2), np.float64)},
        {"z": np.zeros((2, 2), np.float32)},
        {"x": [["a", "b"]]},
    ],
)
def test_wrong_inputs_are_never_sent(http: Start, canned: Any, signature: Signature, inputs: dict[str, Any]) -> None:
    server = http(canned(body=GOOD))
    with _client(server.port, signature) as client, pytest.raises(InputError):
        client.predict(inputs)
    assert not server.requests


METADATA = json.dumps(
    {
        "model_spec": {"name": "m", "version": "7"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "serving_default": {
                        "inputs": {
                            "x": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "2"}]}}
                        },
                        "outputs": {
                            "y": {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "1"}]}}
                        },
                    }
                }
            }
        },
    }
).encode()


def test_asks_for_the_signature(http: Start, canned: Any, signature: Signature) -> None:
    server = http(canned(body=METADATA), canned(body=GOOD))
    with _client(server.port, None) as client:
        assert client.signature == signature
        assert client.version == "7"
        client.predict(X)
    assert [request[1] for request in server.requests] == ["/v1/models/m/metadata", "/v1/models/m:predict"]


def test_asks_again_while_the_server_comes_up(http: Start, canned: Any, signature: Signature) -> None:
    server = http(canned(503), canned(503), canned(body=METADATA))
    with _client(server.port, None) as client:
        assert client.signature == signature


@pytest.mark.parametrize("status", [400, 404, 500])
def test_asks_once_if_that_is_the_answer(http: Start, canned: Any, status: int) -> None:
    server = http(canned(status, b"{}"))
    with pytest.raises(EndpointError):
        _client(server.port, None)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"model_spec": 1}',
        METADATA.replace(b"serving_default", b"other"),
        METADATA.replace(b"DT_FLOAT", b"DT_VARIANT"),
        METADATA.replace(b'"-1"', b'"x"'),
        METADATA.replace(b'{"dim"', b'{"unknown_rank": true, "dim"'),
    ],
)
def test_metadata_that_are_none(http: Start, canned: Any, body: bytes) -> None:
    server = http(canned(body=body))
    with pytest.raises(EndpointError):
        _client(server.port, None)


def test_secrets_are_sent_and_never_shown(http: Start, canned: Any, signature: Signature) -> None:
    server = http(canned(500, b"no"))
    client = _client(server.port, signature, headers={"Authorization": "Bearer s3cret"})
    with client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert server.requests[0][2]["authorization"] == "Bearer s3cret"
    shown = repr(client) + str(client) + repr(caught.value) + str(caught.value) + repr(client._transport._headers)
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    "headers", [{"x": "s3cret\r\ny: z"}, {"x": "s3cret\x00"}, {"x\r\n": "s3cret"}, {"x": "ä s3cret"}]
)
def test_a_header_that_cannot_be_sent(signature: Signature, headers: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        _client(1, signature, headers=headers)
    assert "s3cret" not in str(caught.value) + caught.value.hint


def test_proxies_of_the_environment_are_ignored(
    http: Start, canned: Any, signature: Signature, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server = http(canned(body=GOOD))
    with _client(server.port, signature) as client:
        assert client.predict(X)["y"].shape == (2, 1)


def test_close_twice_and_use_after(http: Start, canned: Any, signature: Signature) -> None:
    server = http(canned(body=GOOD))
    client = _client(server.port, signature)
    client.close()
    client.close()
    with pytest.raises(EndpointError):
        client.predict(X)


def test_a_url_that_is_none() -> None:
    with pytest.raises(UsageError):
        connect("http://127.0.0.1:80/m")
