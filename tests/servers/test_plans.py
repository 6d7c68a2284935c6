"""Plans are pure: the same versions and settings give the same launch, which is kept as a golden file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from deploy_core.device import Device
from deploy_core.errors import UnavailableError, UsageError
from deploy_model_store import Store
from deploy_servers import SERVERS
from deploy_servers.container import Container
from deploy_servers.settings import Settings, find_program, prepare

GOLDEN = Path(__file__).parent / "golden"


def settings(store: Store, **changes: object) -> Settings:
    fixed = Settings(folder=Path("/run/deploy"), store=store.root, http_port=8501, grpc_port=8500)
    return replace(fixed, **changes)  # type: ignore[arg-type]


def rendered(launch: object, store: Store) -> str:
    text = json.dumps(asdict(launch), indent=1, default=str) + "\n"  # type: ignore[call-overload]
    return text.replace(str(store.root), "STORE").replace(sys.executable, "PYTHON")


@pytest.mark.parametrize(
    ("case", "server", "names", "options"),
    [
        ("embedded", "embedded", ["linear@1", "linear"], {}),
        ("embedded-options", "embedded", ["linear@stable"], {"threads": "2", "grace": "0", "artifact": "onnx"}),
    ],
)
def test_golden_plan(
    store: Store, golden: Callable[[Path, str], None], case: str, server: str, names: list[str], options: dict[str, str]
) -> None:
    planned = SERVERS.load(server).plan([store.resolve(name) for name in names], settings(store, options=options))
    golden(GOLDEN / f"{case}.json", rendered(planned, store))
    assert planned.stop_grace > 0
    assert not planned.folder.exists()


@pytest.mark.parametrize(
    ("case", "engine", "device"),
    [("embedded-container", "docker", "cpu"), ("embedded-container-gpu", "podman", "cuda:1")],
)
def test_golden_plan_of_the_embedded_server_in_a_container(
    store: Store, golden: Callable[[Path, str], None], case: str, engine: str, device: str
) -> None:
    container = Container(f"/usr/bin/{engine}", "1000:1000", cpus="2", memory="1g")
    changes = {"container": container, "device": Device.parse(device), "options": {"threads": "2"}}
    planned = SERVERS.load("embedded").plan([store.resolve("linear@1")], settings(store, **changes))
    golden(GOLDEN / f"{case}.json", rendered(planned, store))


def test_in_a_container_a_version_needs_no_runtime_here(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy_servers.embedded.runtimes.find_spec", lambda name: None)
    module, linear = SERVERS.load("embedded"), store.resolve("linear@2")
    with pytest.raises(UnavailableError, match="needs onnxruntime"):
        module.plan([linear], settings(store))
    planned = module.plan([linear], settings(store, container=Container("docker", "1:1")))
    assert set(planned.links) == {"store/linear/2/manifest.json", "store/linear/2/onnx/linear.onnx"}


def test_the_embedded_server_takes_one_gpu(store: Store) -> None:
    module, linear = SERVERS.load("embedded"), store.resolve("linear")
    with pytest.raises(UsageError, match="one GPU, not on cuda:0,1"):
        module.plan([linear], settings(store, device=Device.parse("cuda:0,1")))
    planned = module.plan([linear], settings(store, device=Device.parse("cuda:1")))
    assert planned.env == {"CUDA_VISIBLE_DEVICES": "1"}
    assert planned.command[-2:] == ("--device", "cuda")


def test_java_home_is_looked_at_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_program("java") == str(java)
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", "/absent")
    assert find_program("java") == ""


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy_core.table.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="server torchserve needs ts, torch, yaml") as raised:
        SERVERS.load("torchserve")
    assert raised.value.hint == "pip install 'deploy-toolkit[torchserve]'"


def test_prepare_gives_ports_that_differ_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    one = prepare("torchserve", tmp_path, http_port=8501, extra_ports=3)
    assert one.http_port == 8501
    assert len({one.grpc_port, *one.ports}) == 4
    assert not one.folder.exists()
    assert one.folder != prepare("torchserve", tmp_path).folder
