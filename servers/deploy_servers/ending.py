"""How runs are ended, by whomever they were started, and what is left of them when nobody did."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from deploy_core import state
from deploy_core.errors import UnavailableError
from deploy_core.process import end_all
from deploy_servers import engines
from deploy_servers.furnishing import remove
from deploy_servers.runs import LEFT_OVER, Run, read

_GRACE = 60.0  # seconds for a `deploy serve` that was asked to stop: its server may have requests to finish
_SERVER_GRACE = 20.0  # seconds for a server that is asked itself
_KILL = 10.0  # seconds for what got SIGKILL
_DRAFT_AGE = 3600.0  # seconds after which a half-written record has no writer any more
_LOG_AGE = 86400.0  # seconds for which a kept log is there to be read


def remains(run: Run) -> tuple[str, ...]:
    """Say what is left of a run beside its record. Raises UnavailableError if a container engine does not say."""
    left = [f"process {process.pid}" for process in run.processes]
    if run.container and engines.exists(run.engine, run.container):
        left.append(f"container {run.container}")
    if run.folder and run.folder.exists():
        left.append(f"folder {run.folder}")
    return tuple(left)


def end(run: Run) -> tuple[str, ...]:
    """End a run and wait until it has ended; say what was ended. Raises UnavailableError if something is still there."""
    ended = [f"{run.state} {run.server or 'process'} {run.id}"]
    try:
        if run.is_owned:
            _ask(run)
        ended += _clear(run)
    except PermissionError as error:
        raise UnavailableError(
            f"{run} belongs to another user: {error}", hint="ask them, or root, to end it"
        ) from error
    return tuple(ended)


def sweep() -> tuple[Run, ...]:
    """Remove records whose everything is gone, and half-written ones that nobody writes any more; give the former."""
    for draft in state.records().glob("*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > _DRAFT_AGE:
                draft.unlink()
    gone = tuple(run for run in read()[0] if run.state == LEFT_OVER and _is_gone(run))
    for run in gone:
        run.record.unlink(missing_ok=True)
    return gone


def sweep_logs() -> tuple[Path, ...]:
    """Remove logs that no record names and nobody has written to for a day; give them."""
    runs, damaged = read()
    if damaged:  # one of them may name any log
        return ()
    named = {run.log.name for run in runs}
    old = [path for path in sorted(state.logs().glob("*.log")) if path.name not in named and _is_old(path)]
    for path in old:
        path.unlink(missing_ok=True)
    return tuple(old)


def _is_old(log: Path) -> bool:
    try:
        return log.is_file() and time.time() - log.stat().st_mtime > _LOG_AGE
    except FileNotFoundError:
        return False


def _is_gone(run: Run) -> bool:
    if run.processes or (run.folder and run.folder.exists()):
        return False  # an engine, which may be slow, is asked only where that decides
    try:
        return not remains(run)
    except UnavailableError:  # its container may be there: the record stays
        return False


def _ask(run: Run) -> None:
    """Have the owner end its server, or end the server where the owner is somebody's own program."""
    if run.is_command and run.owner is not None:
        run.owner.signal(signal.SIGTERM)
        run.owner.wait(_GRACE)
        return
    end_all(run.processes, signal.SIGTERM, _SERVER_GRACE)


def _clear(run: Run) -> list[str]:
    """End what is left of a run, whoever should have done it, and say what that was."""
    left = list(remains(run))
    for _ in range(3):  # a process may start another one while it is being killed
        if end_all(run.processes, signal.SIGKILL, _KILL) and not run.processes:
            break
    if run.container and engines.exists(run.engine, run.container):
        engines.remove(run.engine, run.container)
    owner_stays = run.is_owned and not run.is_command  # a program that goes on tidies up itself
    if not owner_stays:
        _remove(run)
    if still := run.processes:
        numbers = ", ".join(str(process.pid) for process in still)
        raise UnavailableError(f"{run} has not ended: processes {numbers} are there after SIGKILL")
    return left


def _remove(run: Run) -> None:
    if run.is_owned and run.owner is not None:
        end_all((run.owner,), signal.SIGKILL, _KILL)
    if run.folder is not None and _is_ours(run.folder):
        remove(run.folder)
    run.record.unlink(missing_ok=True)


def _is_ours(folder: Path) -> bool:
    """Tell whether a folder may be removed on a record's word: one of our name, which belongs to us and is no link."""
    return (
        folder.name.startswith("deploy-")
        and folder.is_dir()
        and not folder.is_symlink()
        and folder.stat().st_uid == os.getuid()
    )
