"""The wire for REST: every form of an answer that HTTP/1.1 knows, whole and in pieces."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from wired import Asked, HttpSide, calling, peer, url

from deploy_latency.wires.answers import Heads

Run = Callable[[Any], Any]
OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"content-length: 2\r\n\r\nhi"
# what is sent, the error, the body, whether the connection is used again
ANSWERS = {
    "plain": (PLAIN, "", b"hi", True),
    "no body": (OK + b"Content-Length:0\r\n\r\n", "", b"", True),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi", "", b"hi", True),
    "created": (b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nhi", "", b"hi", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "", b"", True),
    "keep-alive": (OK + b"Connection: Keep-Alive\r\ncontent-length: 2\r\n\r\nhi", "", b"hi", True),
    "close": (OK + b"Connection: close\r\ncontent-length: 2\r\n\r\nhi", "", b"hi", False),
    "chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n", "", b"hi", True),
    "to the end": (OK + b"\r\nhi", "", b"hi", False),
    "of old": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", "", b"hi", False),
    "after a word": (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, "", b"hi", True),
    "after hints": (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + PLAIN, "", b"hi", True),
    "refused": (b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nhi", "HTTP 404", b"hi", True),
    "moved": (b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", "HTTP 302", b"", True),
    "packed": (OK + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi", "answered with content-encoding gzip, which was not asked for", b"", False),
    "two lengths": (OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi!", "not HTTP", b"", False),
    "length and chunks": (OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "not HTTP", b"", False),
    "a length that is none": (OK + b"content-length: +2\r\n\r\nhi", "not HTTP", b"", False),
    "a name with a space": (OK + b"content-length : 2\r\n\r\nhi", "not HTTP", b"", False),
    "no status": (b"HTTP/1.1 OK\r\ncontent-length: 2\r\n\r\nhi", "not HTTP", b"", False),
    "a head without end": (OK + b"x: y\r\n" * 20_000, "not HTTP", b"", False),
    "too many headers": (OK + b"".join(b"x%d: y\r\n" % k for k in range(200)) + b"content-length: 2\r\n\r\nhi", "not HTTP", b"", False),
}  # fmt: skip


@pytest.mark.parametrize("pieces", [1, 7, 10_000])
@pytest.mark.parametrize("form", ANSWERS)
def test_forms_of_answers(run: Run, form: str, pieces: int) -> None:
    data, error, body, kept = ANSWERS[form]

    def script(asked: Asked) -> None:
        size = -(-len(data) // min(pieces, 40))
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        _write(asked.side, parts, close=form == "to the end")

    async def main() -> None:
        async with peer("rest", script=script) as server, calling(url("rest", server.port)) as caller:
            for _ in range(2):
                caller.send()
                call = await caller.next()
                assert (call.error, call.body) == (error, body)
            assert len({id(asked.side) for asked in server.asked}) == (1 if kept else 2)

    run(main())


def test_an_answer_too_many_ends_a_connection(run: Run) -> None:
    async def main() -> None:
        script = lambda asked: asked.side.transport.write(PLAIN + PLAIN)  # noqa: E731
        async with peer("rest", script=script) as server, calling(url("rest", server.port)) as caller:
            for turn in range(2):
                caller.send()
                assert (await caller.next()).error == ""
                await server.until(lambda turn=turn: not server.sides[turn].open)

    run(main())


def _write(side: HttpSide, parts: list[bytes], *, close: bool) -> None:
    """Write one part in each turn of the loop."""
    if not side.open or side.transport.is_closing():
        return
    side.transport.write(parts[0])
    if parts[1:]:
        asyncio.get_running_loop().call_soon(partial(_write, side, parts[1:], close=close))
    elif close:
        side.transport.close()


def test_headers_by_lower_case_names(run: Run) -> None:
    async def main() -> None:
        script = lambda asked: asked.side.transport.write(OK + b"Server-Timing: run;dur=1\r\nContent-Length: 0\r\n\r\n")  # noqa: E731
        async with peer("rest", script=script) as server, calling(url("rest", server.port)) as caller:
            caller.send()
            assert dict((await caller.next()).headers) == {"server-timing": "run;dur=1", "content-length": "0"}

    run(main())


def test_what_comes_unasked_ends_a_connection(run: Run) -> None:
    async def main() -> None:
        async with peer("rest") as server, calling(url("rest", server.port)) as caller:
            caller.send()
            await caller.next()
            server.sides[0].transport.write(PLAIN)
            await server.until(lambda: not server.sides[0].open)
            caller.send()
            assert (await caller.next()).error == ""

    run(main())


def test_a_request_that_crosses_the_end_of_a_kept_connection_is_sent_again(run: Run) -> None:
    """The server closes a kept connection when the request comes, as if it had done so just before."""

    def script(asked: Asked) -> None:
        first = sum(each.side is asked.side for each in server_asked) == 1
        asked.answer() if first else asked.close()

    server_asked: list[Asked] = []

    async def main() -> None:
        async with peer("rest", asked=server_asked, script=script) as server:
            async with calling(url("rest", server.port)) as caller:
                for turn in range(4):
                    caller.send()
                    assert (await caller.next()).error == ""
                    assert len(server.asked) == 1 + 2 * turn

    run(main())


def test_a_head_is_read_once_as_long_as_it_is_the_same() -> None:
    heads = Heads()
    first, second = heads.whole(PLAIN), heads.whole(PLAIN)
    assert first is not None
    assert second is not None
    assert first[0] is second[0]
    other = heads.whole(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nhi")
    assert other is not None
    assert (first[0].error, other[0].error) == ("", "HTTP 503")
    assert heads.whole(PLAIN[:-1]) is None
    assert heads.whole(PLAIN + b"x") is None


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@pytest.fixture(params=["HTTP/1.0", "HTTP/1.1"])
def plain(request: pytest.FixtureRequest) -> Generator[int]:
    """A server of Python's own, which closes each connection after one answer, or keeps it."""
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"protocol_version": request.param}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_against_a_server_of_pythons_own(run: Run, plain: int) -> None:
    bodies = [b"", b"x" * 10, b"y" * 300_000]

    async def main() -> None:
        async with calling(url("rest", plain), bodies, connections=4) as caller:
            for turn in range(60):
                caller.send(turn % 3)
            for _ in range(60):
                call = await caller.next()
                assert (call.error, call.body) == ("", bodies[call.request])

    run(main())
