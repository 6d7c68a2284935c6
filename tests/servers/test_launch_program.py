"""The program of a server that is not here, which is told before anything else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_core import state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UnavailableError
from deploy_servers.launch import Launch, running
from deploy_servers.ports import free_ports


def _launch(folder: Path, program: str) -> Launch:
    (port,) = free_ports(1)
    return Launch(
        server="tfserving",
        name="m@1",
        command=(program, f"--port={port}"),
        folder=folder,
        host="127.0.0.1",
        endpoints=(Endpoint("tfserving", "rest", "127.0.0.1", port, "m"),),
        ports=(port,),
        env={"PATH": str(folder.parent)},
        notes=("it listens on every address",),
    )


@pytest.mark.parametrize(
    ("program", "hint"),
    [("tensorflow_model_server", "serve with --in container, or give --set binary=PATH"), ("/absent/x", "installed?")],
)
def test_a_program_that_is_not_there_is_told_before_anything_is_said(program: str, hint: str, tmp_path: Path) -> None:
    events: list[str] = []
    planned = _launch(tmp_path / "run", program)
    before = set(state.records().glob("*.json"))  # those of servers that other tests share
    with pytest.raises(UnavailableError, match=f"there is no program {program}") as raised:
        running(planned, accept=lambda predictor: None, timeout=20, on_event=events.append).__enter__()
    assert events == []
    assert hint in raised.value.hint
    assert not planned.folder.exists()
    assert set(state.records().glob("*.json")) <= before
