"""`deploy serve --follow`: what the store says is what is served, and no request fails while that changes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import server_store
from server_store import STORED, WEIGHTS

from deploy_clients import connect
from deploy_core import state
from deploy_core.artifact import Artifact
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UsageError
from deploy_model_store import Golden, Record, Store
from deploy_servers.launch import Running
from deploy_toolkit.flows import serve
from deploy_toolkit.flows.following import Follower

X = {"x": np.array([[1, 2, 3]], np.float32)}


def publish(store: Store, factor: float, *, wrong: float = 0.0, damaged: bool = False) -> None:
    """A version that answers 321 · factor; `wrong` is how far its golden outputs are off, `damaged` is no ONNX file."""
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    golden = Golden({"x": x}, {"y": (x @ WEIGHTS * np.float32(factor) + np.float32(wrong))[:, None]})
    with store.staging("net") as staged:
        path = staged / "onnx" / "net.onnx"
        server_store._write_onnx(path, WEIGHTS * np.float32(factor))
        if damaged:
            path.write_bytes(b"no model")
        store.publish(staged, "net", Record("a training", STORED, {}, (Artifact("onnx", path, STORED),)), golden)


class Following:
    """A server that follows a store of its own, looked at when the test says so."""

    def __init__(self, running: Running, follower: Follower, store: Store, told: list[str]) -> None:
        self.running = running
        self.store = store
        self.told = told
        self._follower = follower

    def look(self) -> str:
        """Have the follower look; give what it said."""
        self.told.clear()
        self._follower._next = 0
        self._follower.look(self.running)
        return "\n".join(self.told)

    def endpoint(self, transport: str, version: str | None = None) -> Endpoint:
        found = next(one for one in self.running.endpoints if one.transport == transport)
        return replace(found, version=version)

    def unversioned(self) -> list[Endpoint]:
        """What a client asks who names no number: the model as such, and the label."""
        return [self.endpoint(transport, version) for transport in ("rest", "grpc") for version in (None, "stable")]

    def gone(self, version: str) -> bool:
        """Wait until a version is not served any more."""
        for _ in range(200):
            try:
                self.answer(version=version)
            except EndpointError:
                return True
        return False

    def answer(self, transport: str = "rest", version: str | None = None) -> float:
        with closing(connect(self.endpoint(transport, version))) as client:
            return float(client.predict(X)["y"][0, 0])


@pytest.fixture
def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "state"))
    store = Store(tmp_path / "models")
    publish(store, 1)
    store.set_alias("net", "stable", 1)
    told: list[str] = []
    prepared = serve.prepared(serve.Request(("net@stable",)), store=store.root)
    follower = Follower(prepared, store=store.root, on_event=told.append)
    with serve.started(prepared) as running:
        yield Following(running, follower, store, told)
    assert not list(state.records().glob("*"))


class Asking:
    """A client that asks again and again, as long as it is inside; every answer is kept."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.answers: list[float] = []
        self.failed: list[Exception] = []
        self._endpoint = endpoint
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with closing(connect(self._endpoint)) as client:
            while not self._stop.is_set():
                try:
                    self.answers.append(float(client.predict(X)["y"][0, 0]))
                except Exception as error:
                    self.failed.append(error)

    def __enter__(self) -> Asking:
        self._thread.start()
        while not self.answers and not self.failed:
            self._stop.wait(0.01)
        return self

    def __exit__(self, *told: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def changes(self) -> list[float]:
        """What it was answered, one after the other, without repetitions."""
        return [new for old, new in pairwise([0.0, *self.answers]) if old != new]

    def until(self, answer: float) -> None:
        """Wait until it has been answered so."""
        for _ in range(1000):
            if self.answers[-1] == answer:
                return
            self._stop.wait(0.02)
        raise AssertionError(f"the answer is {self.answers[-1]} for ever")


def test_no_request_fails_while_the_alias_moves(following: Following) -> None:
    store = following.store
    publish(store, 2)
    assert following.look() == ""  # a version that the alias does not mean
    with ExitStack() as stack:
        asking = [stack.enter_context(Asking(endpoint)) for endpoint in following.unversioned()]
        store.set_alias("net", "stable", 2)
        assert "net@2 is served" in following.look()
        for one in asking:
            one.until(642)
        # Back again: the newest version in the store is not what is asked for.
        store.set_alias("net", "stable", 1)
        assert "net@1 is served" in following.look()
        for one in asking:
            one.until(321)
    assert [one.failed for one in asking] == [[]] * 4
    assert [one.changes for one in asking] == [[321, 642, 321]] * 4
    assert {one.version for one in following.running.endpoints} == {"1"}
    with pytest.raises(EndpointError):
        following.answer(version="2")
    (record,) = state.records().glob("*.json")
    assert json.loads(record.read_text())["facts"]["name"] == "net@1"


@pytest.mark.parametrize(
    ("kind", "why"), [({"wrong": 0.5}, "answers wrong at"), ({"damaged": True}, "could not load net@2")]
)
def test_a_version_that_does_not_answer_right_is_refused_unseen(
    following: Following, kind: dict[str, Any], why: str
) -> None:
    publish(following.store, 2, **kind)
    with ExitStack() as stack:
        asking = [stack.enter_context(Asking(endpoint)) for endpoint in following.unversioned()]
        following.store.set_alias("net", "stable", 2)
        said = following.look()
        assert "net@2 is refused, net@1 goes on" in said
        assert why in said
        assert following.look() == ""  # told once
        assert following.gone("2")
    assert [one.failed for one in asking] == [[]] * 4
    assert [one.changes for one in asking] == [[321]] * 4
    following.store.set_alias("net", "stable", 1)
    assert following.look() == ""


def test_a_restart_after_a_swap_serves_what_was_swapped_in(following: Following) -> None:
    publish(following.store, 2)
    following.store.set_alias("net", "stable", 2)
    following.look()
    following.running.process.stop(0)
    following.running.revive(60)
    assert following.answer() == following.answer(version="stable") == 642


def test_a_store_that_cannot_be_read_is_told_once_and_followed_again(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise UsageError("no such thing")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "locate", fail)
        assert following.look() == "the store cannot be followed: no such thing"
        assert following.look() == ""
    publish(following.store, 2)
    following.store.set_alias("net", "stable", 2)
    assert "net@2 is served" in following.look()


def test_a_server_that_takes_no_other_models_says_so_before_it_starts(
    shared: Callable[[str, Callable[[Path], None]], Path],
) -> None:
    store = shared("servers-store", server_store.fill_store)
    prepared = serve.prepared(serve.Request(("archived",), "torchserve"), store=store)
    with pytest.raises(UsageError, match="takes no other models while it runs"):
        Follower(prepared, store=store, on_event=print)
