"""Clients over TLS against servers with certificates of every kind, good and bad, made here by openssl."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tls_server

from deploy_clients import Tls, connect, management
from deploy_core.errors import EndpointError, UsageError
from deploy_core.signature import Signature
from deploy_dialects.messages import message

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, to make certificates")

X = {"x": np.array([[1, 2], [3, 4]], np.float32)}


@pytest.fixture(scope="session")
def pki(shared: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    return shared("pki", tls_server.fill)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2,1],"data":[0.5,1.5]}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _rest(pki: Path, name: str, *, ask: bool) -> tuple[int, Callable[[], None]]:
    return tls_server.start(_Handler, pki, name, ask=ask)


def _grpc(pki: Path, name: str, *, ask: bool) -> tuple[int, Callable[[], None]]:
    answer = message("oip", "inference.ModelInferResponse")(model_name="m")
    answer.outputs.add(name="y", datatype="FP32", shape=[2, 1])
    answer.raw_output_contents.append(np.array([0.5, 1.5], np.float32).tobytes())
    infer = grpc.unary_unary_rpc_method_handler(lambda request, context: answer.SerializeToString())
    handlers = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": infer})
    server = grpc.server(ThreadPoolExecutor(1), handlers=[handlers], options=[("grpc.so_reuseport", 0)])
    chain = ((pki / f"{name}.key").read_bytes(), (pki / f"{name}.pem").read_bytes())
    authority = (pki / "ca.pem").read_bytes() if ask else None
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([chain], authority, ask))
    server.start()
    return port, lambda: server.stop(0).wait()


@pytest.fixture(params=["rest", "grpc"])
def served(request: pytest.FixtureRequest, pki: Path) -> Generator[Callable[..., str]]:
    """Start a server with a certificate: `served(name)` gives its URL."""
    stops: list[Callable[[], None]] = []

    def start(name: str, *, ask: bool = False, host: str = "127.0.0.1") -> str:
        port, stop = {"rest": _rest, "grpc": _grpc}[request.param](pki, name, ask=ask)
        stops.append(stop)
        return f"oip+{request.param}s://{host}:{port}/m"

    yield start
    for stop in stops:
        stop()


def predict(url: str, signature: Signature, tls: Tls | None) -> list[Any]:
    with connect(url, signature=signature, tls=tls, timeout=10) as client:
        return list(client.predict(X)["y"].ravel())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_trusted_authority(served: Callable[..., str], signature: Signature, pki: Path, host: str) -> None:
    assert predict(served("good", host=host), signature, Tls(ca=pki / "ca.pem")) == [0.5, 1.5]


def test_a_self_signed_certificate_that_is_trusted_by_name(
    served: Callable[..., str], signature: Signature, pki: Path
) -> None:
    assert predict(served("self"), signature, Tls(ca=pki / "self.pem")) == [0.5, 1.5]


@pytest.mark.parametrize(
    ("certificate", "trusted", "words"),
    [
        ("good", None, "nobody who is trusted here|self-signed"),
        ("self", None, "self-signed, and not trusted here"),
        ("self", "ca", "self-signed, and not trusted here"),
        ("old", "ca", "has expired"),
        ("other", "ca", "for another host"),
    ],
)
def test_a_certificate_that_is_not_good(
    served: Callable[..., str], signature: Signature, pki: Path, certificate: str, trusted: str | None, words: str
) -> None:
    tls = None if trusted is None else Tls(ca=pki / f"{trusted}.pem")
    with pytest.raises(EndpointError, match=f"failed at TLS: .*({words})") as caught:
        predict(served(certificate), signature, tls)
    assert caught.value.hint


def test_a_system_authority_is_trusted(
    served: Callable[..., str], signature: Signature, pki: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pki / "ca.pem"))
    assert predict(served("good"), signature, None) == [0.5, 1.5]


@pytest.mark.parametrize("files", [("user.pem", "user.key"), ("both.pem", None)])
def test_a_certificate_of_the_client(
    served: Callable[..., str], signature: Signature, pki: Path, files: tuple[str, str | None]
) -> None:
    certificate, key = files
    tls = Tls(ca=pki / "ca.pem", certificate=pki / certificate, key=pki / key if key else None)
    assert predict(served("good", ask=True), signature, tls) == [0.5, 1.5]


@pytest.mark.parametrize("shown", [None, "self"])
def test_a_client_that_is_not_known(
    served: Callable[..., str], signature: Signature, pki: Path, shown: str | None
) -> None:
    who = {} if shown is None else {"certificate": pki / f"{shown}.pem", "key": pki / f"{shown}.key"}
    with pytest.raises(EndpointError):
        predict(served("good", ask=True), signature, Tls(ca=pki / "ca.pem", **who))


def test_a_plain_client_at_a_tls_port(served: Callable[..., str], signature: Signature) -> None:
    with pytest.raises(EndpointError):
        predict(served("good").replace("s://", "://"), signature, None)


def test_management(served: Callable[..., str], pki: Path) -> None:
    url = served("good")
    if "rest" in url:
        with management(url, tls=Tls(ca=pki / "ca.pem")) as server:
            assert server.live()
    with management(url, timeout=5) as server, pytest.raises(EndpointError, match="TLS"):
        server.live()


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        (Tls(ca="absent.pem"), "CA file absent.pem cannot be read"),
        (Tls(ca="not.pem"), "CA file not.pem is not PEM"),
        (Tls(certificate="absent.pem"), "certificate file absent.pem"),
        (Tls(key="user.key"), "a key is of no use"),
        (Tls(certificate="user.pem", key="self.key"), "are no certificate with its key"),
        (Tls(certificate="user.pem"), "are no certificate with its key"),
        (Tls(certificate="user.pem", key="locked.key"), "are no certificate with its key"),
    ],
)
@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_files_that_are_no_good(
    pki: Path, signature: Signature, monkeypatch: pytest.MonkeyPatch, transport: str, tls: Tls, words: str
) -> None:
    monkeypatch.chdir(pki)
    with pytest.raises(UsageError, match=words):
        connect(f"oip+{transport}s://127.0.0.1:1/m", signature=signature, tls=tls)


def test_tls_for_a_url_without_it(signature: Signature) -> None:
    with pytest.raises(UsageError, match="does not use TLS") as caught:
        connect("oip+grpc://127.0.0.1:1/m", signature=signature, tls=Tls())
    assert "oip+grpcs://" in caught.value.hint
