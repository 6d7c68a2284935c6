"""Bytes of one HTTP/1.1 connection to requests, by httptools' parser; what is malformed or too large is Rejected."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import httptools

from deploy_dialects.wire import HttpRequest

_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


@dataclass(frozen=True)
class Limits:
    """What one connection may cost: bytes, unanswered requests, seconds."""

    body: int = 64 << 20
    head: int = 64 << 10
    pipelined: int = 64
    idle: float = 75.0
    receive: float = 30.0
    linger: float = 2.0


class Rejected(Exception):  # noqa: N818  an answer, as wire.Refused is
    """What a client sent is no request that this server takes; the connection ends after the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Incoming:
    """A whole request, and whether the connection goes on after it."""

    request: HttpRequest
    keep_alive: bool


class RequestParser:
    """Feeds bytes to httptools and hands on whole requests; `stage` is where in a request the bytes so far end."""

    def __init__(
        self, limits: Limits, on_request: Callable[[Incoming], None], on_expect: Callable[[], None], host: HostRule
    ) -> None:
        self.stage = "idle"
        self._limits = limits
        self._on_request = on_request
        self._on_expect = on_expect
        self._host = host
        self._head_bytes = 0
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises Rejected, after which this parser is of no more use."""
        before = self._head_bytes
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # the request has been handed on, as one that ends the connection
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, Rejected):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            raise Rejected(400, f"malformed HTTP request: {error}") from None
        if self.stage == "head" and self._head_bytes == before:
            # An endless header: httptools collects it in silence and without a limit.
            self._count_head(len(data))

    def on_message_begin(self) -> None:
        """Begin a request (called by httptools, as all that follow)."""
        self.stage = "head"
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0

    def on_url(self, piece: bytes) -> None:
        """Take a piece of the request's target."""
        self._url += piece
        self._count_head(len(piece))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header; trailers after a chunked body are ignored."""
        if self.stage != "head":
            return
        self._count_head(len(name) + len(value))
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if key in self._headers:
            if key == "host":
                raise Rejected(400, "more than one Host header")
            text = f"{self._headers[key]}, {text}"
        self._headers[key] = text

    def on_headers_complete(self) -> None:
        """Judge the head before any of the body is taken."""
        self.stage = "body"
        self._host.check(self._headers.get("host"), self._parser.get_http_version())
        if int(self._headers.get("content-length") or 0) > self._limits.body:
            raise self._too_large()
        if self._parser.should_upgrade() and self._headers.get("content-length", "0") != "0":
            raise Rejected(400, "this server does not switch protocols: send the request without Upgrade")
        if self._headers.get("expect", "").lower() == "100-continue":
            self._on_expect()

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self._body.append(piece)
        self._body_bytes += len(piece)
        if self._body_bytes > self._limits.body:
            raise self._too_large()

    def on_message_complete(self) -> None:
        """Hand on the whole request."""
        self.stage = "idle"
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        method = self._parser.get_method().decode("ascii")
        coding = self._headers.pop("content-encoding", "identity").lower()
        if coding != "identity":
            body = self._decompressed(body, coding)
        request = HttpRequest(method, _target(self._url), self._headers, body)
        keep_alive = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        self._on_request(Incoming(request, keep_alive))

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head:
            raise Rejected(431, f"the head of the request is larger than {self._limits.head} bytes")

    def _too_large(self) -> Rejected:
        return Rejected(413, f"the body of the request is larger than {self._limits.body} bytes")

    def _decompressed(self, body: bytes, coding: str) -> bytes:
        if coding not in _WINDOW:
            raise Rejected(415, f"content-encoding {coding!r} is not supported; gzip and deflate are")
        inflate = zlib.decompressobj(_WINDOW[coding])
        try:
            plain = inflate.decompress(body, self._limits.body + 1)
        except zlib.error:
            raise Rejected(400, f"the body is not what content-encoding {coding!r} says") from None
        if len(plain) > self._limits.body:
            raise self._too_large()
        if not inflate.eof or inflate.unused_data:
            raise Rejected(400, f"the {coding} body is cut off or followed by something else")
        return plain


class HostRule:
    """Whom a request may be addressed to.

    A server bound to loopback answers for loopback names only: a web page that has its own name resolve to 127.0.0.1
    (DNS rebinding) could otherwise read what the models say.
    """

    def __init__(self, bound: str) -> None:
        self._bound = bound.strip("[]").lower()
        self._loopback = _is_loopback(self._bound)

    def check(self, host: str | None, version: str) -> None:
        """Raise Rejected unless `host`, as a client sent it, may be answered."""
        if host is None:
            if version == "1.1":
                raise Rejected(400, "an HTTP/1.1 request needs a Host header")
        elif self._loopback and not _is_loopback(_without_port(host)):
            raise Rejected(403, f"this server answers for localhost only, not for Host {host!r}")


def _is_loopback(name: str) -> bool:
    return (
        name in {"localhost", "::1"}
        or name.endswith(".localhost")
        or re.fullmatch(r"127(\.\d{1,3}){3}", name) is not None
    )


def _without_port(host: str) -> str:
    return re.sub(r":\d*$", "", host.strip()).strip("[]").lower()


def _target(url: bytes) -> str:
    try:
        target = _ABSOLUTE.sub("", url.decode("ascii"), count=1) if not url.startswith(b"/") else url.decode("ascii")
    except UnicodeDecodeError:
        raise Rejected(400, "the request's target holds bytes that are not percent-encoded") from None
    return target if target.startswith("/") else f"/{target}"
