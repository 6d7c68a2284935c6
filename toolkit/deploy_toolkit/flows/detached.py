"""`deploy serve` as a process of its own, that goes on when the command that started it has ended.

The same command is started as a session of its own. Until it is ready it says on a pipe what happens, a JSON document a
line: `{"event": …}`, at last `{"ready": …}` or `{"error": …}`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from deploy_core import child, state
from deploy_core.errors import DeployError, UnavailableError, further
from deploy_core.signals import postponed
from deploy_servers.settings import new_run
from deploy_toolkit import documents
from deploy_toolkit.flows.serve import Request
from deploy_toolkit.output import OnEvent

_GRACE = 60.0  # seconds for one that is not wanted any more: its server may be loading


class Report:
    """What a detached command says to the one that started it; to nobody without a pipe."""

    def __init__(self, pipe: TextIO | None) -> None:
        self._pipe = pipe

    def event(self, text: str) -> None:
        """Say what happens."""
        self._say({"event": text})

    def ready(self, document: Mapping[str, Any]) -> bool:
        """Say that all is well, after which nobody listens; tell whether anybody did."""
        if self._pipe is None:
            return False
        self._say({"ready": document})
        self._pipe.close()
        self._pipe = None
        return True

    def failed(self, error: DeployError) -> None:
        """Say why it will not be ready; that nobody hears it is no further error."""
        said = {
            "message": str(error),
            "hint": error.hint,
            "notes": further(error),
            "exit_code": error.exit_code,
        }
        try:
            self._say({"error": said})
        except UnavailableError:
            self._pipe = None

    def _say(self, document: Mapping[str, Any]) -> None:
        if self._pipe is None:
            return
        try:
            self._pipe.write(documents.text(document, indent=None) + "\n")
            self._pipe.flush()
        except BrokenPipeError:
            raise UnavailableError("the command that started it has gone before it was ready") from None


@contextmanager
def reporting(descriptor: int | None) -> Generator[Report]:
    """Give the report to the command that started us, if one did."""
    report = Report(None if descriptor is None else os.fdopen(descriptor, "w", encoding="utf-8"))
    try:
        yield report
    except DeployError as error:
        report.failed(error)
        raise


def start(
    request: Request, *, store: Path, follow: bool = False, restart: bool = True, on_event: OnEvent
) -> dict[str, Any]:
    """Start it, wait until it is ready, give what `deploy serve --json` would print; it goes on after us.

    Raises the error that it fails with. If we are interrupted meanwhile, it is stopped.
    """
    request = replace(request, run=request.run or new_run())
    log = state.logs() / f"deploy-{request.server}-{request.run}.log"
    reader, writer = os.pipe()
    with os.fdopen(reader, encoding="utf-8") as pipe:
        try:
            process = child.detach(
                "deploy serve", _command(request, store, writer, follow, restart), log=log, pass_fds=(writer,)
            )
        finally:
            os.close(writer)
        try:
            document = _heard(pipe, on_event)
        except BaseException as error:
            with postponed():
                process.stop(_GRACE)
                _drop(log, error)
            raise
    if document is None:
        raise _death(process)
    process.let_go()
    return document


def _heard(pipe: TextIO, on_event: OnEvent) -> dict[str, Any] | None:
    """Listen until it is ready; None if it ended without a word."""
    for line in pipe:
        said = json.loads(line)
        if "ready" in said:
            return dict(said["ready"])
        if "error" in said:
            raise _error(said["error"])
        on_event(said["event"])
    return None


def _error(said: Mapping[str, Any]) -> DeployError:
    error = UnavailableError(said["message"], hint=said["hint"])
    error.exit_code = said["exit_code"]
    for note in said["notes"]:
        error.add_note(note)
    return error


def _drop(log: Path, error: BaseException) -> None:
    """Remove the log of what never ran, unless the error, which is shown now, sends people there."""
    if not isinstance(error, DeployError | KeyboardInterrupt):
        return
    if not any(str(log) in text for text in (str(error), *getattr(error, "__notes__", ()))):
        log.unlink(missing_ok=True)


def _death(process: child.Child) -> UnavailableError:
    code = process.wait(_GRACE)
    error = UnavailableError(f"{process.what} {process.death()} before it was ready", hint=f"its log is {process.log}")
    if code is not None and code > 0:
        error.exit_code = code
    error.add_note(f"the end of {process.log}:\n{process.log_tail()}")
    return error


def _command(request: Request, store: Path, writer: int, follow: bool, restart: bool) -> Sequence[str]:
    given = {
        "server": request.server,
        "http-port": str(request.http_port),
        "grpc-port": str(request.grpc_port),
        "host": request.host,
        "in": request.where,
        "device": request.device,
        "engine": request.engine,
        "image": request.image,
        "cpus": request.cpus,
        "memory": request.memory,
        "store": str(store.absolute()),
        "run": request.run,
        "report-to": str(writer),
    }
    words = [f"--{name}={value}" for name, value in given.items() if value]
    words += [f"--set={name}={value}" for name, value in request.options.items()]
    words += ["--follow"] * follow + ["--no-restart"] * (not restart)
    # -P: what lies in the folder that we happen to be in is none of our modules.
    return [sys.executable, "-P", "-m", "deploy_toolkit.cli", "serve", *words, "--", *request.names]
