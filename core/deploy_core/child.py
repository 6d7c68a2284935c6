"""The only code that starts a process: its own group, a kept log, gone when its parent goes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic
from typing import Any

from deploy_core import state, usage
from deploy_core.errors import UnavailableError

_TRAMPOLINE = Path(__file__).with_name("trampoline.py")
_PRIVATE = {
    "ORT_DISABLE_TELEMETRY": "1"
}  # ONNX Runtime would tell its maker of its use, and keeps a file for that in TMPDIR
_HURRY = 0.2  # seconds between looks at whether patience has ended


class Child:
    """A started process that leads a group of its own; everything it prints is in `log`."""

    def __init__(
        self,
        what: str,
        process: subprocess.Popen[bytes],
        log: Path,
        record: Path | None,
        *,
        keeps: bool = False,
        before: int = 0,
    ) -> None:
        self.what = what
        self.log = log
        self._process = process
        self._before = before
        self._record = record
        self._keeps = keeps  # the record is its caller's, and tells of more than this process
        self._buried = False

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs, minus the signal's number if a signal ended it."""
        code = self._process.poll()
        if code is not None:
            self._bury()
        return code

    def wait(self, timeout: float) -> int | None:
        """Wait for the end at most `timeout` seconds; None if it still runs then."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        return self.returncode

    def note(self, **facts: Any) -> None:
        """Add to the record of it what others are to know: that it is ready, where it answers."""
        if self._record is not None:
            state.update_record(self._record, facts)

    def allow_cpu(self, seconds: float) -> None:
        """Let it use that many more CPU seconds from now; beyond, the kernel ends it by SIGXCPU. Linux only."""
        if sys.platform == "linux" and self.returncode is None:
            # Soft limit only: an ordinary user could never raise the hard one again.
            limit = int(usage.cpu_seconds(self.pid) + seconds) + 1
            with suppress(ProcessLookupError):
                resource.prlimit(self.pid, resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))

    def stop(self, grace: float = 5.0, *, hurry: Event | None = None) -> int:
        """End the whole group: SIGTERM, after `grace` seconds SIGKILL; what the leader leaves behind is killed, too.

        SIGKILL comes at once when `hurry` is set meanwhile.
        """
        if self.returncode is None:
            self._signal(signal.SIGTERM)
            end = monotonic() + grace
            while self.wait(min(_HURRY, max(0.0, end - monotonic()))) is None:
                if monotonic() >= end or (hurry is not None and hurry.is_set()):
                    self._signal(signal.SIGKILL)
                    break
        code = self._process.wait()
        self._bury()
        return code

    def let_go(self) -> None:
        """Have no more to do with it: it goes on, and is somebody else's to end."""
        self._buried = True
        self._process.returncode = 0  # else Popen would complain that nobody has waited for it

    def death(self) -> str:
        """Say in words how it ended."""
        code = self.returncode
        if code is None:
            return "still runs"
        if code >= 0:
            return f"ended with exit code {code}"
        if -code == signal.SIGXCPU:
            return "used up its CPU time and was ended by SIGXCPU"
        return f"was killed by {signal.Signals(-code).name}"

    @property
    def log_size(self) -> int:
        """How many bytes the log has now; 0 if it has been removed."""
        return self.log.stat().st_size if self.log.exists() else 0

    def log_tail(self, lines: int = 20, *, since: int = 0) -> str:
        """Give the last lines of what it said, after `since` bytes of the log; none if that has been removed."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(self._before, since, self.log_size - 400 * lines))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _bury(self) -> None:
        # Once, so that a second call does nothing to a reused group id.
        if not self._buried:
            self._buried = True
            self._signal(signal.SIGKILL)
            if self._record is not None and not self._keeps:
                self._record.unlink(missing_ok=True)


def start(
    what: str,
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    facts: Mapping[str, Any] | None = None,
    record: Path | None = None,
    death_signal: signal.Signals = signal.SIGKILL,
    guarded: bool = False,
    out: Path | None = None,
) -> Child:
    """Start `command`; `env` is added to ours, and an empty value takes a variable away.

    All that it prints goes into `log`; with `out`, what it prints on stdout goes there instead.

    The record in the state folder is written before the start, because grandchildren survive even a SIGKILL of ours;
    `facts` become part of it. A `record` that is given is the caller's: it gets the process and stays. `death_signal` is
    what the kernel sends it when we are gone. With `guarded`, a small process beside it ends what it leaves behind of its
    group, also when we are gone. Raises UnavailableError if the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    before = log.stat().st_size if log.exists() else 0
    own = record or state.write_record(what, command, log, facts or {})
    try:
        into = _Start(
            command, out or log, env, cwd, tuple(pass_fds), death_signal, guarded, errors=log if out else None
        )
        process = _started(what, into)
        state.complete_record(own, process.pid)
    except BaseException:
        if record is None:
            own.unlink(missing_ok=True)
        raise
    return Child(what, process, log, own, keeps=record is not None, before=before)


