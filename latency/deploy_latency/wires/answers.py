"""HTTP answers that come whole and say how long they are, read by hand; all others are for `deploy_clients.reading`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deploy_clients.limits import MAX_ANSWER, MAX_HEAD, MAX_HEADERS

_END = b"\r\n\r\n"
_STATUS = re.compile(r"HTTP/1\.1 ([2-9][0-9][0-9])(?: [^\r\n\0]*)?")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_DIGITS = re.compile(r"[0-9]{1,9}")
_BODILESS = (204, 304)
_UNUSUAL = {"transfer-encoding", "content-encoding", "upgrade", "trailer"}


@dataclass(frozen=True)
class Head:
    """What stands before a body of `length` bytes; `error` is empty for a good status."""

    error: str
    headers: Mapping[str, str]
    length: int


class Heads:
    """Reads heads of one server's answers, which mostly are the same one again and again."""

    __slots__ = ("_head", "_raw")

    def __init__(self) -> None:
        self._raw = b""
        self._head: Head | None = None

    def whole(self, data: bytes) -> tuple[Head, bytes] | None:
        """Give head and body if the data are one whole answer of the usual form; None if they are anything else."""
        at = data.find(_END)
        if at < 0:
            return None
        raw = data[:at]
        if raw != self._raw:
            self._raw, self._head = raw, _head(raw)
        head = self._head
        if head is None or len(data) - at - 4 != head.length:
            return None
        return head, data[at + 4 :]


def status_error(status: int) -> str:
    """Give the error that a status means; empty for a good one."""
    return "" if 200 <= status < 300 else f"HTTP {status}"


def _head(raw: bytes) -> Head | None:
    """Read status line and headers; None for what is not plain."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    matched = _STATUS.fullmatch(first)
    fields = [_FIELD.fullmatch(line) for line in lines]
    if matched is None or len(raw) > MAX_HEAD or len(lines) > MAX_HEADERS or not all(fields):
        return None
    status = int(matched[1])
    headers = {field[1].lower(): field[2] for field in fields if field}
    plain = len(headers) == len(lines) and not headers.keys() & _UNUSUAL and status not in _BODILESS
    length = headers.get("content-length", "")
    if not plain or not _DIGITS.fullmatch(length) or headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    return Head(status_error(status), headers, int(length)) if int(length) <= MAX_ANSWER else None
