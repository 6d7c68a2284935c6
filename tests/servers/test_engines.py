"""What engines say, by scripts that stand where the engine would be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy_core.errors import UnavailableError
from deploy_servers import engines
from deploy_servers.causes import likely_cause
from deploy_servers.container import Contained, Container, contained_of, image_of, run_command

Script = Callable[[str], str]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Make an engine of shell lines; every call is noted in `calls`."""

    def make(lines: str) -> str:
        path = tmp_path / "docker"
        path.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n{lines}\n')
        path.chmod(0o755)
        return str(path)

    return make


def test_an_image_that_is_there_is_not_pulled(script: Script, tmp_path: Path) -> None:
    engines.require_image(script("exit 0"), "a/b:1", lambda event: pytest.fail(event))
    assert (tmp_path / "calls").read_text() == "image inspect --format={{.Id}} a/b:1\n"


@pytest.mark.parametrize(
    ("image", "hint"),
    [("triton:1", "docker/build triton builds it"), ("embedded:1-cuda", "DEVICE=cuda docker/build embedded builds it")],
)
def test_an_image_of_ours_is_built_and_never_pulled(script: Script, tmp_path: Path, image: str, hint: str) -> None:
    engine = script('echo "Error: No such image" >&2; exit 1')
    with pytest.raises(UnavailableError, match=f"docker has no image deploy-toolkit/{image}") as raised:
        engines.require_image(engine, f"deploy-toolkit/{image}", lambda event: None)
    assert raised.value.hint.startswith(hint)
    assert (tmp_path / "calls").read_text().count("\n") == 1


def test_an_image_is_pulled_where_that_goes(script: Script, tmp_path: Path) -> None:
    events: list[str] = []
    engine = script('[ "$1" = pull ] && exit 0; echo "Error: No such image: a/b:1" >&2; exit 1')
    engines.require_image(engine, "a/b:1", events.append)
    assert events == ["pulling a/b:1"]
    assert (tmp_path / "calls").read_text().endswith("pull --quiet a/b:1\n")


def test_an_engine_that_does_not_answer_is_told(script: Script) -> None:
    engine = script('echo "Cannot connect to the Docker daemon at unix:///x.sock. Is it running?" >&2; exit 1')
    with pytest.raises(UnavailableError, match="docker image: Cannot connect") as raised:
        engines.require_image(engine, "a/b:1", lambda event: None)
    assert "start its service" in raised.value.hint
    with pytest.raises(UnavailableError, match="docker rm: Cannot connect"):
        engines.remove(engine, "c")


def test_a_container_that_has_gone_is_no_matter(script: Script, tmp_path: Path) -> None:
    engines.remove(script('echo "Error: No such container: c" >&2; exit 1'), "c")
    assert (tmp_path / "calls").read_text().count("\n") == 1


def test_a_container_that_is_going_is_waited_for(script: Script, tmp_path: Path) -> None:
    state = f"{tmp_path}/calls"
    engine = script(
        f'[ "$(wc -l < {state})" -gt 4 ] && {{ echo "No such container" >&2; exit 1; }}; [ "$1" = rm ] || exit 0; '
        'echo "removal of container c is already in progress" >&2; exit 1'
    )
    engines.remove(engine, "c")
    assert (tmp_path / "calls").read_text().splitlines()[0] == "rm --force --volumes c"


def test_a_container_that_stays_is_told(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_SECONDS", 1.0)
    with pytest.raises(UnavailableError, match="the container c is still there"):
        engines.remove(script("exit 0"), "c")


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_command_tells_what_it_runs(engine: str) -> None:
    what = Contained(
        "a/b:1", ("x", "--y", "z=1"), {"A": "b=c", "D": ""}, writes=("/tmp:exec", "/l"), entrypoint="e", keeps=("keys",)
    )
    container = Container(engine, "1:2", cpus="1", memory="1g")
    command = run_command(container, what, folder=Path("/run/d"), host="127.0.0.1", ports=(1, 2))
    assert contained_of(command) == what
    assert image_of(command) == "a/b:1"


@pytest.mark.parametrize(
    ("log", "hint"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', "NVIDIA Container Toolkit"),
        ("nvidia-container-cli: requirement error: unsatisfied condition: cuda>=13.0", "driver is older"),
        ('exec: "docker-init": executable file not found in $PATH', "docker-init"),
        ("permission denied while trying to connect to the Docker daemon socket", "group docker"),
        ("Bind for 127.0.0.1:8501 failed: port is already allocated", "another container"),
        ("ended with exit code 137 before it listened", "out of memory"),
        ("error: simplenet@1 needs torch, tensorflow to be served", "torch, tensorflow is missing where"),
    ],
)
def test_likely_causes_in_containers(log: str, hint: str) -> None:
    assert hint in likely_cause(log)
