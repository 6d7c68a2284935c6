"""What a swap does to a running server, in which order, and what is undone."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy_core import state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UnavailableError
from deploy_servers.furnishing import put_files, put_links, take_away
from deploy_servers.launch import Launch, Running, running
from deploy_servers.swap import Call, Swap
from deploy_servers.swapping import apply


class Management:
    """An HTTP server that notes what it is asked, and what lies in the run's folder then; it refuses what it is told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.tokens: list[str | None] = []
        self.seen: list[list[str]] = []
        self.refuses = ""

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805
                self.asked.append(f"{handler.command} {handler.path}")
                self.tokens.append(handler.headers.get("authorization"))
                self.seen.append(listed(self.folder))
                handler.send_response(409 if self.refuses and self.refuses in handler.path else 200)
                handler.end_headers()
                handler.wfile.write(b"so it is")

            do_DELETE = do_POST  # noqa: N815

            def log_message(self, *told: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"


def listed(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deploy-toy-0a1b2c3d"


@pytest.fixture
def management(folder: Path) -> Iterator[Management]:
    management = Management(folder)
    management.thread.start()
    yield management
    management.server.shutdown()
    management.thread.join()
    management.server.server_close()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    (tmp_path / "stored" / "deep").mkdir(parents=True)
    for name in ("old", "new", "deep/inner"):
        (tmp_path / "stored" / name).write_text(name)
    return tmp_path / "stored"


@pytest.fixture
def server(folder: Path, stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Running]:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "state"))
    program = "import time; time.sleep(60)"
    launch = Launch(
        "toy", "m@1", (sys.executable, "-c", program), folder, "127.0.0.1", (), (),
        files={"config": "before", "key.json": json.dumps({"management": {"key": "secret"}})},
        links={"model": stored / "old", "1": stored / "deep"},
    )  # fmt: skip
    with running(launch, accept=lambda client: None, timeout=20) as server:
        yield server


def swap(server: Running, stored: Path, management: Management, *endpoints: Endpoint) -> Swap:
    key = ("key.json", "management", "key")
    return Swap(
        Launch("toy", "m@2", server.launch.command, server.launch.folder, "127.0.0.1", endpoints, ()),
        endpoints,
        links={"model": stored / "new", "2": stored / "deep"},
        files={"config": "both"},
        load=(Call("POST", management.url("/load?m=2"), key=key),),
        files_after={"config": "after"},
        unload=(Call("DELETE", management.url("/unload"), headers={"authorization": "other"}),),
        unlinks=("1",),
        files_before={"config": "before"},
        undo=(Call("POST", management.url("/undo")),),
    )


def apply_now(swap: Swap, server: Running, told: list[str] | None = None) -> None:
    events = [] if told is None else told
    apply(swap, server, lambda client: None, timeout=0.5, on_event=events.append)


def test_the_new_is_there_before_it_is_loaded_and_the_old_until_it_is_unloaded(
    server: Running, stored: Path, management: Management
) -> None:
    folder = server.launch.folder
    apply_now(swap(server, stored, management), server)
    assert management.asked == ["POST /load?m=2", "DELETE /unload"]
    assert management.tokens == ["Bearer secret", "other"]
    assert management.seen == [["1/inner", "2/inner", "config", "key.json", "model"]] * 2
    assert listed(folder) == ["2/inner", "config", "key.json", "model"]
    assert ((folder / "model").read_text(), (folder / "config").read_text()) == ("new", "after")
    assert server.launch.name == "m@2"
    (record,) = state.records().glob("*.json")
    assert json.loads(record.read_text())["facts"]["name"] == "m@2"


def test_what_is_refused_is_undone(server: Running, stored: Path, management: Management) -> None:
    folder = server.launch.folder
    management.refuses = "/load"
    with pytest.raises(UnavailableError, match=r"POST .*/load\?m=2 was refused with status 409: so it is"):
        apply_now(swap(server, stored, management), server)
    assert management.asked == ["POST /load?m=2", "POST /undo"]
    assert listed(folder) == ["1/inner", "config", "key.json", "model"]
    assert ((folder / "model").read_text(), (folder / "config").read_text()) == ("old", "before")
    assert server.launch.name == "m@1"


def test_an_endpoint_that_never_answers_is_undone_and_a_failing_undo_is_told(
    server: Running, stored: Path, management: Management
) -> None:
    management.refuses = "/undo"
    endpoint = Endpoint("oip", "rest", "127.0.0.1", management.server.server_port, "m")
    with pytest.raises(UnavailableError, match="took too long") as raised:
        apply_now(swap(server, stored, management, endpoint), server)
    assert any("undoing it failed, too" in note for note in raised.value.__notes__)
    assert (server.launch.folder / "config").read_text() == "before"


def test_a_version_becomes_the_usual_one_only_after_its_trial(
    server: Running, stored: Path, management: Management
) -> None:
    promoting = replace(swap(server, stored, management), promote=(Call("POST", management.url("/promote")),))
    never = Endpoint("oip", "rest", "127.0.0.1", management.server.server_port, "m", "2")
    with pytest.raises(UnavailableError, match="took too long"):
        apply_now(replace(promoting, trial=(never,)), server)
    assert "POST /promote" not in management.asked
    assert management.asked[-1] == "POST /undo"
    management.asked.clear()
    apply_now(promoting, server)
    assert management.asked == ["POST /load?m=2", "POST /promote", "DELETE /unload"]


def test_a_server_that_died_is_not_asked_to_undo(server: Running, stored: Path, management: Management) -> None:
    server.process.stop(0)
    management.refuses = "/load"
    with pytest.raises(UnavailableError):
        apply_now(swap(server, stored, management), server)
    assert management.asked == ["POST /load?m=2"]


def test_an_old_version_that_cannot_be_unloaded_is_told_and_the_new_one_stays(
    server: Running, stored: Path, management: Management
) -> None:
    management.refuses = "/unload"
    told: list[str] = []
    apply_now(swap(server, stored, management), server, told)
    assert "could not be unloaded" in told[-1]
    assert server.launch.name == "m@2"
    assert (server.launch.folder / "1").exists()


def test_a_missing_key_is_told(server: Running, stored: Path, management: Management) -> None:
    (server.launch.folder / "key.json").unlink()
    with pytest.raises(UnavailableError, match=r"key cannot be read from .*key\.json"):
        apply_now(swap(server, stored, management), server)


def test_nothing_half_done_is_ever_seen(tmp_path: Path, stored: Path) -> None:
    put_files(tmp_path / "run", {"a/b": "text", "c": b"\x00"})
    assert put_links(tmp_path / "run", {"x/y": stored / "deep", "c": stored / "new"}) == ("x/y",)
    assert listed(tmp_path / "run") == ["a/b", "c", "x/y/inner"]
    assert (tmp_path / "run" / "c").read_text() == "new"
    assert (tmp_path / "run" / "c").stat().st_ino == (stored / "new").stat().st_ino
    assert put_links(tmp_path / "run", {"x/y": stored / "deep", "c": stored / "new"}) == ()
    take_away(tmp_path / "run", ["x/y", "c", "absent"])
    assert listed(tmp_path / "run") == ["a/b"]
    assert (stored / "deep" / "inner").exists()
