"""A worker's life: what it answers, how it may die, that nothing stays."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from deploy_core.errors import ExportError, UsageError
from deploy_exporters.worker import Workers

BURN = "(a+)+$", "a" * 64 + "b"  # a regular expression that never comes back


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_call_gives_back_plain_data(tmp_path: Path) -> None:
    with Workers(tmp_path) as workers:
        pid = workers.call("runtime", "os:getpid")
        assert pid != os.getpid()
        assert workers.call("runtime", "os:getpid") == pid
        assert workers.call("source", "os:getpid") != pid
        large = np.arange(3_000_000, dtype=np.float64)
        np.testing.assert_array_equal(workers.call("runtime", "copy:copy", large), large)
    assert gone(pid)


def test_what_it_prints_goes_to_its_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Workers(tmp_path) as workers:
        workers.call("runtime", "builtins:print", "a word from the converter")
        log = workers.get("runtime").child.log
        assert "a word from the converter" in log.read_text()
    assert not log.exists(), "no error named it"
    assert capfd.readouterr() == ("", "")


def test_a_failure_names_what_began_it_and_keeps_the_log(tmp_path: Path) -> None:
    code = "try:\n    {}['weight']\nexcept KeyError as error:\n    raise RuntimeError('step 1 of 3 failed') from error"
    with (
        Workers(tmp_path) as workers,
        pytest.raises(ExportError, match=r"step 1 of 3 failed.*KeyError: 'weight'") as caught,
    ):
        workers.call("runtime", "builtins:exec", code)
    (log,) = tmp_path.glob("*.log")
    assert str(log) in caught.value.hint


def test_our_errors_come_back_as_they_are(tmp_path: Path) -> None:
    code = "from deploy_core.errors import UsageError; raise UsageError('no such thing', hint='look again')"
    with Workers(tmp_path) as workers, pytest.raises(UsageError, match="no such thing") as caught:
        workers.call("runtime", "builtins:exec", code)
    assert caught.value.hint == "look again"


def test_other_errors_name_step_exception_and_log(tmp_path: Path) -> None:
    with Workers(tmp_path) as workers:
        with pytest.raises(ExportError, match="exec failed: ValueError: bad luck") as caught:
            workers.call("runtime", "builtins:exec", "raise ValueError('bad luck\\nmore of it')")
        assert str(workers.get("runtime").child.log) in caught.value.hint
        assert "more of it" in workers.get("runtime").child.log.read_text()
        assert workers.call("runtime", "builtins:len", "abc") == 3


def test_a_user_module_that_exits_does_not_end_the_worker(tmp_path: Path) -> None:
    with Workers(tmp_path) as workers:
        with pytest.raises(ExportError, match="SystemExit: 3"):
            workers.call("runtime", "sys:exit", 3)
        assert workers.call("runtime", "builtins:len", "ab") == 2


def test_an_answer_that_cannot_be_sent_is_an_error(tmp_path: Path) -> None:
    with Workers(tmp_path) as workers, pytest.raises(ExportError, match="import_module failed: TypeError"):
        workers.call("runtime", "importlib:import_module", "os")


@pytest.mark.parametrize(
    ("function", "args", "words"),
    [
        ("os:abort", (), "was killed by SIGABRT"),
        ("ctypes:string_at", (0,), "was killed by SIGSEGV"),
        ("os:_exit", (7,), "ended with exit code 7"),
    ],
)
def test_a_death_is_told_and_the_next_call_gets_a_new_worker(
    tmp_path: Path, function: str, args: tuple[int, ...], words: str
) -> None:
    with Workers(tmp_path) as workers:
        workers.call("runtime", "builtins:print", "last words")
        dead = workers.get("runtime").child.pid
        with pytest.raises(ExportError, match=words) as caught:
            workers.call("runtime", function, *args)
        assert caught.value.exit_code == 3
        assert str(tmp_path) in caught.value.hint
        assert "last words" in caught.value.hint
        assert gone(dead)
        assert workers.call("runtime", "builtins:len", "abc") == 3


def test_kill_9_between_calls(tmp_path: Path) -> None:
    with Workers(tmp_path) as workers:
        worker = workers.get("runtime")
        pid = workers.call("runtime", "os:getpid")
        os.kill(pid, signal.SIGKILL)
        assert worker.child.wait(10) == -signal.SIGKILL
        with pytest.raises(ExportError, match="was killed by SIGKILL"):
            worker.call("builtins:len", "abc")
        assert workers.call("runtime", "os:getpid") != pid


def test_a_hang_that_burns_cpu_is_ended(tmp_path: Path) -> None:
    with (
        Workers(tmp_path, cpu_seconds=1) as workers,
        pytest.raises(ExportError, match="used up its CPU time") as caught,
    ):
        workers.call("runtime", "re:match", *BURN)
    assert "--step-seconds" in caught.value.hint


def test_a_step_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    code = "import time\nheld = b'x' * (300 << 20)\ntime.sleep(600)"
    with Workers(tmp_path, memory=200 << 20) as workers:
        pid = workers.get("runtime").child.pid
        assert workers.call("runtime", "builtins:len", "abc") == 3
        with pytest.raises(ExportError, match=r"exec took 0.\d+ GB of memory, the limit is 0.20 GB") as caught:
            workers.call("runtime", "builtins:exec", code)
        assert "--step-memory" in caught.value.hint
        assert str(tmp_path) in caught.value.hint
        assert gone(pid)
        assert workers.call("runtime", "builtins:len", "abc") == 3, "the next step gets a new worker"


def test_addresses_are_not_memory(tmp_path: Path) -> None:
    code = "import mmap, time\nheld = mmap.mmap(-1, 1 << 34)\ntime.sleep(0.5)"
    with Workers(tmp_path, memory=200 << 20) as workers:
        workers.call("runtime", "builtins:exec", code)


def test_what_is_begun_is_not_heard(tmp_path: Path) -> None:
    with Workers(tmp_path) as workers:
        worker = workers.get("runtime")
        worker.begin("deploy_exporters.hosting:prepare", ("wave", "there_is_no_such_module"))
        worker.begin("builtins:len", "four")
        assert workers.call("runtime", "builtins:len", "abc") == 3
        assert workers.call("runtime", "builtins:eval", "'wave' in __import__('sys').modules")
        worker.begin("os:abort")
        with pytest.raises(ExportError, match="len: the worker process was killed by SIGABRT"):
            worker.call("builtins:len", "abc")  # of this one: the Workers would have started another by now


def test_cpu_seconds_are_counted_by_call(tmp_path: Path) -> None:
    code = "import time\nwhile time.process_time() < {}: pass"
    with Workers(tmp_path, cpu_seconds=2) as workers:
        for until in (1.0, 2.0, 3.0):
            workers.call("runtime", "builtins:exec", code.format(until))


def test_a_hang_that_waits_is_ended(tmp_path: Path) -> None:
    with Workers(tmp_path, wall_seconds=1) as workers:
        pid = workers.get("runtime").child.pid
        with pytest.raises(ExportError, match="did not end within 1 seconds"):
            workers.call("runtime", "time:sleep", 600)
        assert gone(pid)


def test_ctrl_c_ends_all(tmp_path: Path) -> None:
    code = "import os, signal, time\nos.kill(os.getppid(), signal.SIGINT)\ntime.sleep(600)"
    pids = []

    def interrupted() -> None:
        with Workers(tmp_path) as workers:
            pids.extend(workers.call(kind, "os:getpid") for kind in ("runtime", "source"))
            workers.call("runtime", "builtins:exec", code)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(pids) == 2
    assert all(map(gone, pids))


def test_a_killed_worker_leaves_no_temporary_files(tmp_path: Path) -> None:
    with Workers(tmp_path) as workers:
        folder = Path(workers.call("runtime", "tempfile:mkdtemp"))
        with pytest.raises(ExportError):
            workers.call("runtime", "os:abort")
        assert folder.exists()
        assert folder.parent.name.startswith("deploy-scratch-"), "which is swept if we are killed ourselves"
    assert not folder.exists()


def test_an_unknown_function_is_an_error(tmp_path: Path) -> None:
    with Workers(tmp_path) as workers, pytest.raises(ExportError, match="AttributeError"):
        workers.call("runtime", "os:there_is_no_such_function")
