"""Starting, waiting and stopping, with small programs in place of servers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy_core import state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UnavailableError, UsageError
from deploy_core.signature import Signature
from deploy_servers.causes import likely_cause
from deploy_servers.launch import Launch, running
from deploy_servers.ports import free_ports, require_free

LISTENS = "import socket, sys, time\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
WAITS = "time.sleep(60)\n"


class Client:
    """What the patched `connect` gives."""

    signature = Signature((), ())

    def close(self) -> None:
        pass


@pytest.fixture
def connecting(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Have `connect` raise or give what this list holds, the last for ever."""
    answers: list[Any] = [Client()]

    def connect(endpoint: Endpoint, *, timeout: float) -> Any:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("deploy_clients.connect", connect)
    return answers


@pytest.fixture
def launch(tmp_path: Path) -> Callable[..., Launch]:
    def make(program: str, **changes: Any) -> Launch:
        (port,) = free_ports(1)
        given = {
            "server": "toy",
            "name": "m@1",
            "command": (sys.executable, "-c", program, str(port)),
            "folder": tmp_path / "run",
            "host": "127.0.0.1",
            "endpoints": (Endpoint("oip", "rest", "127.0.0.1", port, "m"),),
            "ports": (port,),
        }
        return Launch(**{**given, **changes})

    return make


def refused(launch: Launch, timeout: float = 20, accept: Any = lambda predictor: None) -> UnavailableError:
    began = time.monotonic()
    with pytest.raises(UnavailableError) as raised:
        running(launch, accept=accept, timeout=timeout).__enter__()
    assert time.monotonic() - began < timeout + 5
    assert not launch.folder.exists()
    return raised.value


def test_files_and_links_are_in_the_folder_and_gone_afterwards(
    launch: Callable[..., Launch], connecting: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "stored").write_text("model")
    program = LISTENS + "print(open('a/b').read(), open('c/d').read(), flush=True)\n" + WAITS
    planned = launch(program, files={"a/b": "text"}, links={"c/d": tmp_path / "stored"})
    events: list[str] = []
    with running(planned, accept=lambda predictor: None, timeout=20, on_event=events.append) as server:
        assert server.process.log.read_text() == "text model\n"
        assert planned.folder.stat().st_mode & 0o777 == 0o700
    assert not planned.folder.exists()
    assert not server.process.log.exists()
    assert (tmp_path / "stored").read_text() == "model"
    assert server.process.returncode == -signal.SIGTERM
    assert [event.split()[0] for event in events] == ["starting", "waiting", "toy"]


def test_a_death_is_told_with_the_end_of_the_log(launch: Callable[..., Launch]) -> None:
    error = refused(launch("import sys\nprint('OSError: No space left on device')\nsys.exit(3)"))
    assert "ended with exit code 3 before it listened" in str(error)
    assert "disk is full" in error.hint
    assert "OSError: No space" in error.__notes__[-1]
    assert str(state.logs()) in error.__notes__[-1]


def test_a_kill_is_told(launch: Callable[..., Launch]) -> None:
    error = refused(launch("import os\nos.kill(os.getpid(), 9)"))
    assert "was killed by SIGKILL" in str(error)
    assert "memory" in error.hint


def test_never_listening_ends_in_time(launch: Callable[..., Launch]) -> None:
    error = refused(launch("import time\n" + WAITS), timeout=0.5)
    assert "took too long until it listened at oip+rest" in str(error)


def test_never_connecting_says_why(launch: Callable[..., Launch], connecting: list[Any]) -> None:
    connecting[:] = [EndpointError("it answered 503")]
    error = refused(launch(LISTENS + WAITS), timeout=1)
    assert "took too long until it could be connected to" in str(error)
    assert "it answered 503" in str(error)
    assert isinstance(error.__cause__, EndpointError)


def test_connecting_is_tried_again(launch: Callable[..., Launch], connecting: list[Any]) -> None:
    connecting[:] = [EndpointError("not yet"), EndpointError("not yet"), Client()]
    with running(launch(LISTENS + WAITS), accept=lambda predictor: None, timeout=20) as server:
        server.require_alive()
    assert len(connecting) == 1


def test_a_wrong_answer_is_no_readiness(launch: Callable[..., Launch], connecting: list[Any]) -> None:
    error = refused(launch(LISTENS + WAITS), accept=lambda predictor: "y is off by 3")
    assert "answers wrong at oip+rest" in str(error)
    assert "y is off by 3" in str(error)


