"""The embedded server as a whole: batching, errors, both transports, draining."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from deploy_core.errors import UnavailableError
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_dialects.wire import Refused, Served
from deploy_servers.embedded.batching import MAX_ROWS, Batcher, Runnable, can_merge, merge, split
from deploy_servers.embedded.plane import ServedModels


def ask(port: int, rows: list[list[float]]) -> tuple[int, Any]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        client.request("POST", "/toy/toy", json.dumps({"x": rows}))
        reply = client.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        client.close()


def call(port: int, x: np.ndarray[Any, Any], method: str = "/toy.Toy/Predict") -> np.ndarray[Any, Any]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        return np.frombuffer(channel.unary_unary(method)(x.astype(np.float32).tobytes(), timeout=30), dtype=np.float32)


def wait_for(happened: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(2000):
        if happened():
            return
        tick.wait(0.01)
    raise AssertionError("it did not happen")


def test_200_concurrent_requests_are_batched_and_each_gets_its_own_rows(start: Any) -> None:
    with start() as running, ThreadPoolExecutor(201) as pool:
        first = pool.submit(ask, running.http, [[0, 0, 0]])
        assert running.toy.entered.wait(20)
        # While one run holds the model, 200 more arrive with 1, 2 or 3 rows each.
        sent = [[[k + 0.5, k % 7, r] for r in range(1 + k % 3)] for k in range(200)]
        answers = [pool.submit(ask, running.http, rows) for rows in sent]
        wait_for(lambda: sum(running.asked) == 400)
        running.toy.gate.set()
        assert first.result() == (200, {"y": [0.0]})
        for rows, answer in zip(sent, answers, strict=True):
            assert answer.result() == (200, {"y": [a + 10 * b + 100 * c for a, b, c in rows]})
    assert sum(running.toy.rows) == 400
    assert len(running.toy.rows) <= 4


def test_an_error_in_a_batch_hits_only_the_guilty_request(start: Any) -> None:
    with start() as running, ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask, running.http, [[0, 0, 0]])
        assert running.toy.entered.wait(20)
        answers = [pool.submit(ask, running.http, [[13 if k == 3 else 1, 0, k]]) for k in range(6)]
        wait_for(lambda: sum(running.asked) == 7)
        running.toy.gate.set()
        assert first.result()[0] == 200
        for k, answer in enumerate(answers):
            status, body = answer.result()
            assert (status, body) == ((200, {"y": [1 + 100.0 * k]}) if k != 3 else (500, body))
            assert "secret" not in str(body)


def test_a_wrong_input_is_refused_by_the_dialect_and_an_unknown_model_too(toy_server: Any) -> None:
    assert ask(toy_server.http, [[1, 2]])[0] == 400
    client = http.client.HTTPConnection("127.0.0.1", toy_server.http, timeout=30)
    client.request("POST", "/toy/absent", '{"x": [[1, 2, 3]]}')
    reply = client.getresponse()
    assert (reply.status, json.loads(reply.read())) == (404, {"toy": "model 'absent' is not served here"})
    client.close()


def test_nan_is_passed_on(toy_server: Any) -> None:
    status, body = ask(toy_server.http, [[float("nan"), 0, 0], [1, 0, 0]])
    assert status == 200
    assert np.isnan(body["y"][0])
    assert body["y"][1] == 1.0


def test_grpc_predicts_refuses_and_does_not_know(toy_server: Any) -> None:
    assert call(toy_server.grpc, np.array([[1, 2, 3], [0, 0, 1]])).tolist() == [321.0, 100.0]
    for method, x, code in [
        ("/toy.Toy/Broken", np.zeros(0), grpc.StatusCode.FAILED_PRECONDITION),
        ("/toy.Toy/Absent", np.zeros(0), grpc.StatusCode.UNIMPLEMENTED),
        ("/toy.Toy/Predict", np.zeros(2), grpc.StatusCode.INTERNAL),  # the toy's own bug
        ("/toy.Toy/Predict", np.full((1, 3), 13), grpc.StatusCode.INTERNAL),
        ("/toy.Toy/Predict", np.zeros((1 << 17, 3)), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ]:
        with pytest.raises(grpc.RpcError) as raised:
            call(toy_server.grpc, x, method)
        assert raised.value.code() == code
        assert "secret" not in raised.value.details()


def test_answers_beyond_grpcs_default_of_4_mib_are_sent(start: Any) -> None:
    from deploy_servers.embedded.parse import Limits

    with start(limits=Limits()) as running:
        running.toy.gate.set()
        rows = np.ones((1_500_000, 3))
        options = [("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{running.grpc}", options) as channel:
            reply = channel.unary_unary("/toy.Toy/Predict")(rows.astype(np.float32).tobytes(), timeout=30)
        assert len(reply) == 6_000_000


def test_draining_finishes_what_has_begun_and_takes_nobody_new(start: Any) -> None:
    with start() as running, ThreadPoolExecutor(2) as pool, running.connect() as idle:
        rest = pool.submit(ask, running.http, [[1, 2, 3]])
        assert running.toy.entered.wait(20)
        rpc = pool.submit(call, running.grpc, np.array([[3, 2, 1]]))
        wait_for(lambda: sum(running.asked) == 2)
        running.stop()
        assert idle.recv(10) == b""  # an idle connection is closed at once
        with pytest.raises(ConnectionRefusedError):
            running.connect()
        running.toy.gate.set()
        assert rest.result() == (200, {"y": [321.0]})
        assert rpc.result().tolist() == [123.0]
        assert running.drained()


def test_draining_is_bounded(start: Any) -> None:
    with start(grace=0.2) as running, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, running.http, [[1, 2, 3]])
        assert running.toy.entered.wait(20)
        running.stop()
        assert not running.drained()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            answer.result()


def test_a_request_that_is_never_finished_is_cut_and_owed_nothing(start: Any) -> None:
    with start(grace=0.3) as running, running.connect() as client:
        client.sendall(b"POST /toy/toy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf")
        assert ask(running.http, [[1, 2]])[0] == 400  # by now the half request has been read, too
        running.stop()
        assert client.recv(100) == b""
        assert running.drained()


@pytest.mark.parametrize("which", ["http_port", "grpc_port"])
def test_a_taken_port_is_an_error(start: Any, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=str(port)), start(**{which: port}):
            pass


@pytest.mark.parametrize("which", ["http", "grpc"])
def test_two_servers_never_share_a_port(start: Any, toy_server: Any, which: str) -> None:
    port = getattr(toy_server, which)
    with pytest.raises(UnavailableError, match=str(port)), start(**{f"{which}_port": port}):
        pass


def test_requests_are_merged_only_if_the_signature_says_that_rows_are_apart() -> None:
    def spec(*shape: int | str) -> tuple[TensorSpec, ...]:
        return (TensorSpec("t", "float32", shape),)

    assert can_merge(Signature(spec("batch", "tokens"), spec("batch", 2)))
    assert not can_merge(Signature(spec("rows", 3), spec("rows")))
    assert not can_merge(Signature(spec("batch", 3), spec(3)))
    assert not can_merge(Signature(spec("batch", 3), spec("batch", "batch")))
    assert not can_merge(Signature((), spec("batch")))
    assert not can_merge(Signature(spec(4, 3), spec(4)))  # a fixed batch


def test_split_gives_back_what_merge_took() -> None:
    rng = np.random.default_rng(0)
    many = [{"a": rng.normal(size=(n, 2)), "b": rng.integers(9, size=(n,))} for n in (1, 0, 3)]
    for one, again in zip(many, split(merge(many), [1, 0, 3]), strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], again[name])
    with pytest.raises(ValueError, match="do not have the 4 rows"):
        split({"a": np.zeros((3, 2))}, [1, 3])


class _Tokens:
    """Answers the length of the sequence for every row; refuses nothing, remembers the shapes it ran."""

    signature = Signature((TensorSpec("t", "int64", ("batch", "n")),), (TensorSpec("y", "int64", ("batch",)),))

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def predict(self, inputs: Tensors) -> Tensors:
        self.shapes.append(inputs["t"].shape)
        return {"y": np.full(len(inputs["t"]), inputs["t"].shape[1])}

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("most", "asked"),
    [(MAX_ROWS, [(3, 4), (1, 5), (201, 4), (100, 4)]), (2, [(1, 4), (2, 4), (1, 5), (1, 4), (200, 4), (100, 4)])],
)
def test_only_equal_shapes_are_merged_and_batches_are_bounded(most: int, asked: list[tuple[int, int]]) -> None:
    predictor = _Tokens()
    shapes = [(1, 4), (2, 4), (1, 5), (1, 4), (200, 4), (100, 4)]

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        batcher = Batcher({("m", 1): Runnable(predictor, most_rows=most)}, threads=1)
        answers = [loop.create_future() for _ in shapes]
        for shape, answer in zip(shapes, answers, strict=True):
            batcher.submit(("m", 1), {"t": np.zeros(shape, dtype=np.int64)}, answer.set_result)
        try:
            return await asyncio.wait_for(asyncio.gather(*answers), 20)
        finally:
            batcher.close()

    outputs = asyncio.run(main())
    assert [out["y"].tolist() for out in outputs] == [[n] * rows for rows, n in shapes]
    assert predictor.shapes == asked


class _Together(_Tokens):
    """Answers only when two of its predictions run at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier = threading.Barrier(2)

    def predict(self, inputs: Tensors) -> Tensors:
        self.barrier.wait(0.5)
        return super().predict(inputs)


