"""Header blocks of HTTP/2 (HPACK): requests' are encoded once, answers' decoded once each as long as nothing changes.

A block means what it means together with the table that earlier blocks have filled. Those of gRPC answers mostly leave
the table as it is, so that the same bytes mean the same again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError

from deploy_clients.limits import MAX_HEAD
from deploy_latency.wires.answers import status_error
from deploy_latency.wires.dialling import WireError

_MOST = 256  # blocks that are remembered
_CODES = [
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]


class Block:
    """What a header block says. `error` is what it says as the last of an answer, `refusal` as the first."""

    __slots__ = ("_before", "_joined", "error", "headers", "interim", "refusal", "status")

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers
        self.status = headers.get(":status", "")
        self.interim = self.status.startswith("1")
        self.refusal = _refusal(headers)
        self.error: str | None = _error(headers.get("grpc-status"))
        self._before: Block | None = None
        self._joined: Mapping[str, str] = headers

    def after(self, first: Block) -> Mapping[str, str]:
        """Give these headers together with those that came before."""
        if first is not self._before and first is not self:
            self._before = first
            self._joined = {**first.headers, **self.headers}
        return self._joined


class Blocks:
    """The blocks that come over one connection."""

    __slots__ = ("_decoder", "_known")

    def __init__(self) -> None:
        self._decoder = Decoder(MAX_HEAD)
        self._known: dict[bytes, Block] = {}

    def read(self, data: bytes) -> Block:
        """Give what a block says. Raises WireError for one that is none."""
        known = self._known.get(data)
        if known is not None:
            return known
        before = self._table()
        try:
            fields = self._decoder.decode(data, raw=True)
        except (HPACKError, IndexError, ValueError) as error:
            raise WireError("not HTTP/2") from error
        block = Block(_joined(fields))
        after = self._table()
        if before[:2] != after[:2] or before[2] is not after[2]:
            self._known.clear()
        else:
            self._remember(data, block)
        return block

    def _remember(self, data: bytes, block: Block) -> None:
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[data] = block

    def _table(self) -> tuple[int, int, Any]:
        """Give what differs after anything that changes the table; a new entry is always the first."""
        table = self._decoder.header_table
        entries = table.dynamic_entries
        return table.maxsize, len(entries), entries[0] if entries else None


def encoded(fields: Sequence[tuple[str, str]]) -> bytes:
    """Give a block that changes no table, and whose values nobody on the way may keep."""
    return bytes(Encoder().encode([(name, value, True) for name, value in fields], huffman=False))


def _joined(fields: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    """Give headers by name; one that comes twice is one with both values."""
    headers: dict[str, str] = {}
    for raw, value in fields:
        name, text = bytes(raw).decode("latin-1"), bytes(value).decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    if "grpc-message" in headers:
        headers["grpc-message"] = unquote(headers["grpc-message"], errors="replace")
    return headers


def _refusal(headers: Mapping[str, str]) -> str:
    """Give why this is not the beginning of a gRPC answer; empty if it is."""
    status = headers.get(":status", "")
    if not status.isascii() or not status.isdigit() or len(status) != 3:
        return "not HTTP/2"
    if status != "200":
        return status_error(int(status)) or f"HTTP {status}"
    return "" if headers.get("content-type", "").startswith("application/grpc") else "not gRPC"


def _error(status: str | None) -> str | None:
    """Give the error that a gRPC status means, empty for OK; None where there is no status."""
    if status is None or not status.isascii() or not status.isdigit():
        return None
    code = int(status[:9])
    if code == 0:
        return ""
    return _CODES[code - 1] if code <= len(_CODES) else "unknown gRPC status"
