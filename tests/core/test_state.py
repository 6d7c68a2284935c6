"""The state folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_core import state
from deploy_core.errors import UnavailableError


def test_the_state_folder_is_deploy_state_else_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "mine"))
    assert state.logs() == tmp_path / "mine" / "logs"
    assert state.logs().is_dir()
    record = state.write_record("a server", ("server", "--key=secret"), tmp_path / "log", {})
    for kept in (state.logs(), record.parent):
        assert kept.stat().st_mode & 0o077 == 0, "others have no business there"
    monkeypatch.delenv("DEPLOY_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state.folder() == tmp_path / "xdg" / "deploy"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state.folder() == tmp_path / ".local" / "state" / "deploy"


def test_a_state_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "file"))
    with pytest.raises(UnavailableError, match="the state folder cannot be written") as caught:
        state.logs()
    assert "DEPLOY_STATE" in caught.value.hint
    with pytest.raises(UnavailableError, match="the state folder cannot be written"):
        state.write_record("it", ("true",), tmp_path / "log", {})
