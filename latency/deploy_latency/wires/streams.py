"""One call on an HTTP/2 connection: its answer as it comes, and what is still to be sent of its request."""

from __future__ import annotations

from typing import Any

from deploy_clients.limits import MAX_ANSWER
from deploy_latency.calls import Call
from deploy_latency.wires.blocks import Block

_PREFIX = 5  # bytes before a gRPC message: whether it is packed, and its length


class Stream:
    """`rest` is what is still to be sent, `window` how much of it the server allows now."""

    __slots__ = ("body", "call", "connection", "first", "number", "rest", "window")

    def __init__(self, connection: Any, number: int, call: Call) -> None:
        self.connection = connection
        self.number = number
        self.call = call
        self.first: Block | None = None
        self.body: bytes | bytearray = b""
        self.rest: memoryview | None = None
        self.window = 0

    def drop(self, call: Call) -> None:
        """Give it up."""
        self.connection.give_up(self)

    def take(self, data: bytes) -> str:
        """Take a piece of the answer; give an error if it is too much, else nothing."""
        if not self.body:
            self.body = data
        elif isinstance(self.body, bytearray):
            self.body += data
        else:
            self.body = bytearray(self.body) + data
        return f"answered more than {MAX_ANSWER} bytes" if len(self.body) > MAX_ANSWER + _PREFIX else ""

    def end(self, last: Block | None) -> None:
        """Give the call its answer, of which `last` are the trailers, if there are any."""
        call = self.call
        first = self.first or last
        if first is None:
            call.error = "not gRPC"
            return
        call.headers = first.headers if last is None else last.after(first)
        error = None if last is None else last.error
        # An answer of HTTP's own, of a proxy for example, has no status of gRPC's.
        call.error = (first.refusal or "no grpc-status") if error is None else error
        if not call.error:
            self._unpack(call)

    def _unpack(self, call: Call) -> None:
        body = self.body
        if len(body) >= _PREFIX and body[0] == 0 and int.from_bytes(body[1:_PREFIX], "big") == len(body) - _PREFIX:
            call.body = bytes(body[_PREFIX:])
        elif body and body[0]:
            call.error = "packed answer"
        else:
            call.error = "not one message" if body else "no message"
