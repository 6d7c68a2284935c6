"""The wire for gRPC: what HTTP/2 lets a server do, frame by frame."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hpack import Encoder
from wired import Asked, Caller, GrpcSide, Peer, calling, frame, message, peer, url

from deploy_core.errors import EndpointError, UsageError
from deploy_latency.wires.blocks import Blocks, encoded

Run = Callable[[Any], Any]
FIRST = [(":status", "200"), ("content-type", "application/grpc+proto")]
GOOD = [("grpc-status", "0")]


def answered(*steps: Any) -> Callable[[Asked], None]:
    """Give a script: bytes are data, lists headers; the last of them ends the stream."""

    def script(asked: Asked) -> None:
        for turn, step in enumerate(steps, 1):
            last = turn == len(steps)
            if isinstance(step, bytes):
                asked.side.write(0, int(last), asked.number, step)
            else:
                asked.side.headers(asked.number, step, 4 | int(last))

    return script


HI = message(b"hi")
# what a server does, the error, the body
ANSWERS = {
    "as ever": (answered(FIRST, HI, GOOD), "", b"hi"),
    "in pieces": (answered(FIRST, HI[:3], b"", HI[3:6], HI[6:], GOOD), "", b"hi"),
    "empty": (answered(FIRST, message(b""), GOOD), "", b""),
    "after a word": (answered([(":status", "103")], FIRST, HI, GOOD), "", b"hi"),
    "only trailers": (answered([*FIRST, ("grpc-status", "5")]), "NOT_FOUND", b""),
    "late refusal": (answered(FIRST, HI, [("grpc-status", "13")]), "INTERNAL", b""),
    "a status of its own": (answered(FIRST, [("grpc-status", "99")]), "unknown gRPC status", b""),
    "a status that is none": (answered(FIRST, HI, [("grpc-status", "fine")]), "no grpc-status", b""),
    "no status": (answered(FIRST, HI, [("x", "y")]), "no grpc-status", b""),
    "no trailers": (answered(FIRST, HI), "no grpc-status", b""),
    "no headers": (answered(HI), "not gRPC", b""),
    "no message": (answered(FIRST, GOOD), "no message", b""),
    "two messages": (answered(FIRST, HI + HI, GOOD), "not one message", b""),
    "half a message": (answered(FIRST, HI[:-1], GOOD), "not one message", b""),
    "packed": (answered(FIRST, b"\1" + HI[1:], GOOD), "packed answer", b""),
    "a page": (answered([(":status", "200"), ("content-type", "text/html")], b"<p>"), "not gRPC", b""),
    "a proxy": (answered([(":status", "502"), ("content-type", "text/html")], b"<p>"), "HTTP 502", b""),
    "no http": (answered([("content-type", "application/grpc")], HI, [("x", "y")]), "not HTTP/2", b""),
}


@pytest.mark.parametrize("form", ANSWERS)
def test_forms_of_answers(run: Run, form: str) -> None:
    script, error, body = ANSWERS[form]

    async def main() -> None:
        async with peer("grpc", script=script) as server, calling(url("grpc", server.port)) as caller:
            for _ in range(3):
                caller.send()
                call = await caller.next()
                assert (call.error, call.body) == (error, body)
            assert len(server.sides) == 1

    run(main())


def test_headers_and_trailers_together_with_the_message_decoded(run: Run) -> None:
    async def main() -> None:
        async with peer("grpc", script=Asked.refuse) as server, calling(url("grpc", server.port)) as caller:
            caller.send()
            call = await caller.next()
            assert (call.error, call.headers["grpc-message"]) == ("UNAVAILABLE", "zu viel: ü % %zz")
            server.script = Asked.answer
            for number in (3, 5, 7):
                caller.send()
                headers = (await caller.next()).headers
                assert (headers["x-who"], headers["x-turn"]) == ("peer", str(number))

    run(main())


def test_padding_ranks_and_parts_of_blocks(run: Run) -> None:
    def script(asked: Asked) -> None:
        side, number = asked.side, asked.number
        block = side.encoder.encode(FIRST)
        rank = b"\0\0\0\0\x10"
        side.write(1, 0x8 | 0x20, number, b"\3" + rank + block[:2] + b"\0\0\0")
        side.write(9, 0, number, block[2:3])
        side.write(9, 4, number, block[3:])
        side.write(2, 0, number, rank)
        side.write(99, 7, number, b"a kind of frame that nobody knows")
        side.write(0, 0x8, number, b"\4" + HI + b"\0\0\0\0")
        side.headers(number, GOOD, 5)

    async def main() -> None:
        async with peer("grpc", script=script) as server, calling(url("grpc", server.port)) as caller:
            for _ in range(2):
                caller.send()
                call = await caller.next()
                assert (call.error, call.body) == ("", b"hi")

    run(main())


def test_settings_and_pings_are_answered(run: Run) -> None:
    def greet(side: GrpcSide) -> None:
        side.hello()
        side.write(6, 0, 0, b"12345678")
        side.write(6, 1, 0, b"an answe")

    async def main() -> None:
        async with peer("grpc", greet=greet) as server, calling(url("grpc", server.port)):
            frames = server.sides[0].frames
            await server.until(lambda: (6, 1, 0, b"12345678") in frames)
            assert (4, 1, 0, b"") in frames
            assert [each for each in frames if each[0] == 6] == [(6, 1, 0, b"12345678")]

    run(main())


@pytest.mark.parametrize("settings", [{4: 10}, {4: 0}, {4: 2**31 - 1, 5: 2**24 - 1}, {4: 30_000, 5: 20_000}])
def test_requests_keep_to_the_servers_windows(run: Run, settings: dict[int, int]) -> None:
    bodies = [b"a" * 100, b"b" * 40_000, b"", b"c" * 70_000]

    async def main() -> None:
        async with (
            peer("grpc", settings=settings, generous=False) as server,
            calling(url("grpc", server.port), bodies) as caller,
        ):
            for turn in range(8):
                caller.send(turn % 4)
            turns = await _allow_by_bits(server, settings)
            assert turns > 10
            calls = [await caller.next() for _ in range(8)]
            assert [call.error for call in calls] == [""] * 8
            assert all(call.body == bodies[call.request] for call in calls)

    run(main())


async def _allow_by_bits(server: Peer, settings: dict[int, int]) -> int:
    """Allow a little more each time that all which was allowed has come; look that nothing else does."""
    side, turns, more = server.sides[0], 0, Counter({number: settings.get(4, 65_535) for number in range(1, 17, 2)})
    more[0] = 65_535
    while len(server.asked) < 8:
        data = [(number, len(payload)) for kind, _, number, payload in side.frames if kind == 0]
        assert max((size for _, size in data), default=0) <= settings.get(5, 16_384)
        assert sum(size for _, size in data) <= more[0]
        assert all(sum(size for each, size in data if each == number) <= more[number] for number in more if number)
        for number, size in ((0, 5000), *((number, 3000) for number in side.streams)):
            side.write(8, 0, number, size.to_bytes(4, "big"))
            more[number] += size
        seen = len(side.frames)
        side.write(6, 0, 0, b"all read")
        await server.until(lambda seen=seen: any(each[0] == 6 for each in side.frames[seen:]))
        turns += 1
        assert turns < 1000
    return turns


def test_a_window_that_shrinks_below_nothing(run: Run) -> None:
    async def main() -> None:
        body = b"x" * 50_000
        async with (
            peer("grpc", settings={4: 20_000}, generous=False) as server,
            calling(url("grpc", server.port), [body]) as caller,
        ):
            caller.send()
            side = server.sides[0]
            await server.until(lambda: _received(side) == 20_000)
            side.write(4, 0, 0, struct.pack(">HL", 4, 0))
            side.write(8, 0, 1, (20_000).to_bytes(4, "big"))  # which makes it 0
            side.write(6, 0, 0, b"12345678")
            await server.until(lambda: side.frames[-1][0] == 6)
            assert _received(side) == 20_000
            side.write(8, 0, 1, (40_000).to_bytes(4, "big"))
            assert (await caller.next()).body == body

    run(main())


def _received(side: GrpcSide) -> int:
    return sum(len(payload) for kind, _, _, payload in side.frames if kind == 0)


def test_a_server_whose_table_of_headers_is_smaller(run: Run) -> None:
    """Its decoder refuses a block that does not begin with the table's new size."""

    def greet(side: GrpcSide) -> None:
        side.decoder.max_allowed_table_size = 0
        side.hello()

    async def main() -> None:
        async with (
            peer("grpc", settings={1: 0}, greet=greet) as server,
            calling(url("grpc", server.port), headers={"x-a": "b"}) as caller,
        ):
            for _ in range(3):
                caller.send()
                assert (await caller.next()).error == ""
            assert server.asked[2].headers["x-a"] == "b"

    run(main())


