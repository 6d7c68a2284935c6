"""What would be started, as plain data; and the one function that starts it."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_core import child, state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UnavailableError
from deploy_core.signals import postponed
from deploy_servers import engines
from deploy_servers.causes import likely_cause
from deploy_servers.container import NOBODY, image_of
from deploy_servers.furnishing import open_to_all, put_files, put_links, put_writable, remove
from deploy_servers.ports import require_free
from deploy_servers.readiness import Accept, OnEvent, failure, wait_until_ready

_CLEAN = (0, 128 + signal.SIGTERM, -signal.SIGTERM)  # Java ends with 143 when it is asked to


@dataclass(frozen=True)
class Launch:
    """A server process to be: `files` (texts, or bytes) and `links` (stored files) are put into `folder`, which is its own.

    `engine` is empty unless `command` runs a container of that engine, which then has the name of `folder`. `ports` are
    all that it will listen on; `fatal` are texts in its log after which it will never be ready; `stop_grace` is how many
    seconds it gets to end after SIGTERM; `notes` is what its user should know. `writes` are folders in `folder` that it
    may write to, which matters in a container; `facts` are what its record tells beyond the usual, such as where its
    keys lie. `drained` is what its log says, whatever its exit code, when it cut no request. `management` is where it is
    managed, if that has addresses of its own.
    """

    server: str
    name: str
    command: tuple[str, ...]
    folder: Path
    host: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[int, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    links: Mapping[str, Path] = field(default_factory=dict)
    fatal: tuple[str, ...] = ()
    stop_grace: float = 15.0
    engine: str = ""
    notes: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    drained: str = ""
    management: tuple[Endpoint, ...] = ()

    def __str__(self) -> str:
        return f"{self.server} with {self.name}"


class Running:
    """A started server; `launch` is what it would be started from again, `accept` says what is wrong with its answers.

    `started_at` is when its process was last started, on the monotonic clock.
    """

    def __init__(self, launch: Launch, accept: Accept, record: Path, on_event: OnEvent) -> None:
        self.launch = launch
        self.accept = accept
        self._record = record
        self._on_event = on_event
        self._cut = self._failed = False

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where it answers."""
        return self.launch.endpoints

    @property
    def drained(self) -> bool:
        """Whether it ended as it was asked to, every request that had begun answered; a death before that is no cut."""
        return not self._cut

    @property
    def id(self) -> str:
        """What `deploy ps`, `logs` and `stop` call it."""
        return self.launch.folder.name.rpartition("-")[2]

    def note(self, **facts: Any) -> None:
        """Add to its record what others are to know."""
        state.update_record(self._record, facts)

    def require_alive(self) -> None:
        """Raise UnavailableError, with the end of the log, if it has ended."""
        if self.process.returncode is not None:
            raise failure(self.process, f"{self.process.death()} while serving")

    def start(self) -> None:
        """Fill its folder, which must not be there, and start it. Raises UnavailableError if a port is taken."""
        for port in self.launch.ports:
            require_free(self.launch.host, port)
        with postponed():
            _furnish(self.launch)
            self.started_at = time.monotonic()
            self.process = child.start(
                str(self.launch),
                self.launch.command,
                log=_log(self.launch),
                env=self.launch.env,
                cwd=self.launch.folder,
                record=self._record,
                # The client of a container engine passes SIGTERM on; SIGKILL would end the client alone.
                death_signal=signal.SIGTERM if self.launch.engine else signal.SIGKILL,
                guarded=True,
            )

    def require_ready(self, timeout: float) -> None:
        """Wait until every endpoint answers right. Raises UnavailableError, naming the stage that failed."""
        deadline, launch = time.monotonic() + timeout, self.launch
        wait_until_ready(
            self.process, launch.endpoints, self.accept, deadline=deadline, fatal=launch.fatal, on_event=self._on_event
        )
        self.note(ready=True)
        self._on_event(f"{self.process.what} is ready")  # after its record says so, too

    def revive(self, timeout: float) -> None:
        """Start it again at the same place after its end, and judge it again. Raises UnavailableError."""
        self._failed = True
        self.note(ready=False)
        self.process.stop(0)
        _remove_container(self.launch)
        remove(self.launch.folder)
        self.start()
        self.require_ready(timeout)

    def become(self, launch: Launch, accept: Accept) -> None:
        """Take note that it serves something else from now on."""
        self.launch, self.accept = launch, accept
        self.note(**_facts(launch), ready=True)

    def end(self, error: BaseException | None) -> None:
        """Stop it; its log is kept if it failed or cut requests."""
        with postponed() as hurry:  # a second Ctrl-C: the user has no more patience, and all must still go
            died = self.process.returncode is not None
            with suppress(FileNotFoundError):  # the state folder may have been cleared
                self.note(stopping=True)
            clean = self.process.stop(self.launch.stop_grace, hurry=hurry) in _CLEAN or self._says_drained()
            self._cut = not (clean or died)
            self._failed |= died or not clean or isinstance(error, UnavailableError)
            if not self._failed:
                self.process.log.unlink(missing_ok=True)

    def _says_drained(self) -> bool:
        return bool(self.launch.drained) and self.launch.drained in self.process.log_tail()


