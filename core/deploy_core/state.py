"""The state folder (`$DEPLOY_STATE`): records of running children, and their logs."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy_core import usage
from deploy_core.errors import UnavailableError

_OURS = 0o700  # command lines may hold keys, and logs what was predicted


def folder() -> Path:
    """Give `$DEPLOY_STATE`, else the user's own state folder."""
    if given := os.environ.get("DEPLOY_STATE"):
        return Path(given)
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "deploy"


def logs() -> Path:
    """Give the folder of kept logs. Raises UnavailableError if it cannot be made."""
    path = folder() / "logs"
    with _writing():
        path.mkdir(mode=_OURS, parents=True, exist_ok=True)
    return path


def records() -> Path:
    """Give the folder of records, which may not be there yet."""
    return folder() / "runs"


def write_record(what: str, command: Sequence[str], log: Path, facts: Mapping[str, Any]) -> Path:
    """Say what is about to be started, and by whom; give the file that says so. Raises UnavailableError."""
    path = records() / f"{uuid.uuid4().hex}.json"
    ours = os.getpid()
    record = {
        "what": what,
        "boot": boot(),
        "created": time.time(),
        "command": list(command),
        "log": str(log),
        "parent": {"pid": ours, "start": start_time(ours)},
        "child": None,
        "facts": dict(facts),
    }
    with _writing():
        path.parent.mkdir(mode=_OURS, parents=True, exist_ok=True)
        _write(path, record)
    return path


def complete_record(path: Path, pid: int) -> None:
    """Add the started process, whose id is also that of its group."""
    _write(path, {**json.loads(path.read_text()), "child": {"pid": pid, "start": start_time(pid)}})


def update_record(path: Path, facts: Mapping[str, Any]) -> None:
    """Add facts to a record."""
    record = json.loads(path.read_text())
    _write(path, {**record, "facts": {**record["facts"], **facts}})


def start_time(pid: int) -> int | None:
    """Give the kernel's start time of a process (clock ticks since boot), None if it has gone: tells a reused pid."""
    try:
        fields = usage.stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def boot() -> str:
    """Give what tells this start of the machine from all others: process ids and start times mean nothing beyond it."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"the state folder cannot be written: {error}", hint="set DEPLOY_STATE to a folder that can"
        ) from error


def _write(path: Path, data: dict[str, Any]) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(data))
    draft.replace(path)
