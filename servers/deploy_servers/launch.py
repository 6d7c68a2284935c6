"""What would be started, as plain data; and the one function that starts it."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from deploy_core import child, state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UnavailableError
from deploy_model_store.disk import link_tree
from deploy_servers.ports import free_ports, require_free
from deploy_servers.readiness import Accept, OnEvent, failure, wait_until_ready
from deploy_servers.settings import Settings, prepare

__all__ = ["Accept", "Launch", "OnEvent", "Running", "Settings", "free_ports", "prepare", "running"]


_CLEAN = (0, 128 + signal.SIGTERM, -signal.SIGTERM)  # Java ends with 143 when it is asked to


@dataclass(frozen=True)
class Launch:
    """A server process to be: `files` (texts) and `links` (stored files) are put into `folder`, which is its own.

    `engine` is empty unless `command` runs a container of that engine, which then has the name of `folder`. `ports` are all that it will listen on; `fatal` are texts in its log after which it will never be ready;
    `stop_grace` is how many seconds it gets to end after SIGTERM.
    """

    server: str
    name: str
    command: tuple[str, ...]
    folder: Path
    host: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[int, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, Path] = field(default_factory=dict)
    fatal: tuple[str, ...] = ()
    stop_grace: float = 15.0
    engine: str = ""

    def __str__(self) -> str:
        return f"{self.server} with {self.name}"


@dataclass(frozen=True)
class Running:
    """A started server that has answered as it should."""

    launch: Launch
    process: child.Child

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where it answers."""
        return self.launch.endpoints

    @property
    def drained(self) -> bool:
        """Whether it ended as it was asked to, every request that had begun answered."""
        return self.process.returncode in _CLEAN

    def require_alive(self) -> None:
        """Raise UnavailableError, with the end of the log, if it has ended."""
        if self.process.returncode is not None:
            raise failure(self.process, f"{self.process.death()} while serving")


@contextmanager
def running(
    launch: Launch, *, accept: Accept, timeout: float, on_event: OnEvent = lambda event: None
) -> Generator[Running]:
    """Start a server, wait until each endpoint connects and `accept` finds nothing wrong with it, stop it at the end.

    `accept` says what is wrong with a predictor's answers, or None. Whatever happens, the process and its folder are
    gone afterwards; the log is kept if the server failed or cut requests. Raises UnavailableError when `timeout` seconds are over, and
    at once if a port is taken, the server dies or its answers are wrong.
    """
    for port in launch.ports:
        require_free(launch.host, port)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, launch.folder, ignore_errors=True)
        _furnish(launch)
        on_event(f"starting {launch}")
        log = state.logs() / f"{launch.folder.name}.log"
        # The client of a container engine passes SIGTERM on; SIGKILL would end the client alone.
        last = signal.SIGTERM if launch.engine else signal.SIGKILL
        process = child.start(
            str(launch),
            launch.command,
            log=log,
            env=launch.env,
            cwd=launch.folder,
            facts=_facts(launch),
            death_signal=last,
        )
        stack.push(partial(_end, launch, process))
        deadline = time.monotonic() + timeout
        wait_until_ready(process, launch.endpoints, accept, deadline=deadline, fatal=launch.fatal, on_event=on_event)
        process.note(ready=True)
        yield Running(launch, process)


def _facts(launch: Launch) -> Mapping[str, Any]:
    """What the record of a server tells beyond that of any child: enough to show it, to stop it and to tidy up after it."""
    return {
        "server": launch.server,
        "name": launch.name,
        "endpoints": [str(endpoint) for endpoint in launch.endpoints],
        "folder": str(launch.folder),
        "engine": launch.engine,
        "container": launch.folder.name if launch.engine else "",
        "ready": False,
    }


def _furnish(launch: Launch) -> None:
    launch.folder.mkdir(mode=0o755 if launch.engine else 0o700)  # a container's user is another one
    for name, text in launch.files.items():
        path = launch.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name, source in launch.links.items():
        link_tree(source, launch.folder / name)


def _end(launch: Launch, process: child.Child, kind: object, error: BaseException | None, trace: object) -> None:
    failed = process.returncode is not None or isinstance(error, UnavailableError)
    try:
        clean = process.stop(launch.stop_grace) in _CLEAN
    except BaseException:
        # A second Ctrl-C: the user has no more patience, and the process must still go.
        process.stop(0)
        raise
    if clean and not failed:
        process.log.unlink(missing_ok=True)