def test_a_goaway_moves_what_was_not_taken_up(run: Run) -> None:
    """Calls above the last stream are sent over the next connection, the others end on this one."""
    held: list[Asked] = []

    def script(asked: Asked) -> None:
        if len(held) < 3:
            held.append(asked)
        else:
            asked.answer()

    async def main() -> None:
        async with peer("grpc") as server, calling(url("grpc", server.port), [b"a", b"b", b"c"]) as caller:
            caller.send()
            await caller.next()  # the connection is proved
            server.script = script
            calls = [caller.send(turn) for turn in range(3)]
            await server.until(lambda: len(held) == 3)
            server.sides[0].write(7, 0, 0, struct.pack(">LL", held[0].number, 0))
            got = [await caller.next() for _ in range(2)]
            assert [(call.error, call.body) for call in got] == [("", b"b"), ("", b"c")]
            held[0].answer()
            assert (await caller.next()) is calls[0]
            assert calls[0].body == b"a"
            await server.until(lambda: not server.sides[0].open)
            assert len(server.sides) == 2

    run(main())


@pytest.mark.parametrize("proved", [True, False])
def test_a_server_that_only_says_goaway_is_left_alone(run: Run, proved: bool) -> None:
    def script(asked: Asked) -> None:
        asked.side.write(7, 0, 0, struct.pack(">LL", 0, 11))

    async def main() -> None:
        async with peer("grpc") as server, calling(url("grpc", server.port), connections=2) as caller:
            if proved:
                caller.send()
                await caller.next()
            server.script = script
            for _ in range(4):
                caller.send()
                assert (await caller.next()).error == "GOAWAY ENHANCE_YOUR_CALM"
            assert len(server.sides) <= 8
            server.script = Asked.answer
            caller.send()
            assert (await caller.next()).error == ""

    run(main())