def detach(
    what: str,
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a command that goes on when we are gone, and so keeps records itself. Raises UnavailableError."""
    log.parent.mkdir(parents=True, exist_ok=True)
    return Child(what, _started(what, _Start(command, log, env, None, tuple(pass_fds), None)), log, None)


@dataclass(frozen=True)
class Said:
    """How a short command ended: exit code (minus the signal's number if one ended it), and what it printed."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line that it printed, on stderr if anything is there: where tools say what is wrong."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


def output(command: Sequence[str], *, seconds: float, env: Mapping[str, str] | None = None) -> Said:
    """Run a short command to its end, `env` as for `start`; it and its children go when the time is over, or we are.

    Raises UnavailableError if it cannot be started or takes longer than `seconds`.
    """
    shown = " ".join(command[:3])
    with TemporaryDirectory(prefix="deploy-") as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = _started(shown, _Start(command, out, env, None, (), signal.SIGKILL, errors=err))
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(
                f"`{shown}` has not ended within {seconds:g} s", hint="run it yourself to see what it waits for"
            ) from error
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return Said(code, out.read_text(errors="replace"), err.read_text(errors="replace"))


@dataclass(frozen=True)
class _Start:
    command: Sequence[str]
    log: Path
    env: Mapping[str, str] | None
    cwd: Path | None
    pass_fds: tuple[int, ...]
    death_signal: signal.Signals | None
    guarded: bool = False
    errors: Path | None = None  # where stderr goes if not into the log


def _started(what: str, start: _Start) -> subprocess.Popen[bytes]:
    future = _starter().submit(_popen, start)
    try:
        return future.result()
    except OSError as error:
        raise UnavailableError(
            f"{what} could not be started: {error}", hint=f"is {start.command[0]} installed?"
        ) from error
    except BaseException:
        future.add_done_callback(_abandon)  # we were interrupted, the thread that starts it was not
        raise


def _abandon(future: Future[subprocess.Popen[bytes]]) -> None:
    if future.cancelled() or future.exception() is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(future.result().pid, signal.SIGKILL)
    future.result().wait()


@cache
def _starter() -> ThreadPoolExecutor:
    # PDEATHSIG fires when the *thread* that forked ends, so one thread that lives as long as we do starts every child.
    return ThreadPoolExecutor(1, thread_name_prefix="deploy-child-starter")


def _popen(start: _Start) -> subprocess.Popen[bytes]:
    # The trampoline asks for PDEATHSIG and then becomes the command: preexec_fn is not safe beside threads.
    told = (os.getpid(), int(start.death_signal or 0), int(start.guarded))
    with start.log.open("ab") as out, (start.errors or start.log).open("ab") as err:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_TRAMPOLINE), *map(str, told), *start.command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=_merged(start.env),
            cwd=start.cwd,
            pass_fds=start.pass_fds,
            start_new_session=True,
        )


def _merged(env: Mapping[str, str] | None) -> dict[str, str]:
    merged = {**_PRIVATE, **os.environ, **(env or {})}
    return {name: value for name, value in merged.items() if value != "" or name not in (env or {})}
