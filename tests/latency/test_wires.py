"""What both wires hold to, whatever the server does: in either event loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from wired import PATH, Asked, Peer, calling, peer, url

from deploy_core.errors import EndpointError, UsageError

Run = Callable[[Any], Any]
GARBAGE = {
    "text": b"220 smtp.example.com ESMTP ready\r\n",
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "a page": b"<html>" + b"x" * 70_000,
    "tls": bytes.fromhex("150301000202 46"),
}


@pytest.fixture(params=["rest", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def hold(asked: Asked) -> None:
    """Leave a request without an answer."""


def test_each_call_gets_its_own_answer(run: Run, transport: str) -> None:
    bodies = [b"", b"one", b"2" * 1000]

    async def main() -> None:
        async with peer(transport) as server, calling(url(transport, server.port), bodies, connections=4) as caller:
            sent = {id(call): call for call in (caller.send(turn % 3) for turn in range(200))}
            for _ in range(200):
                call = await caller.next()
                assert sent.pop(id(call)) is call
                assert (call.error, call.body) == ("", bodies[call.request])
                assert call.intended <= call.sent <= call.done
                assert call.headers["x-who"] == "peer"
            assert len(server.sides) == 4

    run(main())


def test_what_goes_along(run: Run, transport: str) -> None:
    async def main() -> None:
        headers = {"Authorization": "Bearer t", "x-a": "b"}
        async with peer(transport) as server, calling(url(transport, server.port), headers=headers) as caller:
            caller.send()
            await caller.next()
            seen = server.asked[0].headers
            assert (seen["authorization"], seen["x-a"]) == ("Bearer t", "b")
            if transport == "rest":
                assert seen[":first"] == f"POST {PATH} HTTP/1.1"
                assert (seen["host"], seen["accept-encoding"]) == (f"127.0.0.1:{server.port}", "identity")
            else:
                assert (seen[":path"], seen[":scheme"], seen["te"]) == (PATH, "http", "trailers")
                assert seen[":authority"] == f"127.0.0.1:{server.port}"

    run(main())


def test_a_refusal_is_an_error_and_the_connection_stays(run: Run, transport: str) -> None:
    async def main() -> None:
        async with peer(transport, script=Asked.refuse) as server, calling(url(transport, server.port)) as caller:
            for _ in range(3):
                caller.send()
                assert (await caller.next()).error == {"rest": "HTTP 503", "grpc": "UNAVAILABLE"}[transport]
            assert len(server.sides) == 1

    run(main())


def test_large_bodies(run: Run, transport: str) -> None:
    bodies = [bytes([k]) * 3_000_000 for k in range(2)]

    async def main() -> None:
        async with peer(transport) as server, calling(url(transport, server.port), bodies, connections=2) as caller:
            for turn in range(6):
                caller.send(turn % 2)
            for _ in range(6):
                call = await caller.next()
                assert not call.error
                assert call.body == bodies[call.request]

    run(main())


def test_calls_wait_in_order_for_a_place(run: Run, transport: str) -> None:
    async def main() -> None:
        bodies = [b"%d" % turn for turn in range(9)]
        limits = {"connections": {"rest": 2, "grpc": 1}[transport]}
        async with (
            peer(transport, script=hold, settings={3: 2}) as server,
            calling(url(transport, server.port), bodies, **limits) as caller,
        ):
            calls = [caller.send(turn) for turn in range(9)]
            for turn in range(9):
                await server.until(lambda turn=turn: len(server.asked) == min(turn + 2, 9))
                assert [call.sent < math.inf for call in calls] == [k < turn + 2 for k in range(9)]
                server.asked[turn].answer()
                assert (await caller.next()) is calls[turn]
            assert [asked.body for asked in server.asked[2:]] == bodies[2:]

    run(main())


def test_a_dropped_call_is_heard_of_no_more(run: Run, transport: str) -> None:
    async def main() -> None:
        async with (
            peer(transport, script=hold, settings={3: 1}) as server,
            calling(url(transport, server.port), [b"a", b"b", b"c"]) as caller,
        ):
            under_way, waiting, last = caller.send(0), caller.send(1), caller.send(2)
            await server.until(lambda: server.asked)
            caller.wire.drop(waiting)
            caller.wire.drop(under_way)
            server.asked[0].answer()  # too late
            await server.until(lambda: len(server.asked) == 2)
            server.asked[1].answer()
            assert (await caller.next()) is last
            assert last.body == b"c"
            if transport == "grpc":
                assert (3, 0, 1, (8).to_bytes(4, "big")) in server.sides[0].frames
            assert len(server.sides) == {"rest": 2, "grpc": 1}[transport]

    run(main())


@pytest.mark.parametrize("how", [Asked.close, Asked.break_off])
def test_a_lost_connection_ends_its_calls_and_is_replaced(run: Run, transport: str, how: Any) -> None:
    async def main() -> None:
        async with peer(transport) as server, calling(url(transport, server.port)) as caller:
            server.script = how
            caller.send()
            assert (await caller.next()).error == "connection closed"
            server.script = Asked.answer
            for _ in range(3):
                caller.send()
                assert (await caller.next()).error == ""
            assert len(server.sides) == 2

    run(main())


def test_a_connection_that_was_closed_between_calls_costs_none(run: Run, transport: str) -> None:
    async def main() -> None:
        async with peer(transport) as server, calling(url(transport, server.port)) as caller:
            for turn in range(4):
                caller.send()
                assert (await caller.next()).error == ""
                server.sides[turn].transport.close()
                await server.until(lambda turn=turn: not server.sides[turn].open and len(server.sides) == turn + 2)

    run(main())


def test_a_server_that_closes_at_once_is_left_alone(run: Run, transport: str) -> None:
    async def main() -> None:
        async with peer(transport) as server, calling(url(transport, server.port), connections=2) as caller:
            server.greet = lambda side: side.transport.close()
            for side in server.sides:
                side.transport.abort()
            begun, since = len(server.sides), caller.now()
            for _ in range(4):  # as soon as one has failed, as in a closed loop
                caller.send()
                assert (await caller.next()).error == "connection closed"
            calls = [caller.send() for _ in range(20)]
            for _ in range(20):
                await caller.next()
            assert all(call.error == "connection closed" for call in calls)
            assert len(server.sides) - begun <= 6 + 2 * (caller.now() - since)  # they come ever more slowly
            server.greet = lambda side: side.hello()  # and found again
            error = "connection closed"
            while error:
                caller.send()
                error = (await caller.next()).error
                assert error in ("", "connection closed")

    run(main())


def test_a_server_that_has_gone(run: Run, transport: str) -> None:
    async def main() -> None:
        async with peer(transport) as server:
            port = server.port
            caller_ = calling(url(transport, port))
            caller = await caller_.__aenter__()
            caller.send()
            await caller.next()
        for _ in range(3):
            caller.send()
            assert (await caller.next()).error in ("connection refused", "connection closed")
        await caller_.__aexit__(None, None, None)
        with pytest.raises(EndpointError, match=r"cannot be reached: connection refused"):
            async with calling(url(transport, port)):
                pass

    run(main())


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_for_an_answer(run: Run, transport: str, what: str) -> None:
    def spoil(asked: Asked) -> None:
        asked.side.transport.write(GARBAGE[what])
        asked.side.transport.write_eof()

    async def main() -> None:
        async with peer(transport) as server, calling(url(transport, server.port)) as caller:
            for _ in range(2):
                server.script = spoil
                caller.send()
                error = (await caller.next()).error
                assert error in ("not HTTP", "not HTTP/2", "connection closed", "RST_STREAM unknown error")
                server.script = Asked.answer
                caller.send()
                assert (await caller.next()).error == ""

    run(main())


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_for_a_greeting(run: Run, transport: str, what: str) -> None:
    def spoil(side: Any) -> None:
        side.transport.write(GARBAGE[what])
        side.transport.close()

    async def main() -> None:
        async with peer(transport, greet=spoil) as server, calling(url(transport, server.port)) as caller:
            caller.send()
            assert (await caller.next()).error in ("not HTTP", "connection closed")

    if transport == "rest":
        run(main())
    else:
        with pytest.raises(EndpointError, match=r"not HTTP/2|connection closed"):
            run(main())


def test_an_answer_byte_by_byte(run: Run, transport: str) -> None:
    async def main() -> None:
        async with peer(transport, script=hold) as server, calling(url(transport, server.port), [b"abc"]) as caller:
            side = await _first(server)
            write, parts = side.transport.write, []
            for turn in range(2):
                caller.send()
                await server.until(lambda turn=turn: len(server.asked) == turn + 1)
                side.transport = _Recorder(side.transport, parts)
                server.asked[turn].answer()
                side.transport = side.transport.transport
                for byte in b"".join(parts):
                    write(bytes((byte,)))
                    await asyncio.sleep(0)
                parts.clear()
                call = await caller.next()
                assert (call.error, call.body) == ("", b"abc")

    run(main())


def test_spoiled_answers(run: Run, transport: str) -> None:
    """Whatever comes, a call ends once, and the next one is answered."""
    random = Random(5)

    def spoil(asked: Asked) -> None:
        side, parts = asked.side, list[bytes]()
        side.transport = _Recorder(side.transport, parts)
        asked.answer()
        side.transport = side.transport.transport
        data = bytearray(b"".join(parts))
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(data))
            data[at : at + random.randint(0, 3)] = random.randbytes(random.randint(0, 3))
        for at in range(0, len(data), 16):
            side.transport.write(bytes(data[at : at + 16]))
        side.transport.close()

    async def main() -> None:
        async with peer(transport) as server, calling(url(transport, server.port)) as caller:
            for _ in range(150):
                server.script = Asked.answer
                errors = []
                while len(errors) < 2 and "" not in errors:  # the first may meet the end of the connection
                    caller.send()
                    errors.append((await caller.next()).error)
                assert errors in ([""], ["connection closed", ""])
                server.script = spoil
                caller.send()
                await caller.next()

    run(main())


class _Recorder:
    def __init__(self, transport: Any, parts: list[bytes]) -> None:
        self.transport = transport
        self.write = parts.append


async def _first(server: Peer) -> Any:
    await server.until(lambda: server.sides)
    return server.sides[0]


def test_an_answer_that_is_too_large(run: Run, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("deploy_clients.reading", "deploy_latency.wires.streams", "deploy_latency.wires.answers"):
        monkeypatch.setattr(f"{module}.MAX_ANSWER", 1000, raising=False)

    async def main() -> None:
        bodies = [b"x" * 999, b"y" * 100_000]
        async with peer(transport) as server, calling(url(transport, server.port), bodies) as caller:
            caller.send(1)
            assert (await caller.next()).error == "answered more than 1000 bytes"
            caller.send(0)
            assert (await caller.next()).error == ""

    run(main())


def test_closing_drops_what_is_under_way(run: Run, transport: str) -> None:
    async def main() -> None:
        async with peer(transport, script=hold) as server:
            async with calling(url(transport, server.port), connections=2) as caller:
                for _ in range(5):
                    caller.send()
                await server.until(lambda: server.asked)
            await server.until(lambda: not any(side.open for side in server.sides))
            assert caller.done.empty()

    run(main())


def test_an_answer_to_a_call_may_send_the_next(run: Run, transport: str) -> None:
    async def main() -> None:
        async with peer(transport) as server, calling(url(transport, server.port), connections=2) as caller:
            left = 300

            def again(call: Any) -> None:
                nonlocal left
                left -= 1
                caller.done.put_nowait(call) if left <= 0 else caller.send()

            caller.wire.on_done = again
            for _ in range(8):
                caller.send()
            calls = [await caller.next() for _ in range(8)]
            assert not any(call.error for call in calls)
            assert len(server.asked) == 307

    run(main())


def test_headers_that_cannot_be_sent(run: Run, transport: str) -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match="x-secret"):
            async with calling(url(transport, 1), headers={"x-secret": "two\nlines"}):
                pass

    run(main())
