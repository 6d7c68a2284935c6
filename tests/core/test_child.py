"""Children: logs, limits, groups, records, and that they go when their parent goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from processes import wait_until_gone

from deploy_core import child, state
from deploy_core.errors import UnavailableError


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "state"))


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def test_what_it_prints_is_in_the_log(tmp_path: Path) -> None:
    started = child.start("a test", _python("print('hello'); raise SystemExit(3)"), log=tmp_path / "log")
    assert started.wait(20) == 3
    assert started.log_tail() == "hello"
    assert started.death() == "ended with exit code 3"


def test_the_record_is_there_while_it_runs(tmp_path: Path) -> None:
    started = child.start("a test", _python("import time; time.sleep(60)"), log=tmp_path / "log")
    (record,) = (state.folder() / "runs").glob("*.json")
    assert json.loads(record.read_text())["child"] == {"pid": started.pid, "start": state.start_time(started.pid)}
    started.stop()
    assert not record.exists()


def test_stop_takes_the_whole_group(tmp_path: Path) -> None:
    code = """
        import subprocess, sys, time
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(grandchild.pid, flush=True)
        time.sleep(60)
    """
    started = child.start("a test", _python(code), log=tmp_path / "log")
    grandchild = _first_number(started)
    assert started.stop() == -signal.SIGTERM
    assert wait_until_gone(grandchild, 10)


def test_one_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    code = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True); time.sleep(60)"
    started = child.start("a test", _python(code), log=tmp_path / "log")
    _first_number(started)
    assert started.stop(grace=0.2) == -signal.SIGKILL
    assert started.death() == "was killed by SIGKILL"


def test_cpu_time_is_limited(tmp_path: Path) -> None:
    started = child.start("a test", _python("while True: pass"), log=tmp_path / "log")
    started.allow_cpu(0.1)
    assert started.wait(60) == -signal.SIGXCPU
    assert "CPU time" in started.death()


def test_a_child_goes_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = f"""
        import os, threading, time, sys
        from pathlib import Path
        from deploy_core import child
        def begin():  # a thread that ends must not take the child along
            started = child.start("inner", [sys.executable, "-c", "import time; time.sleep(60)"], log=Path({str(tmp_path / "inner")!r}))
            print(started.pid, flush=True)
        thread = threading.Thread(target=begin); thread.start(); thread.join()
        time.sleep(60)
    """
    parent = subprocess.Popen(_python(code), stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    inner = int(parent.stdout.readline())
    assert state.start_time(inner) is not None
    parent.kill()
    parent.communicate()
    assert wait_until_gone(inner, 10)


def test_libraries_do_not_tell_their_makers_of_their_use_unless_the_user_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = _python("import os; print(os.environ['ORT_DISABLE_TELEMETRY'])")
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    assert child.output(code, seconds=20).out == "1\n"
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    assert child.output(code, seconds=20).out == "0\n"


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    started = child.start("a test", ["/no/such/program"], log=tmp_path / "log")
    assert started.wait(20) == 1
    assert "/no/such/program could not be started" in started.log_tail()


def test_a_missing_working_folder_leaves_no_record(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="could not be started"):
        child.start("a test", ["true"], log=tmp_path / "log", cwd=tmp_path / "absent")
    assert not list((state.folder() / "runs").iterdir())


def test_an_empty_value_takes_a_variable_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TEST_VARIABLE", "set")
    code = "import os; print(os.environ.get('DEPLOY_TEST_VARIABLE', 'absent'))"
    started = child.start("a test", _python(code), log=tmp_path / "log", env={"DEPLOY_TEST_VARIABLE": ""})
    started.wait(20)
    assert started.log_tail() == "absent"


def _first_number(started: child.Child) -> int:
    while started.returncode is None and not started.log_tail():
        os.sched_yield()
    return int(started.log_tail().split()[0])


def test_a_short_command_says_what_it_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAID", "before")
    said = child.output(
        _python("import os, sys; print(os.environ['SAID']); print('a\\nb', file=sys.stderr); sys.exit(3)"),
        seconds=20,
        env={"SAID": "now"},
    )
    assert (said.code, said.out, said.err, said.last) == (3, "now\n", "a\nb\n", "b")
    assert child.output(["true"], seconds=20).last == "exit code 0"


def test_a_short_command_that_takes_too_long_goes_with_its_children(tmp_path: Path) -> None:
    code = f"""
        import pathlib, subprocess, sys, time
        grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(grandchild.pid))
        time.sleep(60)
    """
    with pytest.raises(UnavailableError, match=r"has not ended within 2 s") as raised:
        child.output(_python(code), seconds=2)
    assert raised.value.exit_code == 6
    assert wait_until_gone(int((tmp_path / "pid").read_text()), 10)
