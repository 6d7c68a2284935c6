"""TLS: whom a client trusts, who it says it is, and in plain words why a handshake failed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_core.endpoint import Endpoint
from deploy_core.errors import UsageError


@dataclass(frozen=True)
class Tls:
    """Files in PEM: whom to trust instead of the system's authorities, and what to show to a server that asks who we are.

    `key` may lie in the file of the `certificate`. Certificates are always verified: to trust a self-signed one, name
    it as `ca`.
    """

    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None


# What TLS libraries say, and what that means for the user: the first that is found in the text counts.
_REASONS = (
    (("certificate has expired",), "its certificate has expired", "have it renewed; is the clock right here?"),
    (("not yet valid",), "its certificate is not valid yet", "is the clock right, here and there?"),
    (
        ("Hostname mismatch", "IP address mismatch", "Hostname Verification Check failed", "is not valid for"),
        "its certificate is for another host",
        "name the host in the URL as the certificate does, or have a certificate made that names this one",
    ),
    (
        ("self-signed", "self signed"),
        "its certificate is self-signed, and not trusted here",
        "if it is the right one, trust it: --ca FILE, or connect(…, tls=Tls(ca=FILE))",
    ),
    (
        ("unable to get local issuer", "unable to get issuer", "unable to verify the first certificate"),
        "nobody who is trusted here has signed its certificate",
        "trust who has: --ca FILE, or connect(…, tls=Tls(ca=FILE))",
    ),
    (
        ("certificate required", "CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "handshake failure"),
        "it wants a certificate of the client",
        "show it one: --certificate FILE, or connect(…, tls=Tls(certificate=FILE, key=FILE))",
    ),
    (
        ("alert unknown ca", "ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "alert bad certificate"),
        "it does not trust the client's certificate",
        "show it one that it trusts: --certificate FILE, or connect(…, tls=Tls(certificate=FILE, key=FILE))",
    ),
    (
        ("WRONG_VERSION_NUMBER", "wrong version number", "record layer failure", "RECORD_LAYER_FAILURE"),
        "it speaks no TLS",
        "without TLS the URL begins with rest:// or grpc:// instead of rests:// or grpcs://",
    ),
)


def reason(text: str) -> tuple[str, str]:
    """Give why a handshake failed, and what to do, from what a TLS library says; two empty texts if it says nothing."""
    for marks, what, hint in _REASONS:
        if any(mark in text for mark in marks):
            return what, hint
    return "", ""


def context(tls: Tls) -> ssl.SSLContext:
    """Give what sockets need. Raises UsageError for a file that cannot be read as what it should be."""
    made = ssl.create_default_context(cafile=None if tls.ca is None else _file(tls.ca, "CA"))
    if tls.key is not None and tls.certificate is None:
        raise UsageError(
            "a key is of no use without its certificate",
            hint="give both: --certificate and --key, or Tls(certificate=FILE, key=FILE)",
        )
    if tls.certificate is not None:
        certificate = _file(tls.certificate, "certificate")
        key = None if tls.key is None else _file(tls.key, "key")
        try:
            # A password would be asked for on the terminal.
            made.load_cert_chain(certificate, key, password="")
        except (ssl.SSLError, ValueError):
            raise UsageError(
                f"{certificate} and {key or 'itself'} are no certificate with its key",
                hint="give both in PEM, the key without a password",
            ) from None
    return made


def credentials(tls: Tls) -> tuple[bytes, bytes | None, bytes | None]:
    """Give what gRPC needs: authorities, key and chain. Raises UsageError as `context` does."""
    made = context(tls)
    # gRPC has authorities of its own; these are the system's, so that rests and grpcs trust the same ones.
    authorities = "".join(ssl.DER_cert_to_PEM_cert(der) for der in made.get_ca_certs(binary_form=True)).encode()
    if tls.certificate is None:
        return authorities, None, None
    return authorities, Path(tls.key or tls.certificate).read_bytes(), Path(tls.certificate).read_bytes()


def checked(endpoint: Endpoint, tls: Tls | None) -> Any:
    """Give what goes for an endpoint. Raises UsageError for TLS that it does not use."""
    if tls is not None and not endpoint.tls:
        scheme = f"{endpoint.dialect}+{endpoint.transport}"
        raise UsageError(f"{endpoint} does not use TLS", hint=f"write {scheme}s:// instead of {scheme}://")
    return tls or Tls()


def _file(path: str | Path, what: str) -> str:
    try:
        text = Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise UsageError(f"the {what} file {path} cannot be read: {error.strerror}", hint="give one in PEM") from None
    if "-----BEGIN " not in text:
        raise UsageError(f"the {what} file {path} is not PEM", hint="openssl can turn DER and PKCS #12 into PEM")
    return str(path)
