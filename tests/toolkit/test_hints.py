"""Hints reach people once: on the command line, and from a detached command."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy_core.errors import UnavailableError
from deploy_toolkit import cli
from deploy_toolkit.flows import detached
from deploy_toolkit.output import silent


def test_the_command_line_says_a_hint_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._exit_code(["check", "absent", "--store", str(tmp_path)], debug=False) == 2
    told = capsys.readouterr().err
    assert (told.count("error: "), told.count("hint: ")) == (1, 1)


def test_a_detached_command_tells_hint_and_notes_once() -> None:
    error = UnavailableError("port 80 is taken", hint="take another")
    error.add_note("the end of the log")
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as told:
        detached.Report(told).failed(error)
    with os.fdopen(reader) as pipe, pytest.raises(UnavailableError, match="port 80 is taken") as heard:
        detached._heard(pipe, silent)
    assert heard.value.__notes__ == error.__notes__ == ["hint: take another", "the end of the log"]
