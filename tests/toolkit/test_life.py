"""`deploy serve` as its user has it: detached, listed, read, restarted, stopped; nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import numpy as np
import pytest
from command_line import run_deploy
from processes import wait_until_gone
from server_store import fill_store

from deploy_clients import connect
from deploy_core import state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UnavailableError, UsageError
from deploy_servers.restarts import Restarts
from deploy_toolkit.flows import detached, life, upkeep

X = {"x": np.array([[1, 2, 3]], np.float32)}


@pytest.fixture(scope="module")
def store(shared: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    return shared("servers-store", fill_store)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "state"))
    yield
    assert not list(state.records().glob("*")), "a record is left"


def folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("deploy-*"))


class Foreground:
    """`deploy serve` as a process; what it says is read line by line."""

    def __init__(self, store: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "deploy_toolkit.cli", "serve", *arguments, "--store", str(store), "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        lines = []
        while (line := self.process.stdout.readline()) and line != "}\n":
            lines.append(line)
        return dict(json.loads("".join([*lines, line])))

    def until_told(self, text: str) -> str:
        """Read what it tells people until a line with this text."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}")

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


def deploy(*arguments: str, tmp_path: Path, code: int = 0) -> Any:
    done = run_deploy(*arguments, "--json", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert "Exception ignored" not in done.stderr
    if code:
        return done.stderr
    document = json.loads(done.stdout)
    name = document["schema"].split("/")[1]
    schema = json.loads((files("deploy_toolkit.reports") / "schemas" / f"{name}-1.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def test_a_detached_server_is_listed_read_and_stopped(store: Path, tmp_path: Path) -> None:
    served = deploy("serve", "linear@1", "--detach", "--store", str(store), tmp_path=tmp_path)
    (run,) = deploy("ps", tmp_path=tmp_path)["runs"]
    assert (run["state"], run["server"], run["name"], run["ready"]) == ("running", "embedded", "linear@1", True)
    assert (run["id"], run["pid"], run["endpoints"]) == (served["run"], served["pid"], served["endpoints"])
    assert run["memory_bytes"] > 1 << 20
    for url in served["endpoints"]:
        with connect(Endpoint.parse(url)) as client:
            assert client.predict(X)["y"].tolist() == [[321.0]]
    logged = deploy("logs", run["id"][:4], "--lines", "1000", tmp_path=tmp_path)["lines"]
    assert any("ready: REST on" in line for line in logged)
    assert any("embedded with linear@1 is ready" in line for line in logged)
    assert "Ctrl-C" not in "".join(logged), "it is nobody's in the foreground"
    assert deploy("logs", "linear", "--lines", "1", tmp_path=tmp_path)["lines"] == logged[-1:]
    assert "no run 'absent'" in deploy("stop", "absent", tmp_path=tmp_path, code=2)
    assert deploy("stop", "linear", tmp_path=tmp_path)["runs"] == [run["id"]]
    assert state.start_time(run["pid"]) is None
    assert not Path(run["folder"]).exists()
    assert deploy("ps", tmp_path=tmp_path)["runs"] == []
    assert not list(state.logs().iterdir())
    assert deploy("stop", "--all", tmp_path=tmp_path)["ended"] == []


def test_one_that_fails_says_why_and_goes(store: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = deploy(
            "serve", "linear", "--detach", "--http-port", port, "--store", str(store), tmp_path=tmp_path, code=6
        )
    assert f"port {port} of 127.0.0.1 cannot be listened on" in said
    assert "ss -ltnp" in said
    assert "no model 'absent'" in deploy(
        "serve", "absent", "--detach", "--store", str(store), tmp_path=tmp_path, code=2
    )
    assert not list(state.logs().iterdir()), "what there is to read has been shown"


def test_a_log_stays_if_an_error_points_to_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for error in (UnavailableError("it died", hint=f"its log is {log}"), RuntimeError("not ours")):
        log.touch()
        detached._drop(log, error)
        assert log.exists()
    detached._drop(log, UnavailableError("port 80 is taken", hint="take another"))
    assert not log.exists()


def test_old_logs_go_with_the_orphans() -> None:
    logs = {name: state.logs() / f"{name}.log" for name in ("old", "young", "named")}
    for log in logs.values():
        log.touch()
        os.utime(log, (0, 0) if log != logs["young"] else None)
    record = state.write_record("toy", ("toy",), logs["named"], {"server": "toy", "name": "m@1"})
    damaged = state.records() / "damaged.json"
    damaged.touch()
    assert life.stop((), orphans=True).ended == ()
    damaged.unlink()
    assert life.stop((), orphans=True).ended == ("1 log older than a day",)
    assert {log.name for log in state.logs().iterdir()} == {"young.log", "named.log"}
    record.unlink()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_start_that_is_not_waited_for_is_undone(store: Path, number: signal.Signals) -> None:
    before = folders()  # those of other tests' servers and workers
    starter = Foreground(store, "linear", "--detach")
    starter.until_told("starting embedded")
    code, _ = starter.end(number)
    assert code == (130 if number == signal.SIGINT else -9)
    end = time.monotonic() + 20
    while list(state.records().glob("*")) or folders() - before:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_server_that_dies_is_started_again_where_it_was(store: Path, tmp_path: Path) -> None:
    serving = Foreground(store, "linear@1")
    served = serving.ready()
    os.kill(served["pid"], signal.SIGKILL)
    assert "started again in 1 s" in serving.until_told("was killed by SIGKILL while serving")
    serving.until_told("is ready")
    (run,) = life.listing().runs
    assert (run.id, run.state, list(run.endpoints)) == (served["run"], "running", served["endpoints"])
    assert run.leader is not None
    assert run.leader.pid != served["pid"]
    with connect(Endpoint.parse(served["endpoints"][1])) as client:
        assert client.predict(X)["y"].tolist() == [[321.0]]
    # A kill of ourselves, and what that leaves.
    assert serving.end(signal.SIGKILL)[0] == -9
    assert wait_until_gone(run.leader.pid, 10)
    (left,) = deploy("ps", tmp_path=tmp_path)["runs"]
    assert (left["state"], left["processes"]) == ("left over", [])
    assert f"folder {left['folder']}" in deploy("stop", "--orphans", tmp_path=tmp_path)["ended"]
    assert not Path(left["folder"]).exists()


def test_a_server_goes_on_and_ends_well_when_nobody_reads_what_it_says(store: Path) -> None:
    serving = Foreground(store, "linear@1")
    first = serving.ready()["pid"]
    for pipe in (serving.process.stdout, serving.process.stderr):
        assert pipe is not None
        pipe.close()
    os.kill(first, signal.SIGKILL)  # that is told, or would be
    end = time.monotonic() + 60
    while not any(run.ready and run.leader and run.leader.pid != first for run in life.listing().runs):
        assert serving.process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    serving.process.send_signal(signal.SIGTERM)
    assert serving.process.wait(60) == 0


def test_an_error_that_nobody_reads_keeps_its_exit_code(store: Path) -> None:
    failing = Foreground(store, "absent")
    assert failing.process.stderr is not None
    failing.process.stderr.close()
    failing.process.communicate(timeout=60)
    assert failing.process.returncode == 2


def test_without_restart_a_death_is_the_end(store: Path) -> None:
    serving = Foreground(store, "linear", "--no-restart")
    served = serving.ready()
    os.kill(served["pid"], signal.SIGKILL)
    _, said = serving.process.communicate(timeout=60)
    assert serving.process.returncode == 6
    assert "was killed by SIGKILL while serving" in said
    assert Path(served["log"]).exists()


def test_restarts_wait_longer_each_time_and_have_an_end() -> None:
    now = [0.0]
    restarts = Restarts(lambda: now[0])
    assert [restarts.pause() for _ in range(6)] == [1, 2, 4, 8, 16, None]
    now[0] = 600
    assert restarts.pause() == 1


def test_a_server_that_keeps_dying_is_given_up_with_its_last_error(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(upkeep.time, "sleep", slept.append)
    noted: list[Any] = []

    def die(*arguments: Any) -> None:
        raise UnavailableError(f"death {len(slept)}")

    process = SimpleNamespace(wait=lambda timeout: 1)
    dying: Any = SimpleNamespace(
        process=process, require_alive=die, revive=die, note=lambda **facts: noted.append(facts)
    )
    told: list[str] = []
    with pytest.raises(UnavailableError, match="death 5") as raised:
        upkeep.wait(dying, on_event=told.append)
    assert raised.value.exit_code == 6
    assert "5 times within 10 minutes" in raised.value.__notes__[-1]
    assert slept == [1, 2, 4, 8, 16]
    assert told[0] == "death 0; it is started again in 1 s"
    assert {"ready": False} in noted


def test_logs_are_followed_to_the_end_of_the_run(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthree\n")
    record = state.write_record("toy", ("toy",), log, {"server": "toy", "name": "m@1"})
    lines = life.lines_of(log, last=2, follow=True)
    assert [next(lines), next(lines)] == ["two", "three"]
    with log.open("a") as file:
        file.write("four\nfi")
    assert next(lines) == "four"
    with log.open("a") as file:
        file.write("ve\n")
    record.unlink()
    assert list(lines) == ["five"]


def test_a_kept_log_is_found_after_its_run(tmp_path: Path) -> None:
    kept = state.logs() / "deploy-toy-0a1b2c3d.log"
    kept.touch()
    assert life.log_of("0a1b") == kept
    with pytest.raises(UsageError, match="no run 'ff'"):
        life.log_of("ff")
    with pytest.raises(UsageError, match="no servers run"):
        life.log_of(None)
    kept.unlink()


def test_what_is_meant_must_be_said() -> None:
    records = [
        state.write_record(
            "toy", ("toy",), Path("/log"), {"server": "toy", "name": name, "folder": f"/x/deploy-{name}"}
        )
        for name in ("m", "n")
    ]
    with pytest.raises(UsageError, match="2 servers run"):
        life.stop(())
    with pytest.raises(UsageError, match="given together"):
        life.stop(("m",), orphans=True)
    assert life.stop((), orphans=True).runs == ()
    for record in records:
        record.unlink()
    assert life.stop(()).runs == ()
