"""What the embedded server's HTTP does with good, odd and hostile bytes."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deploy_servers.embedded.parse import Limits

HOST = b"Host: localhost\r\n"


def post(path: bytes, body: bytes, *headers: bytes) -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: localhost", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def predict(rows: list[list[float]]) -> bytes:
    return post(b"/toy/toy", json.dumps({"x": rows}).encode())


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def test_predicts_and_keeps_the_connection(toy_server: Any) -> None:
    client = http.client.HTTPConnection("127.0.0.1", toy_server.http, timeout=10)
    for k in range(3):
        client.request("POST", "/toy/toy", json.dumps({"x": [[k, 1, 2]]}))
        reply = client.getresponse()
        assert (reply.status, json.loads(reply.read())) == (200, {"y": [k + 210.0]})
        assert reply.getheader("connection") == "keep-alive"
    client.close()


def test_pipelined_requests_are_answered_in_their_order(toy_server: Any) -> None:
    requests = [predict([[k + 100, 0, 0]]) if k % 3 else post(b"/echo", b"%d" % k) for k in range(100)]
    answer = toy_server.ask(b"".join(requests))
    bodies = [part.split(b"\r\n\r\n", 1)[1] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert [json.loads(body)["y"][0] - 100 if k % 3 else int(body) for k, body in enumerate(bodies)] == list(range(100))


def test_a_request_in_single_bytes_is_a_request(toy_server: Any) -> None:
    with toy_server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in predict([[1, 1, 1]]):
            client.sendall(bytes([byte]))
        assert client.recv(65536).endswith(b'{"y": [111.0]}')


def test_chunked_bodies_and_their_trailers(toy_server: Any) -> None:
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(c), c) for c in (b"abc", b"d" * 300, b"e"))
    head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    answer = toy_server.ask(head + chunks + b"0\r\nX-Seen: trailer\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nabc" + b"d" * 300 + b"e")
    assert b"x-seen: \r\n" in answer


def test_expect_100_continue(toy_server: Any) -> None:
    with toy_server.connect() as client:
        client.sendall(post(b"/echo", b"", b"Expect: 100-continue").replace(b"Content-Length: 0", b"Content-Length: 5"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hello")
        assert client.recv(65536).endswith(b"hello")


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(toy_server: Any) -> None:
    with toy_server.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 9999999\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert statuses(answer) == [413]
    assert "larger than 1048576 bytes" in json.loads(answer.split(b"\r\n\r\n")[1])["error"]


def test_a_chunked_body_over_the_limit_is_refused_and_its_sender_reads_why(toy_server: Any) -> None:
    head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"40000\r\n" + b"x" * 0x40000 + b"\r\n"
    with toy_server.connect() as client:
        client.sendall(head + chunk * 10)  # ten chunks: 2.5 times the limit, all of it sent before the answer is read
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert statuses(answer) == [413]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost localhost\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET /echo HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        (b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1.evil.example:80\r\n\r\n", 403),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n" + HOST + b"X-Long: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET /echo HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % k for k in range(2000)) + b"\r\n", 431),
        (b"GET /echo" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
        (
            b"GET /echo HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\nhello",
            400,
        ),
        (b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"DELETE /broken HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"GET /broken HTTP/1.1\r\n" + HOST + b"\r\n", 500),
    ],
    ids=range(20),
)
def test_what_is_no_good_request_is_answered_so_in_json(toy_server: Any, request_bytes: bytes, status: int) -> None:
    answer = toy_server.ask(request_bytes)
    assert statuses(answer)[:1] == [status]
    body = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    assert set(body) <= {"error", "toy"}
    assert "/path" not in str(body)


def test_an_endless_header_is_cut_off(toy_server: Any) -> None:
    with toy_server.connect() as client:
        client.sendall(b"GET /echo HTTP/1.1\r\n" + HOST + b"X-Endless: ")
        sent = 0
        answer = b""
        while not answer and sent < 4 << 20:
            client.sendall(b"x" * 4096)
            sent += 4096
            client.settimeout(0.01)
            try:
                answer = client.recv(65536)
            except TimeoutError:
                answer = b""
    assert statuses(answer) == [431]


def test_many_pipelined_requests_in_one_packet_are_no_large_head(toy_server: Any) -> None:
    request = b"GET /echo HTTP/1.1\r\n" + HOST + b"\r\n"
    answer = toy_server.ask(request * 1000 + request[:-10], request[-10:])
    assert statuses(answer) == [200] * 1001


def test_an_upgrade_is_ignored(toy_server: Any) -> None:
    answer = toy_server.ask(
        b"GET /echo HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\nPRI * HTTP/2.0"
    )
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


def test_absolute_targets_head_and_http_1_0(toy_server: Any) -> None:
    assert b"x-target: /echo?a=%20b\r\n" in toy_server.ask(
        b"GET http://localhost/echo?a=%20b HTTP/1.1\r\n" + HOST + b"\r\n"
    )
    answer = toy_server.ask(post(b"/echo", b"hello").replace(b"POST", b"HEAD"))
    assert b"content-length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")
    with toy_server.connect() as client:  # HTTP/1.0 has the connection end after the answer, without being asked
        client.sendall(b"GET /echo HTTP/1.0\r\n\r\n")
        assert b"connection: close" in b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        (b"gzip", gzip.compress(b"hello"), 200),
        (b"deflate", zlib.compress(b"hello"), 200),
        (b"gzip", b"hello", 400),
        (b"gzip", gzip.compress(b"hello")[:-9], 400),
        (b"gzip", gzip.compress(b"\0" * (64 << 20)), 413),
        (b"br", b"hello", 415),
    ],
)
def test_compressed_bodies(toy_server: Any, coding: bytes, body: bytes, status: int) -> None:
    answer = toy_server.ask(post(b"/echo", body, b"Content-Encoding: " + coding))
    assert statuses(answer) == [status]
    assert status != 200 or answer.endswith(b"\r\n\r\nhello")


def test_half_a_body_is_given_up_in_time(toy_server: Any) -> None:
    with toy_server.connect() as client:
        client.sendall(post(b"/echo", b"hello")[:-2])
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert statuses(answer) == [408]


def test_a_dripping_head_is_given_up_in_time(toy_server: Any) -> None:
    begin = time.monotonic()
    with toy_server.connect() as client:
        client.settimeout(0.1)
        client.sendall(b"GET /echo HTTP/1.1\r\n")
        answer = b""
        while not answer and time.monotonic() < begin + 10:
            client.sendall(b"X-Drip: 1\r\n")
            try:
                answer = client.recv(65536)
            except TimeoutError:
                continue
    assert statuses(answer) == [408]


def test_a_slow_client_does_not_block_others(toy_server: Any) -> None:
    with toy_server.connect() as slow, toy_server.connect() as quick:
        slow.sendall(post(b"/echo", b"x" * 1000)[:-1])
        quick.sendall(post(b"/echo", b"quick"))
        assert quick.recv(65536).endswith(b"quick")
        slow.sendall(b"x")
        assert statuses(slow.recv(65536)) == [200]


def test_large_answers_reach_a_client_that_reads_late(toy_server: Any) -> None:
    body = bytes(range(256)) * 3000
    with toy_server.connect() as client, ThreadPoolExecutor(1) as pool:
        sent = pool.submit(client.sendall, post(b"/echo", body) * 20)  # more than all buffers on the way hold
        answer = b""
        while answer.count(body) < 20:
            piece = client.recv(1 << 20)
            assert piece
            answer += piece
        sent.result()
    assert statuses(answer) == [200] * 20


def test_100_continue_waits_for_the_earlier_answers(start: Any) -> None:
    expecting = post(b"/echo", b"", b"Expect: 100-continue").replace(b"Content-Length: 0", b"Content-Length: 5")
    with start() as running, running.connect() as client:
        client.sendall(predict([[1, 1, 1]]) + expecting)
        assert running.toy.entered.wait(20)
        running.toy.gate.set()
        answer = b""
        while b"100 Continue\r\n\r\n" not in answer:
            answer += client.recv(65536)
        assert statuses(answer) == [200, 100]
        client.sendall(b"hello")
        assert client.recv(65536).endswith(b"hello")


def test_an_idle_connection_is_closed_in_time_but_not_one_that_waits_for_its_answer(start: Any) -> None:
    with (
        start(limits=Limits(idle=0.3, receive=0.3)) as running,
        running.connect() as idle,
        running.connect() as waiting,
    ):
        waiting.sendall(predict([[1, 1, 1]]))
        assert idle.recv(100) == b""
        running.toy.gate.set()
        assert statuses(waiting.recv(65536)) == [200]


def test_a_client_that_never_reads_costs_bounded_memory_and_is_dropped(toy_server: Any) -> None:
    request = post(b"/echo", b"x" * 100_000)
    with toy_server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(0.5)
        with pytest.raises((TimeoutError, ConnectionError)):
            client.sendall(request * 500)
        client.settimeout(10)
        with pytest.raises(ConnectionError):
            _read_and_write(client)


def _read_and_write(client: socket.socket) -> None:
    while client.recv(1 << 20):
        client.sendall(b"x")


@pytest.mark.parametrize(("published", "status"), [("127.0.0.1", 403), ("", 200)])
def test_what_a_container_publishes_on_this_machine_is_for_names_of_it(
    start: Callable[..., Any], published: str, status: int
) -> None:
    with start(host="0.0.0.0", published=published) as running:
        running.toy.gate.set()
        assert f" {status} ".encode() in running.ask(b"GET /echo HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert b" 200 " in running.ask(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
