"""Temporary folders that go with their process, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from deploy_core.scratch import Scratch, sweep

# Says where its folder is, and waits to be killed.
HOLDER = """
import sys
from deploy_core.scratch import Scratch
held = Scratch()
(held.path / "weights").write_text("large")
print(held.path, flush=True)
sys.stdin.read()
"""


def _holder() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def _killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.fixture(autouse=True)
def _own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_it_is_gone_with_what_is_in_it(tmp_path: Path) -> None:
    with Scratch() as folder:
        (folder / "inside").mkdir()
        (folder / "inside" / "file").write_text("x")
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []
    forgotten = Scratch()
    path = forgotten.path
    del forgotten
    assert not path.exists(), "as soon as nobody knows it"


def test_closing_it_twice_or_without_its_folder_is_no_error() -> None:
    scratch = Scratch()
    scratch.path.rmdir()
    scratch.close()
    scratch.close()


def test_what_a_killed_process_leaves_is_removed_by_the_next_one() -> None:
    process, folder = _holder()
    try:
        assert sweep() == (), "its process lives"
        with Scratch():
            assert (folder / "weights").exists()
    finally:
        _killed(process)
    assert (folder / "weights").exists(), "nobody was there to remove it"
    with Scratch() as own:
        assert not folder.exists()
        assert own.exists()


def test_a_sweep_touches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("mine")
    (tmp_path / "deploy-scratch-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "deploy-scratch-file").write_text("no folder")
    (tmp_path / "deploy-embedded-1").mkdir()
    with Scratch() as own:
        assert sweep() == ()
        assert own.exists()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["deploy-embedded-1", "deploy-scratch-file", "deploy-scratch-link", "elsewhere"]
    assert (tmp_path / "elsewhere" / "file").read_text() == "mine"


def test_a_folder_without_a_lock_is_never_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(descriptor: int, operation: int) -> None:
        raise OSError(95, os.strerror(95))

    with monkeypatch.context() as patch:
        patch.setattr("fcntl.flock", refused)
        scratch = Scratch()
    assert sweep() == ()
    assert scratch.path.exists()
    scratch.close()
    assert list(tmp_path.iterdir()) == []