def test_a_reset_is_an_error(run: Run) -> None:
    def script(asked: Asked) -> None:
        asked.side.write(3, 0, asked.number, (2).to_bytes(4, "big"))

    async def main() -> None:
        async with peer("grpc", script=script) as server, calling(url("grpc", server.port)) as caller:
            for _ in range(3):
                caller.send()
                assert (await caller.next()).error == "RST_STREAM INTERNAL_ERROR"
            assert len(server.sides) == 1

    run(main())


def test_refused_streams_are_sent_again_when_there_is_room(run: Run) -> None:
    held: list[Asked] = []

    def script(asked: Asked) -> None:
        if held:
            asked.side.write(3, 0, asked.number, (7).to_bytes(4, "big"))
        else:
            held.append(asked)

    async def main() -> None:
        async with peer("grpc", script=script) as server, calling(url("grpc", server.port), [b"a", b"b"]) as caller:
            caller.send(0)
            caller.send(1)
            await server.until(lambda: len(server.asked) == 2)
            server.sides[0].write(6, 0, 0, b"12345678")
            await server.until(lambda: server.sides[0].frames[-1][0] == 6)
            server.script = Asked.answer
            held[0].answer()
            assert [(await caller.next()).body for _ in range(2)] == [b"a", b"b"]
            server.script = script  # and refuses all there is
            for _ in range(3):
                caller.send()
            assert {(await caller.next()).error for _ in range(3)} == {"RST_STREAM REFUSED_STREAM"}
            assert len(server.asked) < 20

    run(main())


def test_a_server_that_never_greets(run: Run) -> None:
    async def main() -> None:
        async with peer("grpc", greet=lambda side: None) as server:
            caller = Caller(url("grpc", server.port), [b""], {}, None)
            with pytest.raises(EndpointError, match=r"did not answer within 0.2 s"):
                await caller.wire.open(2, 0.2)

    run(main())


@pytest.mark.parametrize(
    "what",
    [
        frame(0, 0, 1, b"data before settings"),
        frame(1, 4, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
        b"\xff\xff\xff" + frame(0, 0, 1)[3:],
    ],
)
def test_a_greeting_that_is_no_settings(run: Run, what: bytes) -> None:
    async def main() -> None:
        async with peer("grpc", greet=lambda side: side.transport.write(what)) as server:
            with pytest.raises(EndpointError, match="not HTTP/2"):
                async with calling(url("grpc", server.port)):
                    pass

    run(main())


@pytest.mark.parametrize(
    "what",
    [
        frame(1, 4, 1, b"\xff\xff\xff\xff\xff\xff\xff"),  # no header has that number
        frame(1, 4 | 8, 1, b"\xff\x88"),  # more padding than frame
        frame(9, 4, 1, b"\x88") + frame(1, 0, 1, b"\x88") + frame(0, 0, 1, b"x"),  # data within a block
        frame(1, 0, 1) + frame(9, 0, 1, b"x" * 16000) * 10,  # a block without end
        frame(4, 0, 0, struct.pack(">HL", 5, 1)),  # frames of one byte
        frame(4, 0, 0, b"123"),
        frame(7, 0, 0, b"123"),
    ],
)
def test_a_server_that_breaks_the_rules(run: Run, what: bytes) -> None:
    async def main() -> None:
        async with peer("grpc") as server, calling(url("grpc", server.port)) as caller:
            server.script = lambda asked: asked.side.transport.write(what)
            caller.send()
            assert (await caller.next()).error == "not HTTP/2"
            server.script = Asked.answer
            caller.send()
            assert (await caller.next()).error == ""

    run(main())


def test_headers_that_are_too_many() -> None:
    with pytest.raises(UsageError, match="the headers make up"):
        Caller(url("grpc", 1), [b""], {"x": "y" * 20_000}, None)


def test_blocks_are_read_once_as_long_as_the_table_stays() -> None:
    encoder, blocks = Encoder(), Blocks()
    fields = [(":status", "200"), ("x-a", "1")]
    first = blocks.read(encoder.encode(fields))  # fills the table
    data = encoder.encode(fields)
    second = blocks.read(data)
    assert dict(first.headers) == dict(second.headers) == dict(fields)
    assert blocks.read(data) is second
    blocks.read(encoder.encode([("x-b", "2")]))  # moves what the bytes of `data` point to
    assert dict(blocks.read(data).headers) == {":status": "200", "x-b": "2"}
    steady = encoded([("grpc-status", "0")])
    assert blocks.read(steady) is blocks.read(steady)
    for turn in range(1000):
        assert blocks.read(encoded([("x-c", str(turn))])).headers == {"x-c": str(turn)}
