"""The command line of a container engine, as plain data."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy_core.device import Device
from deploy_core.errors import UnavailableError, UsageError
from deploy_servers.container import Contained, Container, run_command
from deploy_servers.furnishing import open_to_all
from deploy_servers.settings import find_engine

FOLDER = Path("/run/deploy-triton-1")
WHAT = Contained("a/server:1", ("serve", "--port", "80"), {"A": "b c"}, writes=("/tmp", "/logs"), entrypoint="")


def command(container: Container, device: str = "cpu", host: str = "127.0.0.1") -> list[str]:
    return list(run_command(container, WHAT, folder=FOLDER, host=host, ports=(80, 81), device=Device.parse(device)))


def test_everything_is_read_only_and_published_where_asked() -> None:
    parts = command(Container("/usr/bin/docker", "1:2", cpus="2", memory="1g"))
    assert parts[:2] == ["/usr/bin/docker", "run"]
    wanted = "--rm --read-only --cap-drop=ALL --security-opt=no-new-privileges --user=1:2 --cpus=2 --memory=1g"
    assert set(wanted.split()) <= set(parts)
    assert {"--volume=/run/deploy-triton-1:/deploy:ro", "--name=deploy-triton-1", "--env=A=b c"} <= set(parts)
    assert {"--publish=127.0.0.1:80:80", "--publish=127.0.0.1:81:81", "--tmpfs=/logs"} <= set(parts)
    assert parts[-5:] == ["--entrypoint=", "a/server:1", "serve", "--port", "80"]
    assert "--publish=[::1]:80:80" in command(Container("docker", "1:2"), host="::1")
    assert command(Container("docker", "1:2", image="mine:2"))[-4] == "mine:2"


@pytest.mark.parametrize(
    ("engine", "device", "wanted"),
    [
        ("docker", "cpu", []),
        ("docker", "cuda", ["--gpus=all"]),
        ("docker", "cuda:0,2", ['--gpus="device=0,2"']),
        ("podman", "cuda", ["--device=nvidia.com/gpu=all"]),
        ("podman", "cuda:0,2", ["--device=nvidia.com/gpu=0", "--device=nvidia.com/gpu=2"]),
    ],
)
def test_gpus(engine: str, device: str, wanted: list[str]) -> None:
    assert [part for part in command(Container(engine, "1:2"), device) if "gpu" in part] == wanted


@pytest.mark.parametrize(
    ("engine", "user", "mapped"),
    [("podman", "1000:1000", True), ("podman", "65532:65532", False), ("docker", "1:1", False)],
)
def test_podman_of_an_ordinary_user_keeps_their_number(engine: str, user: str, mapped: bool) -> None:
    assert ("--userns=keep-id" in command(Container(engine, user))) is mapped


def test_no_engine_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/absent")
    for engine, said in (("", "neither Docker nor Podman"), ("podman", "there is no podman on the PATH")):
        with pytest.raises(UnavailableError, match=said) as raised:
            find_engine(engine)
        assert raised.value.exit_code == 6


@pytest.mark.parametrize(
    ("given", "said", "hint"),
    [
        ({"engine": "lxc"}, "unknown engine 'lxc'", "known: docker, podman"),
        ({"memory": "lots"}, "--memory is 'lots'", "2g"),
        ({"memory": "0g"}, "--memory is '0g'", "2g"),
        ({"cpus": "x"}, "--cpus is 'x'", "0.5"),
        ({"cpus": "0"}, "--cpus is '0'", "0.5"),
    ],
)
def test_an_engine_or_limits_that_cannot_be_are_refused_before_anything_runs(
    given: dict[str, str], said: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        find_engine(**given)
    assert hint in raised.value.hint


@pytest.mark.parametrize(("cpus", "memory"), [("2", "2g"), ("0.5", "512m"), ("1.5", "1.5GiB"), ("16", "1073741824")])
def test_limits_as_engines_read_them(cpus: str, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "podman").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_engine("podman", cpus=cpus, memory=memory)
    assert (found.engine, found.cpus, found.memory) == (str(tmp_path / "podman"), cpus, memory)


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:a", "cuda:0,0", "cpu:0", ""])
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(UsageError):
        Device.parse(text)


def test_a_process_sees_the_gpus_it_was_given() -> None:
    shown = {text: Device.parse(text).env.get("CUDA_VISIBLE_DEVICES") for text in ("cpu", "cuda", "cuda:1,0")}
    assert shown == {"cpu": "-1", "cuda": None, "cuda:1,0": "1,0"}
    assert str(Device.parse("cuda:1,0")) == "cuda:1,0"


def test_everybody_may_read_what_a_container_gets_but_not_its_keys(tmp_path: Path) -> None:
    for name in ("models/a/file", "keys/key_file.json"):
        (tmp_path / name).parent.mkdir(parents=True, mode=0o700)
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)
        (tmp_path / name).parent.chmod(0o700)
    (tmp_path / "models").chmod(0o700)
    open_to_all(tmp_path, but=("keys",))
    modes = {path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    wanted = {"models": 0o755, "models/a": 0o755, "models/a/file": 0o644, "keys": 0o700, "keys/key_file.json": 0o600}
    assert modes == wanted
