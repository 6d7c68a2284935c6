"""An HTTP answer, read as its bytes come in, by httptools; bounded, and without I/O."""

from __future__ import annotations

import httptools

from deploy_clients import failures
from deploy_clients.limits import MAX_ANSWER, MAX_HEAD, MAX_HEADERS
from deploy_core.endpoint import Endpoint
from deploy_dialects.wire import HttpReply

_CHUNK = 2**18


class NotHttpError(Exception):
    """The bytes are no HTTP answer."""


class Answer:
    """One answer; `begun` with its first byte, `complete` with its last."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.begun = False
        self.complete = False
        self._endpoint = endpoint
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._head = 0  # bytes of status line and headers, while they come
        self._in_body = False
        self._kept = False
        self._surplus = False

    @property
    def wants(self) -> int:
        """How many bytes it takes next, at most."""
        return _CHUNK if self._in_body else MAX_HEAD - self._head

    @property
    def reusable(self) -> bool:
        """Whether the next request may go over the same connection."""
        return self.complete and self._kept and not self._surplus

    def feed(self, data: bytes) -> None:
        """Read on; no data is the end. Raises EndpointError for what is not to be taken, NotHttpError, and EOFError."""
        if not data:
            self._end()
            return
        self.begun = True
        self._head += 0 if self._in_body else len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise NotHttpError(str(error) or type(error).__name__) from error
        self._check()

    def reply(self) -> HttpReply:
        """Give the whole."""
        return HttpReply(self._parser.get_status_code(), self._headers, b"".join(self._body))

    def _check(self) -> None:
        if not self._in_body and self._head >= MAX_HEAD:
            raise NotHttpError(f"headers of more than {MAX_HEAD} bytes")
        if len(self._headers) > MAX_HEADERS:
            raise NotHttpError(f"more than {MAX_HEADERS} headers")
        if self._size > MAX_ANSWER:
            raise failures.oversized(self._endpoint, MAX_ANSWER)
        coding = self._headers.get("content-encoding", "identity")
        if self._in_body and coding != "identity":
            raise failures.encoded(self._endpoint, coding)

    def _end(self) -> None:
        # Without a length, a body ends with the connection.
        unending = self._in_body and not {"content-length", "transfer-encoding"} & self._headers.keys()
        if not unending:
            raise EOFError(f"the connection ended {'within the answer' if self.begun else 'before an answer'}")
        self.complete = self._surplus = True

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Notice what comes after the end."""
        self._surplus = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one that comes twice is one with both values."""
        if self.complete:
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Know that the body begins; before it there may be announcements, which are answers without one."""
        self._in_body = self._parser.get_status_code() >= 200

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body, unless there is too much of it already."""
        if not self.complete:
            self._size += len(data)
            self._body.append(data)

    def on_message_complete(self) -> None:
        """Know that this is all."""
        if self._in_body:
            self.complete = True
            self._kept = bool(self._parser.should_keep_alive())  # it forgets
        else:
            self._headers.clear()