@pytest.mark.parametrize(("parallel", "kind"), [(2, dict), (1, threading.BrokenBarrierError)])
def test_as_many_predictions_run_at_once_as_the_runtime_allows(parallel: int, kind: type) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        batcher = Batcher({("m", 1): Runnable(_Together(), parallel)}, threads=2)
        answers = [loop.create_future() for _ in range(2)]
        for length, answer in enumerate(answers):  # of different lengths, so that they are not one batch
            batcher.submit(("m", 1), {"t": np.zeros((1, length), dtype=np.int64)}, answer.set_result)
        try:
            return await asyncio.wait_for(asyncio.gather(*answers), 20)
        finally:
            batcher.close()

    assert [type(outcome) for outcome in asyncio.run(main())] == [kind, kind]


def test_a_slow_prediction_does_not_hold_up_other_requests(start: Any) -> None:
    with start() as running, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, running.http, [[1, 2, 3]])
        assert running.toy.entered.wait(20)
        assert b"200 OK" in running.ask(b"GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not slow.done()
        running.toy.gate.set()
        assert slow.result()[0] == 200


def test_the_plane_finds_versions_and_labels() -> None:
    signature = Signature((), ())
    models = ServedModels(Served("m", v, signature, "p", ("old",) if v == 2 else ()) for v in (10, 2, 9))
    assert models.find("m").version == 10
    assert models.find("m", "9").version == 9
    assert models.find("m", "009").version == 9
    assert models.find("m", label="old").version == 2
    assert [one.version for one in models.served()] == [2, 9, 10]
    for name, version, label in [
        ("n", None, None),
        ("m", "3", None),
        ("m", "²", None),
        ("m", "-2", None),
        ("m", "9" * 5000, None),
        ("m", None, "new"),
    ]:
        with pytest.raises(Refused) as raised:
            models.find(name, version, label=label)
        assert raised.value.code == "NOT_FOUND"
