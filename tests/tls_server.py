"""HTTPS servers of tests, and certificates for them, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_SANS = {"good": "IP:127.0.0.1,DNS:localhost", "other": "DNS:other.example", "old": "IP:127.0.0.1", "user": "DNS:user"}
_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(folder: Path, *arguments: str) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def fill(folder: Path) -> None:
    """Make an authority `ca`, what it has signed, `self`, which nobody but itself has, and files that are no good."""
    for name, san in (("ca", "DNS:ca"), ("self", "IP:127.0.0.1")):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", "2")
        openssl(folder, "req", "-x509", *_NEW, *files, "-addext", f"subjectAltName={san}")
    for name, san in _SANS.items():
        (folder / "san").write_text(f"subjectAltName={san}")
        openssl(folder, "req", *_NEW, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san")
        days = "-1" if name == "old" else "2"
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signing, "-days", days)
    (folder / "both.pem").write_bytes((folder / "user.key").read_bytes() + (folder / "user.pem").read_bytes())
    openssl(folder, "ec", "-in", "user.key", "-aes128", "-passout", "pass:s3cret", "-out", "locked.key")
    (folder / "not.pem").write_bytes(b"\x30\x82")


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # clients that do not trust us


def start(
    handler: type[BaseHTTPRequestHandler], pki: Path, name: str, *, ask: bool = False
) -> tuple[int, Callable[[], None]]:
    """Give the port of a server that shows the certificate `name`, and what stops it; with `ask` it wants the client's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    if ask:
        context.load_verify_locations(pki / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    server = _Quiet(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return server.server_address[1], stop
