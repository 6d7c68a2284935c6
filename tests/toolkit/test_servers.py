"""Which servers are said to run here: those that can be started."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest
from documents import valid
from jsonschema import Draft202012Validator
from rich.console import Console
from tfserving_store import fill_pretended

from deploy_core import state
from deploy_core.device import CPU
from deploy_core.endpoint import Endpoint
from deploy_toolkit.cli import _exit_code, deploy
from deploy_toolkit.flows import demo, formats, life, serve, upkeep
from deploy_toolkit.output import Output
from deploy_toolkit.probes import programs, ways
from deploy_toolkit.reports import runs


def _missing() -> tuple[str, ...]:
    return next(row.missing for row in formats.servers() if row.server == "torchserve")


def test_java_is_found_where_java_home_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert _missing() == ()
    monkeypatch.delenv("JAVA_HOME")
    assert _missing() == ("java",)


def test_a_server_is_here_if_doctor_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.1\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    (told,) = _missing()
    assert told == f"{java} is Java 11.0.1, which is too old for TorchServe"
    for row in formats.servers():
        way = ways.as_process(row.server, CPU, {"java": programs.java()})
        assert (row.missing, not row.missing) == (tuple(lack.what for lack in way.lacks), way.ok)


def test_what_is_missing_is_told_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "find_program", lambda name: "")
    hints = {row.server: row.hint for row in formats.servers() if row.missing}
    assert hints["torchserve"] == "deploy doctor --server torchserve"
    monkeypatch.setattr("deploy_core.table.find_spec", lambda module: None)
    hints = {row.server: row.hint for row in formats.servers()}
    assert hints["torchserve"] == "pip install 'deploy-toolkit[torchserve]'"


def test_every_option_that_set_takes_is_told_of_a_server_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    deploy.main(["servers", "embedded", "triton"], standalone_mode=False)
    said = capsys.readouterr().out
    for row in formats.servers(("embedded", "triton")):
        assert set(row.options) <= set(said.split())
    deploy.main(["servers"], standalone_mode=False)
    assert "max_request_bytes" not in capsys.readouterr().out


def test_the_demo_says_which_server_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo.export, "export", lambda *args, **options: None)
    asked = []
    monkeypatch.setattr(demo.check, "check", lambda request, **options: asked.append(request.servers))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("deploy_servers.settings._in_pytriton", lambda: "")
    result = demo.demo(tmp_path, on_event=lambda event: None)
    assert set(asked) == {("embedded",)}
    assert "torchserve was left out: it needs java; deploy doctor --server torchserve" in result.notes
    assert "tfserving was left out: it needs tensorflow_model_server; deploy doctor --server tfserving" in result.notes
    assert "triton was left out: it needs tritonserver; deploy doctor --server triton" in result.notes


def test_progress_is_over_while_a_server_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    @contextmanager
    def heard(name: str) -> Generator[None]:
        told.append(f"{name} begins")
        yield
        told.append(f"{name} ends")

    monkeypatch.setattr(Output, "progress", lambda self: heard("progress"))
    monkeypatch.setattr(Output, "show", lambda *args: told.append("shown"))
    monkeypatch.setattr(runs, "serving", lambda *args: "")
    monkeypatch.setattr(serve, "prepared", lambda *args, **options: None)
    monkeypatch.setattr(serve, "started", lambda *args, **options: heard("server"))
    monkeypatch.setattr(serve, "running_json", lambda running: {})
    monkeypatch.setattr(upkeep, "wait", lambda *args, **options: told.append("waited"))
    monkeypatch.setattr(serve, "require_drained", lambda running: told.append("drained"))
    with pytest.raises(SystemExit) as ended:
        deploy.main(["serve", "net"])
    assert ended.value.code == 0
    assert told == ["progress begins", "server begins", "progress ends", "shown", "waited", "server ends", "drained"]


def test_a_dry_run_tells_every_file_whatever_its_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill_pretended(tmp_path)
    asked = ["serve", "linear@2", "--server", "tfserving", "--dry-run", "--store", str(tmp_path)]
    assert _exit_code([*asked, "--json"], debug=False) == 0
    document = json.loads(capsys.readouterr().out)
    kept = json.loads(files("deploy_toolkit.reports").joinpath("schemas", "launch-1.json").read_text())
    Draft202012Validator(kept).validate(document)
    assert document["files"]["models/linear/2/assets.extra/tf_serving_warmup_requests"] == "(208 bytes)"
    assert "listens on every address" in document["notes"][0]
    assert _exit_code(asked, debug=False) == 0
    told = capsys.readouterr().out
    (command,) = (line for line in told.splitlines() if "--model_config_file=" in line)
    assert command.startswith("tensorflow_model_server "), "a command is one line, however long"
    assert "(208 bytes)" in told
    assert "listens on every address" in told
    place, path = next(iter(document["links"].items()))
    assert Path(path).is_relative_to(tmp_path)
    assert f"# {place} is {path}\n" in told


def test_a_server_that_is_ready_tells_where_it_is_managed() -> None:
    address = Endpoint("torchserve", "rest", "127.0.0.1", 8081, "")
    launch = SimpleNamespace(server="torchserve", notes=(), management=(address,))
    process = SimpleNamespace(pid=1, log="it.log")
    document = serve.running_json(SimpleNamespace(launch=launch, id="1", process=process, endpoints=()))  # type: ignore[arg-type]
    valid(json.dumps(document), "serve-1")
    assert document["management"] == ["torchserve+rest://127.0.0.1:8081"]
    assert "managed at torchserve+rest://127.0.0.1:8081\n" in str(runs.serving(document, "Ctrl-C stops it"))


def test_a_listing_tells_where_a_server_is_managed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path))
    at = "torchserve+rest://127.0.0.1:8081"
    facts = {"server": "torchserve", "name": "m@1", "endpoints": [f"{at[:-1]}0/m"], "management": [at]}
    state.write_record("torchserve with m@1", ("java",), tmp_path / "log", facts)
    found = life.listing()
    assert valid(json.dumps(life.listing_json(found)), "ps-1")["runs"][0]["management"] == [at]
    Console(width=200).print(runs.listing(found))
    assert f"managed at {at}" in capsys.readouterr().out
