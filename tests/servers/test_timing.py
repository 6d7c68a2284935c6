"""Where the time went, as the embedded server tells who asks."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from deploy_dialects.server_timing import ASKED, TOLD, read
from deploy_servers.embedded import timing

PARTS = ["decode", "queue", "batch", "compute", "encode"]
ASKING = {ASKED: "1"}


def by_rest(port: int, x: float, headers: Mapping[str, str] = ASKING) -> tuple[int, str, float]:
    """Give the status, what is told, and the seconds that it took the client."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.connect()
    begun = time.perf_counter()
    client.request("POST", "/toy/toy", json.dumps({"x": [[x, 0, 0]]}), dict(headers))
    reply = client.getresponse()
    reply.read()
    ended = time.perf_counter()
    client.close()
    return reply.status, reply.headers.get(TOLD, ""), ended - begun


def by_grpc(port: int, x: float, headers: Mapping[str, str] = ASKING) -> tuple[int, str, float]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        body = np.array([x, 0, 0], np.float32).tobytes()
        begun = time.perf_counter()
        call = channel.unary_unary("/toy.Toy/Predict").future(body, timeout=30, metadata=tuple(headers.items()))
        call.exception()
        ended = time.perf_counter()
        trailing: Any = dict(call.trailing_metadata())
        return call.code().value[0], trailing.get(TOLD, ""), ended - begun


def echo(port: int, path: str = "/echo") -> tuple[int, str | None]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", path, headers=ASKING)
    reply = client.getresponse()
    reply.read()
    client.close()
    return reply.status, reply.headers.get(TOLD)


def wait_for(happened: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(2000):
        if happened():
            return
        tick.wait(0.01)
    raise AssertionError("it did not happen")


TRANSPORTS = pytest.mark.parametrize(("ask", "port"), [(by_rest, "http"), (by_grpc, "grpc")])


@TRANSPORTS
def test_who_asks_is_told_parts_that_fit_into_the_time_it_took(toy_server: Any, ask: Any, port: str) -> None:
    _, text, seconds = ask(getattr(toy_server, port), 1.0)
    parts = read(text)
    assert list(parts) == PARTS
    assert 0 < sum(parts.values()) < seconds
    assert all(part >= 0 for part in parts.values())


@TRANSPORTS
def test_who_does_not_ask_is_told_nothing(toy_server: Any, ask: Any, port: str) -> None:
    code, text, _ = ask(getattr(toy_server, port), 1.0, {})
    assert (code, text) == (200 if ask is by_rest else 0, "")


@TRANSPORTS
def test_a_request_that_waits_for_another_one_waits_in_the_queue(start: Any, ask: Any, port: str) -> None:
    with start() as running, ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, getattr(running, port), 1.0)
        assert running.toy.entered.wait(20)
        second = pool.submit(ask, getattr(running, port), 2.0)
        wait_for(lambda: len(running.asked) == 2)
        begun = time.perf_counter()
        for _ in range(20):  # the loop answers others meanwhile
            echo(running.http)
        held_for = time.perf_counter() - begun
        running.toy.gate.set()
        held, waited = read(first.result()[1]), read(second.result()[1])
    assert held["compute"] >= held_for
    assert waited["queue"] >= held_for
    assert held["queue"] < held["compute"] > waited["compute"]


def test_all_that_run_together_are_told_the_same_run(start: Any) -> None:
    with start() as running, ThreadPoolExecutor(4) as pool:
        first = pool.submit(by_rest, running.http, 1.0)
        assert running.toy.entered.wait(20)
        others = [pool.submit(by_rest, running.http, x) for x in (2.0, 3.0, 4.0)]
        wait_for(lambda: len(running.asked) == 4)
        running.toy.gate.set()
        first.result()
        parts = [read(each.result()[1]) for each in others]
    assert running.toy.rows == [1, 3]
    assert [list(each) for each in parts] == [PARTS] * 3
    assert len({each["compute"] for each in parts}) == 1


def test_a_run_that_fails_for_one_is_told_to_the_others_with_the_second_try(start: Any) -> None:
    with start() as running, ThreadPoolExecutor(3) as pool:
        first = pool.submit(by_rest, running.http, 1.0)
        assert running.toy.entered.wait(20)
        good, bad = pool.submit(by_rest, running.http, 2.0), pool.submit(by_rest, running.http, 13.0)
        wait_for(lambda: len(running.asked) == 3)
        running.toy.gate.set()
        answers = [each.result() for each in (first, good, bad)]
    assert running.toy.rows == [1, 2, 1, 1]
    assert [status for status, _, _ in answers] == [200, 200, 500]
    for _, text, seconds in answers[:2]:
        assert 0 < sum(read(text).values()) < seconds


def test_what_is_answered_without_a_prediction_has_no_parts(toy_server: Any) -> None:
    for path, status in (("/echo", 200), ("/nothing", 404), ("/broken", 500)):
        assert echo(toy_server.http, path) == (status, None)


def test_the_parts_leave_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0])
    monkeypatch.setattr(timing, "perf_counter", lambda: next(moments))
    asked = timing.Timing()
    asked.decoded()
    run = timing.timed(lambda inputs: inputs, [asked])
    run({})
    run({})  # alone, because the whole batch failed: from the first begin to the last end it computes
    asked.returned()
    assert read(asked.text()) == {"decode": 1, "queue": 2, "batch": 4 + 64, "compute": 8 + 16 + 32, "encode": 128}
