"""Clients over TLS against servers with certificates of every kind, good and bad, made here by openssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from deploy_clients import Tls, connect, management
from deploy_core.errors import EndpointError, UsageError
from deploy_core.signature import Signature
from deploy_dialects.messages import message

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, to make certificates")

X = {"x": np.array([[1, 2], [3, 4]], np.float32)}
SANS = {"good": "IP:127.0.0.1,DNS:localhost", "other": "DNS:other.example", "old": "IP:127.0.0.1", "user": "DNS:user"}
NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority `ca`, what it has signed, and `self`, which nobody but itself has."""
    folder = tmp_path_factory.mktemp("pki")
    for name, san in (("ca", "DNS:ca"), ("self", "IP:127.0.0.1")):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2")
        _openssl(folder, "req", "-x509", *NEW, *files, "-addext", f"subjectAltName={san}")
    for name, san in SANS.items():
        (folder / "san").write_text(f"subjectAltName={san}")
        _openssl(folder, "req", *NEW, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san")
        days = "-1" if name == "old" else "2"
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing, "-days", days)
    (folder / "both.pem").write_bytes((folder / "user.key").read_bytes() + (folder / "user.pem").read_bytes())
    return folder


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


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # clients that do not trust us


def _rest(pki: Path, name: str, *, ask: bool) -> tuple[int, Callable[[], None]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    if ask:
        context.load_verify_locations(pki / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    server = _Quiet(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return server.server_address[1], stop


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
    Path("not.pem").write_bytes(b"\x30\x82")
    _openssl(pki, "ec", "-in", "user.key", "-aes128", "-passout", "pass:s3cret", "-out", "locked.key")
    with pytest.raises(UsageError, match=words):
        connect(f"oip+{transport}s://127.0.0.1:1/m", signature=signature, tls=tls)


def test_tls_for_a_url_without_it(signature: Signature) -> None:
    with pytest.raises(UsageError, match="does not use TLS") as caught:
        connect("oip+grpc://127.0.0.1:1/m", signature=signature, tls=Tls())
    assert "oip+grpcs://" in caught.value.hint