@contextmanager
def running(
    launch: Launch,
    *,
    accept: Accept,
    timeout: float,
    on_event: OnEvent = lambda event: None,
    facts: Mapping[str, Any] | None = None,
) -> Generator[Running]:
    """Start a server, wait until each endpoint connects and `accept` finds nothing wrong with it, stop it at the end.

    `accept` says what is wrong with a predictor's answers, or None. Whatever happens, the process and its folder are
    gone afterwards; the log is kept if the server failed or cut requests. `facts` become part of the run's record.
    Raises UnavailableError when `timeout` seconds are over, and at once if a port is taken, the server dies or its
    answers are wrong; also if a container engine does not say that the container has gone: then the record stays.
    """
    for port in launch.ports:
        require_free(launch.host, port)
    if launch.engine:
        engines.require_image(launch.engine, image_of(launch.command), on_event)
    else:
        _require_program(launch)
    with ExitStack() as stack:
        with postponed():
            # The record comes first and goes last: whenever we are killed, it tells what there is to tidy up.
            record = _record(launch, facts or {})
            stack.callback(_forget, launch, record)
        for event in (f"starting {launch}", *launch.notes):
            on_event(event)
        server = Running(launch, accept, record, on_event)
        with postponed():
            server.start()
            stack.push(lambda kind, error, trace: server.end(error))
        server.require_ready(timeout)
        yield server


def _require_program(launch: Launch) -> None:
    program = launch.command[0]
    if shutil.which(program, path={**os.environ, **launch.env}.get("PATH")) is None:
        hint = likely_cause(f"{program} could not be started") or f"is {program} installed?"
        raise UnavailableError(f"{launch} cannot be started: there is no program {program}", hint=hint)


def _record(launch: Launch, facts: Mapping[str, Any]) -> Path:
    return state.write_record(str(launch), launch.command, _log(launch), {**_facts(launch), "ready": False, **facts})


def _log(launch: Launch) -> Path:
    return state.logs() / f"{launch.folder.name}.log"


def _forget(launch: Launch, record: Path) -> None:
    with postponed():
        _remove_container(launch)  # if that cannot be had, the record stays and tells what there is to tidy up
        remove(launch.folder)
        record.unlink(missing_ok=True)


def _facts(launch: Launch) -> Mapping[str, Any]:
    """What the record of a server tells beyond that of any child: enough to show it, to stop it and to tidy up after it."""
    return {
        "server": launch.server,
        "name": launch.name,
        "endpoints": [str(endpoint) for endpoint in launch.endpoints],
        "management": [str(endpoint) for endpoint in launch.management],
        "folder": str(launch.folder),
        "engine": launch.engine,
        "container": launch.folder.name if launch.engine else "",
        **launch.facts,
    }


def _furnish(launch: Launch) -> None:
    launch.folder.mkdir(mode=0o755 if launch.engine else 0o700)  # a container's user is another one
    put_files(launch.folder, launch.files)
    put_links(launch.folder, launch.links)
    if launch.engine:
        open_to_all(launch.folder)
    put_writable(launch.folder, launch.writes, NOBODY if launch.engine and not os.getuid() else None)


def _remove_container(launch: Launch) -> None:
    # Usually it has gone with its client; one that was killed, or told to end before it ran, leaves it behind.
    if launch.engine:
        engines.remove(launch.engine, launch.folder.name)
