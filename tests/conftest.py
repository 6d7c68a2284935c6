"""What every test gets: a state folder of its own, and a look at what it left behind."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Generator
from pathlib import Path

import containers
import psutil
import pytest
from filelock import FileLock

MARK = "DEPLOY_TEST_MARK"


@pytest.fixture(scope="session", autouse=True)
def _own_world(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Point state, temporary folders and children's marks at this test process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEPLOY_STATE", str(tmp_path_factory.mktemp("state")))
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setenv(MARK, uuid.uuid4().hex)
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(autouse=True)
def _nothing_left_behind(_own_world: None, request: pytest.FixtureRequest) -> Generator[None]:
    """Fail a test that leaves a process, a listening port, a temporary folder or a container of ours."""
    look = (lambda: _left() | containers.left()) if "engine" in request.fixturenames else _left
    before = look()
    yield
    left = look() - before
    end = time.monotonic() + 5  # what was killed with its parent takes a moment to be gone
    while left and time.monotonic() < end:
        time.sleep(0.05)
        left = look() - before
    assert not left, f"left behind: {sorted(left)}"


@pytest.fixture(scope="session")
def engine() -> str:
    """The container engine; a test that asks for it is skipped where none answers, and fails there if $DEPLOY_CI is set."""
    return containers.require_engine()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder once for all test processes: `shared(name, make)` gives it, made by the first that asks."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        path, done = root / "shared" / name, root / "shared" / f"{name}.done"
        path.parent.mkdir(exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if not done.exists():
                path.mkdir(exist_ok=True)
                make(path)
                done.touch()
        return path

    return folder


def _left() -> set[str]:
    return _processes() | _ports() | _folders()


def _processes() -> set[str]:
    mark = f"{MARK}={os.environ[MARK]}".encode()
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) != os.getpid() and mark in _read(folder / "environ").split(b"\0"):
            command = _read(folder / "cmdline").replace(b"\0", b" ").decode(errors="replace")
            if command:  # a zombie has none
                found.add(f"process {folder.name}: {command[:200]}")
    return found


def _ports() -> set[str]:
    connections = psutil.Process().net_connections("tcp")
    return {f"port {c.laddr.port}" for c in connections if c.status == psutil.CONN_LISTEN}


def _folders() -> set[str]:
    return {f"temporary {path}" for path in Path(tempfile.gettempdir()).glob("deploy*")}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture
def golden() -> Callable[[Path, str], None]:
    """Compare text with a golden file: `golden(path, text)`; `make golden` writes it instead."""

    def compare(path: Path, text: str) -> None:
        if os.environ.get("DEPLOY_GOLDEN") == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert text == path.read_text(), f"{path} differs; `make golden` writes it anew"

    return compare
