"""What is asked again and what is not, within one deadline; and that connections are kept."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import grpc
import numpy as np
import pytest

import deploy_clients
from deploy_clients import connect, management, management_async
from deploy_clients.retries import UnansweredError, pause_before_next
from deploy_core.errors import EndpointError, UsageError
from deploy_core.signature import Signature
from deploy_dialects.wire import HttpReply

X = {"x": np.array([[1, 2], [3, 4]], np.float32)}
GOOD = b'{"outputs":[[0.5],[1.5]]}'
READY = b'{"model_version_status":[{"version":"1","state":"AVAILABLE","status":{"error_code":"OK"}}]}'
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
Start = Callable[..., Any]


def _client(port: int, signature: Signature | None, transport: str = "rest", **options: Any) -> Any:
    url = f"tfserving+{transport}://127.0.0.1:{port}/m"
    return connect(url, signature=signature, **{"timeout": 10.0, **options})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _raw(*conversations: Callable[[socket.socket], None]) -> Generator[tuple[int, list[int]]]:
    """Hold each conversation with the client that comes next; gives port and who has come."""
    seen: list[int] = []
    stopped = threading.Event()

    def serve(listener: socket.socket) -> None:
        for number, conversation in enumerate(conversations):
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            seen.append(number)
            with connection:
                conversation(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], seen
        stopped.set()
    thread.join(10)


def _answer(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(GOOD), GOOD))


def _hang_up(connection: socket.socket) -> None:
    connection.recv(65536)


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_prediction_waits_for_a_server_that_is_just_coming_up(
    monkeypatch: pytest.MonkeyPatch, signature: Signature, transport: str
) -> None:
    tries: list[float] = []

    def pause(*arguments: Any, **options: Any) -> float | None:
        tries.append(time.monotonic())
        return pause_before_next(*arguments, **options)

    monkeypatch.setattr("deploy_clients.asking.pause_before_next", pause)
    with _client(_free_port(), signature, transport) as client:
        with pytest.raises(UnansweredError, match="cannot be reached: Connection refused"):
            client.predict(X)
    assert len(tries) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_prediction_that_was_answered_is_not_asked_again(
    http: Start, canned: Any, signature: Signature, status: int
) -> None:
    server = http(canned(status, b"", {"retry-after": "0"}), canned(body=GOOD))
    with _client(server.port, signature) as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert caught.value.status == status
    assert len(server.requests) == 1


def test_a_server_that_dies_of_a_prediction_is_not_asked_again(signature: Signature) -> None:
    with _raw(_hang_up, _answer) as (port, seen), _client(port, signature) as client:
        with pytest.raises(EndpointError, match="broke off"):
            client.predict(X)
        assert seen == [0]
        client.predict(X)


def test_a_prediction_survives_a_kept_connection_that_was_closed(signature: Signature) -> None:
    def answer_once(connection: socket.socket) -> None:
        _answer(connection)
        # Closed only after the next request is here, so that no client can have noticed before.
        connection.recv(65536)

    with _raw(answer_once, _answer) as (port, seen), _client(port, signature) as client:
        assert client.predict(X)["y"].tolist() == client.predict(X)["y"].tolist() == [[0.5], [1.5]]
    assert seen == [0, 1]


def test_a_grpc_prediction_that_a_server_refuses_is_not_asked_again(rpc: Start, signature: Signature) -> None:
    server = rpc({PREDICT: grpc.StatusCode.UNAVAILABLE})
    with _client(server.port, signature, "grpc") as client, pytest.raises(EndpointError) as caught:
        client.predict(X)
    assert not isinstance(caught.value, UnansweredError)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("after", ["0", "nonsense", "", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_what_may_be_repeated_is(http: Start, canned: Any, status: int, after: str) -> None:
    server = http(canned(status, b"", {"retry-after": after}), canned(body=READY))
    with management(f"tfserving+rest://127.0.0.1:{server.port}") as manager:
        assert manager.status("m")[0].ready
    assert len(server.requests) == 2


def test_what_may_be_repeated_is_three_times_at_most(http: Start, canned: Any, rpc: Start) -> None:
    server, other = http(canned(503)), rpc({STATUS: grpc.StatusCode.UNAVAILABLE})
    for url in (f"tfserving+rest://127.0.0.1:{server.port}", f"tfserving+grpc://127.0.0.1:{other.port}"):
        with management(url) as manager, pytest.raises(EndpointError):
            manager.status("m")
    assert len(server.requests) == len(other.requests) == 3


def test_a_server_that_wants_more_time_than_there_is_is_not_waited_for(http: Start, canned: Any) -> None:
    server = http(canned(503, b'{"error": "later"}', {"retry-after": "100"}))
    began = time.monotonic()
    with management(f"tfserving+rest://127.0.0.1:{server.port}", timeout=10) as manager:
        with pytest.raises(EndpointError, match="later"):
            manager.status("m")
    assert time.monotonic() - began < 5
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("after", "pause"),
    [("7", 7.0), ("0", 0.0), ("-1", 0.1), ("²", 0.1), ("9" * 400, 999999999.0), ("", 0.1)],
)
def test_retry_after_is_seconds(after: str, pause: float) -> None:
    assert pause_before_next(HttpReply(503, {"retry-after": after}), 1, repeatable=True) == pause


def test_retry_after_is_a_date() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    pause = pause_before_next(HttpReply(429, {"retry-after": then}), 1, repeatable=True)
    assert pause is not None
    assert 50 < pause <= 60


def test_the_deadline_is_of_all_attempts_together(http: Start, canned: Any, signature: Signature) -> None:
    hold = threading.Event()
    server = http(canned(503), canned(503), canned(body=READY, hold=hold))
    began = time.monotonic()
    with pytest.raises(EndpointError) as caught:
        _client(server.port, None, timeout=0.8)
    hold.set()
    assert caught.value.status == "DEADLINE_EXCEEDED"
    assert 0.7 < time.monotonic() - began < 3


@pytest.mark.parametrize("end", [b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;"])
def test_a_head_that_drips_does_not_outlast_the_deadline(signature: Signature, end: bytes) -> None:
    stop = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(end)
        while not stop.wait(0.02):
            connection.sendall(b"a")

    with _raw(drip) as (port, _), _client(port, signature, timeout=0.4) as client:
        began = time.monotonic()
        with pytest.raises(EndpointError, match="within"):
            client.predict(X)
        assert time.monotonic() - began < 2
        stop.set()


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_a_timeout_that_leaves_no_time(signature: Signature, timeout: float) -> None:
    with pytest.raises(UsageError, match="leaves no time"):
        _client(1, signature, timeout=timeout)
    with pytest.raises(UsageError, match="leaves no time"):
        management("tfserving+rest://127.0.0.1:1", timeout=timeout)


def test_errors_do_not_cost_the_connection(http: Start, canned: Any, signature: Signature) -> None:
    server = http(canned(500, b"{}"), canned(body=GOOD))
    with _client(server.port, signature) as client:
        with pytest.raises(EndpointError):
            client.predict(X)
        client.predict(X)
    assert len(server.connections) == 1


def test_a_grpc_channel_is_one_connection(rpc: Start, signature: Signature) -> None:
    server = rpc({PREDICT: grpc.StatusCode.NOT_FOUND})
    peers = set()
    with _client(server.port, signature, "grpc") as client:
        for _ in range(5):
            with pytest.raises(EndpointError):
                client.predict(X)
            peers.add(server.peers[-1])
    assert len(peers) == 1


def test_connections_are_kept_apart_for_threads_and_used_again(http: Start, canned: Any) -> None:
    hold = threading.Event()
    server = http(canned(body=GOOD, hold=hold))
    # By threads, whichever way the test is.
    with deploy_clients.management(f"tfserving+rest://127.0.0.1:{server.port}") as manager:
        threads = [threading.Thread(target=lambda: manager.live()) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(server.requests) < 4:
            time.sleep(0.005)
        hold.set()
        for thread in threads:
            thread.join()
        for _ in range(4):
            manager.live()
    assert len(server.connections) == 4


def test_management_is_awaited_as_often_at_a_time_as_one_likes(http: Start, canned: Any) -> None:
    hold = threading.Event()
    server = http(canned(hold=hold))

    async def ask() -> list[bool]:
        async with management_async(f"tfserving+rest://127.0.0.1:{server.port}") as manager:
            asked = asyncio.gather(*(manager.live() for _ in range(4)))
            while len(server.requests) < 4:
                await asyncio.sleep(0.005)
            hold.set()
            return [*await asked, *[await manager.live() for _ in range(4)]]

    assert asyncio.run(ask()) == [True] * 8
    assert len(server.connections) == 4