def test_a_stuck_request_does_not_hide_what_the_log_says(launch: Callable[..., Launch], connecting: list[Any]) -> None:
    import threading

    release = threading.Event()
    program = LISTENS + "s.accept()\ns.accept()\nprint('x: model failed: no weights', flush=True)\n" + WAITS

    def stuck(predictor: Any) -> None:
        import socket

        socket.create_connection(planned.endpoints[0].address.split(":")).close()
        release.wait(30)

    planned = launch(program, fatal=("model failed",))
    try:
        error = refused(planned, accept=stuck)
    finally:
        release.set()
    assert "failed before it predicted" in str(error)
    assert "model failed: no weights" in str(error)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_the_server_goes_whatever_happens(
    launch: Callable[..., Launch], connecting: list[Any], kind: type[BaseException]
) -> None:
    planned = launch(LISTENS + WAITS)
    with pytest.raises(kind), running(planned, accept=lambda predictor: None, timeout=20) as server:
        raise kind
    assert server.process.returncode is not None
    assert not planned.folder.exists()
    require_free("127.0.0.1", planned.ports[0])


def test_an_interrupt_while_waiting_leaves_nothing(launch: Callable[..., Launch]) -> None:
    planned = launch(
        "import os, signal, time\nos.kill(int(os.environ['WHOM']), signal.SIGINT)\n" + WAITS,
        env={"WHOM": str(os.getpid())},
    )
    with pytest.raises(KeyboardInterrupt):
        running(planned, accept=lambda predictor: None, timeout=20).__enter__()
    assert not planned.folder.exists()


def test_a_server_that_ignores_sigterm_is_killed_after_its_grace(
    launch: Callable[..., Launch], connecting: list[Any]
) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LISTENS + WAITS
    with running(launch(deaf, stop_grace=0.2), accept=lambda predictor: None, timeout=20) as server:
        pass
    assert server.process.returncode == -signal.SIGKILL


def test_the_record_of_a_container_that_may_be_there_stays(
    launch: Callable[..., Launch], connecting: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "state"))
    engine = tmp_path / "docker"
    engine.write_text(
        f'#!/bin/sh\n[ "$1" = image ] && exit 0\n[ "$1" = run ] && exec {sys.executable} -c "$3" "$4"\n'
        "echo Cannot connect to the Docker daemon >&2; exit 1\n"
    )
    engine.chmod(0o755)
    base = launch("")
    command = (str(engine), "run", "an/image:1", LISTENS + WAITS, str(base.ports[0]))
    contained = launch("", command=command, engine=str(engine), ports=base.ports, endpoints=base.endpoints)
    with pytest.raises(UnavailableError, match="docker rm: Cannot connect"):
        with running(contained, accept=lambda predictor: None, timeout=20) as server:
            pass
    assert server.process.returncode == -signal.SIGTERM
    (record,) = state.records().glob("*.json")
    assert str(contained.folder) in record.read_text()
    assert contained.folder.exists()


def test_a_program_that_is_not_there_is_told(launch: Callable[..., Launch]) -> None:
    error = refused(launch("", command=("/absent/java",)))
    assert "there is no program /absent/java" in str(error)


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        require_free("127.0.0.1", port)


@pytest.mark.parametrize(
    ("log", "hint"),
    [
        ("java.net.BindException: Address already in use", "port"),
        ("ModuleNotFoundError: No module named 'yaml'", "PyYAML"),
        ("ModuleNotFoundError: No module named 'transformers'", "transformers is missing"),
        ("java.lang.OutOfMemoryError: Java heap space", "memory"),
        ("java.lang.UnsupportedClassVersionError: org/pytorch", "Java 17"),
        ("all is well", ""),
    ],
)
def test_likely_causes(log: str, hint: str) -> None:
    assert hint in likely_cause(log)
    assert bool(hint) == bool(likely_cause(log))


@pytest.mark.parametrize("host", ["999.1.1.1", "192.0.2.1"])
def test_what_is_no_address_of_this_machine_is_said_so(host: str) -> None:
    with pytest.raises(UnavailableError, match=f"{host} is no address of this machine") as raised:
        require_free(host, 0)
    assert "127.0.0.1" in raised.value.hint


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port(port: int) -> None:
    with pytest.raises(UsageError, match=f"{port} is no port"):
        require_free("127.0.0.1", port)
