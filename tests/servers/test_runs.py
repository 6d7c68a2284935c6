"""Runs as the state folder tells of them, and how they are ended, whoever began them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import wait_until_gone

from deploy_core import child, state
from deploy_core.errors import UnavailableError, UsageError
from deploy_core.process import Process, group_of
from deploy_servers.ending import end, remains, sweep
from deploy_servers.launch import Launch, running
from deploy_servers.runs import LEFT_OVER, RUNNING, STARTING, STOPPING, Run, find, read, servers

SLEEPS = "import time; time.sleep(60)"
# A server that has a process of its own, which does not care for SIGTERM.
SPAWNS = (
    "import signal, subprocess, sys, time\n"
    "deaf = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)'\n"
    "inner = subprocess.Popen([sys.executable, '-c', deaf], stdout=subprocess.PIPE)\n"
    "inner.stdout.readline()\n"
    "print(inner.pid, flush=True)\n"
    "time.sleep(60)\n"
)
PARENT = (
    "import signal, sys, time\n"
    "from pathlib import Path\n"
    "signal.signal(signal.SIGTERM, lambda *told: sys.exit(3))\n"
    "from deploy_servers.launch import Launch, running\n"
    "folder, program, command = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == 'command'\n"
    "launch = Launch('toy', 'm@1', (sys.executable, '-c', program), folder, '127.0.0.1', (), (), files={'a': 'b'})\n"
    "with running(launch, accept=None, timeout=20, facts={'is_command': command}) as server:\n"
    "    print(server.process.pid, flush=True)\n"
    "    while not server.process.log_tail() and 'print' in program: time.sleep(0.02)\n"
    "    print(server.process.log_tail(), flush=True)\n"
    "    time.sleep(60)\n"
)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "state"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deploy-toy-0a1b2c3d"


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a group of its own and that nobody may end."""
    process = subprocess.Popen([sys.executable, "-c", SLEEPS], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def launch(folder: Path, program: str = SLEEPS) -> Launch:
    return Launch("toy", "m@1, n@2", (sys.executable, "-c", program), folder, "127.0.0.1", (), ())


def only() -> Run:
    (run,), damaged = read()
    assert not damaged
    return run


def identity(pid: int) -> Process:
    start = state.start_time(pid)
    assert start is not None
    return Process(pid, start)


def record(**changes: Any) -> Path:
    """A record as a run writes it, changed; its owner is this process."""
    path = state.write_record("toy with m@1", ("toy",), Path("/log"), {"server": "toy", "name": "m@1"})
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def begun(folder: Path, program: str, kind: str = "command") -> tuple[subprocess.Popen[str], int, str]:
    """A process of its own that serves: it, its server's pid, and what that has printed."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), program, kind], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pid, said = int(parent.stdout.readline()), parent.stdout.readline().strip()
    return parent, pid, said


def test_a_run_is_told_while_it_runs_and_not_afterwards(folder: Path) -> None:
    with running(launch(folder), accept=lambda client: None, timeout=20) as server:
        run = only()
        assert (run.id, run.server, run.name, run.state) == ("0a1b2c3d", "toy", "m@1, n@2", RUNNING)
        assert run.leader == identity(server.process.pid)
        assert run.leader in run.processes
        assert (run.memory or 0) > 1 << 20
        assert 0 <= run.age < 60
        assert run.log == server.process.log
        assert f"folder {folder}" in remains(run)
        server.note(ready=False)
        assert only().state == STARTING
        server.note(stopping=True)
        assert only().state == STOPPING
    assert read() == ((), ())
    assert not remains(run)


def test_what_a_killed_owner_leaves_is_told_and_ended(folder: Path) -> None:
    parent, pid, grandchild = begun(folder, SPAWNS)
    parent.kill()
    parent.communicate()
    assert wait_until_gone(pid, 10)
    assert wait_until_gone(int(grandchild), 10), "PDEATHSIG does not reach it, the guard must"
    run = only()
    assert (run.state, remains(run)) == (LEFT_OVER, (f"folder {folder}",))
    assert servers() == (run,)
    assert sweep() == ()
    assert f"folder {folder}" in end(run)
    assert not folder.exists()
    assert read() == ((), ())


def test_a_group_goes_with_a_leader_that_is_killed(folder: Path) -> None:
    with running(launch(folder, SPAWNS), accept=lambda client: None, timeout=20) as server:
        while not server.process.log_tail():
            time.sleep(0.02)
        grandchild = int(server.process.log_tail())
        os.kill(server.process.pid, signal.SIGKILL)
        # Nobody has looked at the server yet: it is the guard that ends its group.
        assert wait_until_gone(grandchild, 10)


def test_members_of_a_dead_leaders_group_are_found_and_ended(tmp_path: Path) -> None:
    started = child.start("toy", [sys.executable, "-c", SPAWNS], log=tmp_path / "log", facts={"server": "toy"})
    while not started.log_tail():
        time.sleep(0.02)
    grandchild = identity(int(started.log_tail()))
    leader = identity(started.pid)
    assert set(group_of(leader)) == {leader, grandchild}
    os.kill(started.pid, signal.SIGKILL)
    os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT)  # dead, and not looked at: a zombie
    assert group_of(leader) == (grandchild,)
    data = json.loads(only().record.read_text())
    only().record.write_text(json.dumps({**data, "parent": {"pid": os.getpid(), "start": 1}}))
    assert f"process {grandchild.pid}" in end(only())
    assert not grandchild.is_alive
    started.stop()


def test_a_process_that_has_the_id_of_an_old_one_is_never_touched(
    stranger: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    other = identity(stranger.pid)
    old = {"pid": other.pid, "start": other.start - 1}
    record(parent=old, child=old)
    run = only()
    assert (run.state, run.processes, run.memory) == (LEFT_OVER, (), None)
    assert not Process(**old).signal(signal.SIGTERM)
    end(run)
    assert other.is_alive
    assert read() == ((), ())


def test_a_process_of_another_start_of_the_machine_is_never_touched(stranger: subprocess.Popen[bytes]) -> None:
    now = {"pid": stranger.pid, "start": identity(stranger.pid).start}
    record(parent=now, child=now, boot="another")
    run = only()
    assert (run.state, run.processes) == (LEFT_OVER, ())
    end(run)
    assert identity(stranger.pid).is_alive


def test_ids_alone_end_nothing_and_the_right_ones_do(stranger: subprocess.Popen[bytes]) -> None:
    now = {"pid": stranger.pid, "start": identity(stranger.pid).start}
    record(parent={"pid": os.getpid(), "start": 1}, child=now)
    assert f"process {stranger.pid}" in end(only())
    assert stranger.wait(10) == -signal.SIGKILL


def test_a_command_is_asked_to_end_and_ends_all_itself(folder: Path) -> None:
    parent, pid, _ = begun(folder, SLEEPS)
    (ended, *more) = end(only())
    assert (ended, more) == ("running toy 0a1b2c3d", [])
    assert parent.wait(10) == 3
    parent.communicate()
    assert wait_until_gone(pid, 10)
    assert not folder.exists()


def test_the_owner_of_a_run_is_not_ended_if_it_is_somebodys_own_program(folder: Path) -> None:
    with running(launch(folder), accept=lambda client: None, timeout=20) as server:
        end(only())  # the owner is this very process
        assert server.process.wait(10) == -signal.SIGTERM
        assert folder.exists()
    assert not folder.exists()
    assert read() == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "\x00\x01",
        '{"what": 1}',
        '{"facts": [], "command": [], "parent": {}, "child": null, "created": 1}',
        '{"facts": {}, "command": [], "parent": {"pid": -1, "start": 5}, "child": null, "created": 1}',
        '{"facts": {}, "command": [], "parent": {"pid": "1", "start": 5}, "child": null, "created": 1}',
        '{"facts": {"folder": 7}, "command": [], "parent": null, "child": null, "created": 1}',
        '{"facts": {}, "command": [], "parent": null, "child": null, "created": "yesterday"}',
    ],
)
def test_a_damaged_record_is_told_and_left_alone(text: str) -> None:
    state.records().mkdir(parents=True)
    path = state.records() / "strange.json"
    path.write_text(text)
    runs, (damaged,) = read()
    assert runs == ()
    assert damaged.path == path
    assert damaged.why
    sweep()
    assert path.exists()


def test_what_is_not_even_a_file_is_told(tmp_path: Path) -> None:
    (state.records() / "folder").mkdir(parents=True)
    (state.records() / "binary.json").write_bytes(b"\xff\xfe\x00")
    record()
    runs, damaged = read()
    assert len(runs) == 1
    assert {one.path.name for one in damaged} == {"folder", "binary.json"}


@pytest.mark.parametrize("name", ["precious", "deploy-link"])
def test_a_folder_is_removed_only_if_it_is_one_of_ours(tmp_path: Path, name: str) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "file").touch()
    if name != "precious":
        (tmp_path / name).symlink_to(target)
    record(parent={"pid": os.getpid(), "start": 1}, facts={"server": "toy", "folder": str(tmp_path / name)})
    end(only())
    assert (target / "file").exists()


def test_records_whose_everything_is_gone_are_swept(folder: Path) -> None:
    gone = record(parent={"pid": os.getpid(), "start": 1})
    kept = record()
    draft = state.records() / "x.tmp"
    draft.touch()
    os.utime(draft, (0, 0))
    assert [run.record for run in sweep()] == [gone]
    assert list(state.records().iterdir()) == [kept]


def test_runs_are_found_by_id_by_its_beginning_and_by_model() -> None:
    for name, run in (("m@1, n@3", "aa11"), ("m@2", "ab22"), ("cc", "cc33")):
        record(facts={"server": "toy", "name": name, "folder": f"/tmp/deploy-toy-{run}"})
    known = servers()

    def found(text: str) -> list[str]:
        return [run.id for run in find(text, known)]

    assert found("aa11") == found("aa") == found("n") == found("n@3") == ["aa11"]
    assert found("m") == ["aa11", "ab22"]
    assert found("m@2") == ["ab22"]
    assert found("cc") == ["cc33"]
    for text in ("a", "absent", "", "m@7"):
        with pytest.raises(UsageError) as raised:
            find(text, known)
        assert "ab22" in raised.value.hint


def engine(tmp_path: Path, container: str) -> Path:
    """A program that stands for a container engine with one container."""
    program = tmp_path / "docker"
    there = tmp_path / "there"
    there.touch()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'
        f"[ -e {there} ] || {{ echo 'Error: No such container' >&2; exit 1; }}\n"
        f"case $1 in container) echo 12ab;; rm) rm {there};; esac\n"
    )
    program.chmod(0o755)
    return program


def test_a_container_that_was_left_over_is_removed(tmp_path: Path) -> None:
    facts = {"server": "toy", "engine": str(engine(tmp_path, "deploy-toy-1")), "container": "deploy-toy-1"}
    record(parent={"pid": os.getpid(), "start": 1}, facts=facts)
    assert sweep() == ()
    assert "container deploy-toy-1" in end(only())
    assert not (tmp_path / "there").exists()
    assert "rm --force --volumes deploy-toy-1" in (tmp_path / "asked").read_text()
    assert read() == ((), ())


def test_an_engine_that_does_not_answer_is_told_and_the_record_stays(tmp_path: Path) -> None:
    record(
        parent={"pid": os.getpid(), "start": 1},
        facts={"server": "toy", "engine": "/bin/false", "container": "deploy-toy-1"},
    )
    assert sweep() == ()
    with pytest.raises(UnavailableError, match="false container: exit code 1"):
        end(only())
    assert len(read()[0]) == 1


def test_nothing_of_these_tests_runs() -> None:
    assert not [p for p in psutil.process_iter(["cmdline"]) if SPAWNS in (p.info["cmdline"] or ())]
