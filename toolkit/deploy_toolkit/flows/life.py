"""What runs, what it says, and its end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_core import state
from deploy_core.errors import DeployError, UsageError
from deploy_servers import ending, runs
from deploy_servers.runs import LEFT_OVER, Damaged, Run

_PAUSE = 0.2  # seconds between looks at a log that is followed


@dataclass(frozen=True)
class Listing:
    """Every run of a server, what others left over, and what lies among the records without being one."""

    runs: tuple[Run, ...]
    damaged: tuple[Damaged, ...]


@dataclass(frozen=True)
class Stopped:
    """What was ended, run by run."""

    runs: tuple[Run, ...]
    ended: tuple[str, ...]


def listing() -> Listing:
    """Give what runs and what was left over."""
    return Listing(*runs.listing())


def stop(names: Sequence[str], *, everything: bool = False, orphans: bool = False) -> Stopped:
    """End runs by id or model name, all, or those that were left over; without any of these, the only one.

    Raises UsageError if it is not said which, DeployError of the last one that did not end, after all were tried.
    """
    chosen = _chosen(names, runs.servers(), everything=everything, orphans=orphans)
    ended: list[str] = []
    failed: DeployError | None = None
    for run in chosen:
        try:
            ended += ending.end(run)
        except DeployError as error:
            failed = error
    ending.sweep()
    if orphans and (logs := ending.sweep_logs()):
        ended.append(f"{len(logs)} log{'s' * (len(logs) > 1)} older than a day")
    if failed is not None:
        failed.add_note(f"ended: {', '.join(ended) or 'nothing'}")
        raise failed
    return Stopped(chosen, tuple(ended))


def log_of(name: str | None) -> Path:
    """Give the log of a run, or a kept one of a run that has ended. Raises UsageError."""
    known = runs.servers()
    if name is None:
        return _only(known, "deploy logs").log
    kept = [path for path in sorted(state.logs().glob("deploy-*.log")) if _id_of(path).startswith(name)]
    try:
        found = runs.find(name, known)
    except UsageError:
        if len(kept) != 1:
            raise
        return kept[0]
    if len(found) > 1:
        raise UsageError(f"{len(found)} runs serve {name}", hint=f"say which: {', '.join(map(str, found))}")
    return found[0].log


def lines_of(log: Path, *, last: int, follow: bool = False) -> Iterator[str]:
    """Give the last lines of a log, then with `follow` every new one until its run has ended. Raises UsageError."""
    try:
        file = log.open("rb")
    except FileNotFoundError:
        raise UsageError(f"the log {log} has gone", hint="a run that ended as it was asked to keeps none") from None
    with file:
        yield from file.read().decode(errors="replace").splitlines()[-last:] if last else ()
        rest = b""
        while follow:
            over = not any(run.log == log for run in runs.servers())  # asked first, so that its last words are read
            whole, newline, rest = (rest + file.read()).rpartition(b"\n")
            yield from (whole + newline).decode(errors="replace").splitlines()
            if over:
                return
            time.sleep(_PAUSE)


def listing_json(found: Listing) -> dict[str, Any]:
    """Give the document of `deploy ps --json`."""
    return {
        "schema": "deploy/ps/1",
        "runs": [_run_json(run) for run in found.runs],
        "damaged": [{"path": str(one.path), "why": one.why} for one in found.damaged],
    }


def stopped_json(stopped: Stopped) -> dict[str, Any]:
    """Give the document of `deploy stop --json`."""
    return {"schema": "deploy/stop/1", "runs": [run.id for run in stopped.runs], "ended": list(stopped.ended)}


def _run_json(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state,
        "server": run.server,
        "name": run.name,
        "endpoints": list(run.endpoints),
        "management": list(run.management),
        "pid": run.leader.pid if run.leader else None,
        "processes": [process.pid for process in run.processes],
        "container": run.container or None,
        "folder": str(run.folder) if run.folder else None,
        "log": str(run.log),
        "ready": run.ready,
        "age_seconds": round(run.age, 1),
        "memory_bytes": run.memory,
    }


def _chosen(names: Sequence[str], known: tuple[Run, ...], *, everything: bool, orphans: bool) -> tuple[Run, ...]:
    if (bool(names) + everything + orphans) > 1:
        raise UsageError("runs, --all and --orphans are given together", hint="give one of them")
    if everything:
        return known
    if orphans:
        return tuple(run for run in known if run.state == LEFT_OVER)
    if names:
        return tuple(dict.fromkeys(run for name in names for run in runs.find(name, known)))
    return (_only(known, "deploy stop"),) if known else ()


def _only(known: tuple[Run, ...], command: str) -> Run:
    if len(known) != 1:
        shown = ", ".join(map(str, known))
        raise UsageError(
            f"{len(known) or 'no'} servers run",
            hint=f"`{command} RUN` says which: {shown}" if known else "`deploy serve NAME` starts one",
        )
    return known[0]


def _id_of(log: Path) -> str:
    return log.stem.rpartition("-")[2]
