"""`deploy doctor`: what it makes of programs as they really answer, and of those that do not."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import jsonschema
import pytest
from click.testing import CliRunner
from command_line import Deploy

from deploy_core.device import Device
from deploy_core.errors import UnavailableError, UsageError
from deploy_servers import SERVERS
from deploy_servers.ports import free_ports
from deploy_toolkit.cli import deploy as command
from deploy_toolkit.flows import doctor
from deploy_toolkit.probes import engines, gpu, machine, programs, python, ways
from deploy_toolkit.probes.finding import MISSING, OK, WARNING, Finding, look
from deploy_toolkit.reports import doctor as report

Put = Callable[..., Path]

JAVA_17 = """cat >&2 <<'END'
openjdk version "17.0.15" 2025-04-15
OpenJDK Runtime Environment (build 17.0.15+6-Debian-1deb12u1)
OpenJDK 64-Bit Server VM (build 17.0.15+6-Debian-1deb12u1, mixed mode, sharing)
END"""
JAVA_11 = JAVA_17.replace("17.0.15", "11.0.27")
JAVA_8 = """echo 'java version "1.8.0_392"' >&2"""
SMI = """case "$1" in
--query-gpu=*) cat <<'END'
0, NVIDIA H200, 143771, 143166, 580.159.04
1, NVIDIA GB10, [N/A], [N/A], 580.159.04
END
;;
*) cat <<'END'
Sun Nov 22 23:00:00 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 580.159.04             Driver Version: 580.159.04     CUDA Version: 13.0     |
+-----------------------------------------+------------------------+----------------------+
END
;;
esac"""
SMI_NEWER = "echo '| NVIDIA-SMI 600.10   KMD Version: 600.10   CUDA UMD Version: 13.3 |'"
SMI_BROKEN = """echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."; exit 9"""
NO_DAEMON = """echo '{"ServerVersion":"","Runtimes":null,"SecurityOptions":null,"ClientInfo":{"Version":"28.2.2"}}'
echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' >&2; exit 1"""
INFO = """if [ "$1" = info ]; then
echo '{"ServerVersion":"28.2.2","Runtimes":{"nvidia":{"path":"nvidia-container-runtime"},"runc":{}},"SecurityOptions":["name=seccomp","name=rootless"]}'
else
printf '["deploy-toolkit/embedded:0.1.0-cuda"]\\t["PATH=/bin","CUDA_VERSION=12.8.1","NVIDIA_REQUIRE_CUDA=cuda>=12.8 brand=tesla,driver>=470"]\\n'
printf '["docker.io/tensorflow/serving:2.20.0"]\\tnull\\n'
echo 'Error: No such image: other' >&2; exit 1
fi"""
PODMAN = """[ "$1" = info ] && echo '{"host":{"security":{"rootless":true}},"version":{"Version":"4.3.1"}}'"""
HANGS = "trap '' TERM; /bin/sleep 120"
GPU = {
    "gpu": Finding(OK, "0: NVIDIA H200"),
    "driver": Finding(OK, "up to 13.0", facts={"cuda": "13.0", "torch": "13.0", "onnxruntime": True}),
}


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put programs onto a PATH that holds nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(engines, "CDI_FOLDERS", (tmp_path / "cdi",))

    def write(**scripts: str) -> Path:
        for name, script in scripts.items():
            path = folder / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
            path.chmod(0o755)
        return folder

    return write


@pytest.mark.parametrize(
    ("script", "state", "told"),
    [
        (JAVA_17, OK, "17.0.15"),
        (JAVA_11, MISSING, "11.0.27"),
        (JAVA_8, MISSING, "1.8.0_392"),
        ("echo hi", WARNING, None),
    ],
)
def test_java_of_any_age(put: Put, script: str, state: str, told: str | None) -> None:
    put(java=script)
    found = programs.java()
    assert (found.state, found.facts.get("version")) == (state, told)
    assert found.ok or "Java 17" in found.hint


def test_no_java(put: Put) -> None:
    assert programs.java().state == MISSING


def test_gpus_and_what_their_driver_runs(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put(nvidia_smi=SMI)
    found = gpu.gpus()
    assert found.ok
    assert found.facts["gpus"][0] == {
        "index": 0,
        "name": "NVIDIA H200",
        "mib": 143771,
        "free_mib": 143166,
        "driver": "580.159.04",
    }
    assert "memory unknown" in found.told
    monkeypatch.setattr(gpu, "cuda_of_torch", lambda: "12.8")
    assert gpu.driver().ok
    assert gpu.driver().facts["cuda"] == "13.0"
    monkeypatch.setattr(gpu, "cuda_of_torch", lambda: "14.0")
    assert gpu.driver().state == WARNING
    put(nvidia_smi=SMI_NEWER)
    assert gpu.driver().facts["cuda"] == "13.3"


@pytest.mark.parametrize("script", [SMI_BROKEN, "echo No devices were found; exit 6"])
def test_nvidia_smi_without_a_gpu(put: Put, script: str) -> None:
    put(nvidia_smi=script)
    assert (gpu.gpus().state, gpu.driver().state) == (MISSING, MISSING)


def test_no_gpu_at_all(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_DRIVER", tmp_path / "version")
    assert (gpu.gpus().state, gpu.driver().state) == (MISSING, MISSING)
    (tmp_path / "version").touch()
    assert gpu.gpus().state == WARNING


def test_docker_without_its_engine(put: Put) -> None:
    put(docker=NO_DAEMON)
    found = engines.engine("docker", ())
    assert found.state == MISSING
    assert "Cannot connect to the Docker daemon" in found.told
    assert "start its service" in found.hint


def test_an_engine_that_answers(put: Put) -> None:
    put(docker=INFO)
    wanted = ("deploy-toolkit/embedded:0.1.0-cuda", "tensorflow/serving:2.20.0", "other")
    found = engines.engine("docker", wanted)
    assert found.ok
    assert found.facts["images"] == {wanted[0]: "12.8", wanted[1]: ""}
    assert (found.facts["version"], found.facts["rootless"], found.facts["gpus"]) == (
        "28.2.2",
        True,
        "the nvidia runtime",
    )


def test_podman_gives_gpus_by_cdi_only(put: Put, tmp_path: Path) -> None:
    put(podman=PODMAN, nvidia_container_runtime_hook="true")
    found = engines.engine("podman", ())
    assert (found.state, found.facts["version"], found.facts["rootless"], found.facts["gpus"]) == (
        OK,
        "4.3.1",
        True,
        "",
    )
    (tmp_path / "cdi").mkdir()
    (tmp_path / "cdi" / "nvidia.yaml").write_text("cdiVersion: 0.5.0\nkind: nvidia.com/gpu\n")
    assert engines.engine("podman", ()).facts["gpus"] == "CDI"


def test_extras_say_what_is_missing_and_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    versions: Mapping[str, str | None] = {"grpcio": "1.60.1", "onnxruntime-gpu": "1.32.0", "torch": "2.13.0+cpu"}
    monkeypatch.setattr(python, "_installed", versions.get)
    stated = [
        "click>=8.1",
        "grpcio>=1.66; extra == 'serve'",
        "onnxruntime>=1.20; extra == 'serve'",
        'orjson>=3.10 ; extra == "serve"',
        "torch>=2.6; extra == 'torch'",
        "torch>=2.6; extra == 'all'",
        "deploy-toolkit[torch,serve]; extra == 'all'",
    ]
    found = python.extras(stated)
    assert found.facts == {"serve": ["grpcio>=1.66", "orjson>=3.10"], "torch": []}
    assert (found.state, found.hint) == (MISSING, "pip install 'deploy-toolkit[serve]'")


def test_what_torch_is_built_for_is_read_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(python, "find_spec", lambda name: spec)
    for line, want in (("cuda: Optional[str] = '13.0'", "13.0"), ("cuda: Optional[str] = None", "")):
        (tmp_path / "version.py").write_text(f"__version__ = '2.13.0'\n{line}\n")
        assert python.cuda_of_torch() == want


def test_a_taken_port_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    [free] = free_ports(1)
    assert machine.ports([free]).ok
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = machine.ports([port])
    assert (found.state, found.facts) == (WARNING, {"taken": [port]})


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.store_folder(tmp_path / "none").state == WARNING
    assert machine.store_folder(tmp_path).facts["models"] == []
    assert machine.disk(tmp_path / "none" / "deeper").facts
    monkeypatch.setenv("DEPLOY_STATE", "/proc/none")
    assert machine.state_folder().state == MISSING


def test_what_was_left_over_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path))
    assert machine.leftovers().ok
    (tmp_path / "runs").mkdir()
    record = {
        "what": "triton with net@1",
        "boot": "another",
        "created": 0,
        "command": ["tritonserver"],
        "log": "",
        "parent": {"pid": 1, "start": 1},
        "child": None,
        "facts": {"server": "triton"},
    }
    (tmp_path / "runs" / "abc.json").write_text(json.dumps(record))
    found = machine.leftovers()
    assert (found.state, found.facts["left_over"]) == (WARNING, ["abc"])
    assert "--orphans" in found.hint


def test_what_hangs_is_told_and_holds_nothing_up() -> None:
    forever = Event()

    def fails() -> Finding:
        raise UnavailableError("no answer", hint="ask again")

    def nonsense() -> Finding:
        raise ValueError("Expecting value")

    begun = time.monotonic()
    probes = {
        "hangs": lambda: Finding(OK, str(forever.wait(60))),
        "fails": fails,
        "odd": nonsense,
        "good": lambda: Finding(OK, ""),
    }
    found = look(probes, seconds=0.2)
    forever.set()
    assert time.monotonic() - begun < 5
    assert [finding.state for finding in found.values()] == [WARNING, WARNING, WARNING, OK]
    assert (found["fails"].told, found["fails"].hint) == ("no answer", "ask again")
    assert "Expecting value" in found["odd"].told


def _findings(**changed: Finding) -> dict[str, Finding]:
    nothing = Finding(MISSING, "not installed")
    return {"java": nothing, "docker": nothing, "podman": nothing, "gpu": nothing, "driver": nothing, **changed}


def _engine(*, gpus: str = "", images: Mapping[str, str] | None = None) -> Finding:
    return Finding(OK, "28", facts={"path": "/bin/x", "version": "28", "gpus": gpus, "images": images or {}})


def _lacks(server: str, where: str, device: str, **findings: Finding) -> list[str]:
    found = ways.able(server, _findings(**findings))
    return [lack.what for way in found.ways for lack in way.lacks if (way.where, way.device) == (where, device)]


def test_the_embedded_server_on_a_gpu() -> None:
    assert _lacks("embedded", "process", "cpu") == []
    assert _lacks("embedded", "process", "cuda") == ["an NVIDIA GPU", "a runtime for CUDA"]
    assert _lacks("embedded", "process", "cuda", **GPU) == []
    old = Finding(WARNING, "", "update it", {"cuda": "12.4", "torch": "13.0", "onnxruntime": False})
    assert _lacks("embedded", "process", "cuda", gpu=GPU["gpu"], driver=old) == [
        "a driver for CUDA 13.0, which torch wants"
    ]


def test_containers_want_an_engine_an_image_a_toolkit_and_a_driver() -> None:
    assert _lacks("tfserving", "container", "cpu")[0].startswith("a container engine")
    image = "tensorflow/serving:2.20.0"
    assert _lacks("tfserving", "container", "cpu", docker=_engine()) == [f"the image {image}"]
    assert _lacks("tfserving", "container", "cpu", docker=_engine(images={image: ""})) == []
    there = {f"{image}-gpu": "13.1"}
    assert _lacks("tfserving", "container", "cuda", docker=_engine(images=there), **GPU) == [
        f"a driver for CUDA 13.1, which {image}-gpu wants",
        "the NVIDIA Container Toolkit",
    ]
    there = {f"{image}-gpu": "12.8"}
    assert _lacks("tfserving", "container", "cuda", docker=_engine(gpus="CDI", images=there), **GPU) == []


def test_an_engine_that_is_not_the_first_is_named() -> None:
    podman = _engine(images={"tensorflow/serving:2.20.0": ""})
    broken = Finding(MISSING, "docker is there, but its engine does not answer", facts={"path": "/bin/docker"})
    for docker, want in (
        (broken, ("--in", "container", "--engine", "podman")),
        (Finding(MISSING, ""), ("--in", "container")),
    ):
        found = ways.able("tfserving", _findings(docker=docker, podman=podman))
        assert next(way.options for way in found.ways if way.ok) == want


@pytest.mark.parametrize(
    ("server", "own", "usual", "further"),
    [
        ("tfserving", "deploy-toolkit/tfserving-stand-in", "tensorflow/serving:2.20.0", ()),
        ("triton", "deploy-toolkit/triton-wheel", "", ("--set", "backend=python")),
    ],
)
def test_an_image_of_ours_that_is_here_stands_in_for_one_that_is_not(
    server: str, own: str, usual: str, further: tuple[str, ...]
) -> None:
    own = f"{own}:{version('deploy-toolkit')}"
    assert own in ways.substitutes()
    usual = usual or import_module(SERVERS[server].module).image(Device("cpu"))

    def way(device: str, *images: str) -> ways.Way:
        found = ways.able(server, _findings(docker=_engine(gpus="CDI", images=dict.fromkeys(images, "")), **GPU))
        return next(one for one in found.ways if (one.where, one.device) == ("container", device))

    found = way("cpu", own)
    assert (found.ok, found.options) == (True, ("--in", "container", "--image", own, *further))
    assert f"yes, with --image {own}" in str(report._mark(found))
    assert way("cpu", own, usual).options == ("--in", "container")
    assert not way("cpu").ok
    assert not way("cuda", own).ok


def test_an_old_java_is_no_way_to_torchserve(put: Put) -> None:
    put(java=JAVA_11)
    assert "too old" in _lacks("torchserve", "process", "cpu", java=programs.java())[0]
    assert _lacks("torchserve", "process", "cpu", java=Finding(OK, "17")) == []


def test_images_are_those_that_plans_name() -> None:
    folder = Path(__file__).parents[1] / "servers" / "golden"
    plans = "\n".join(path.read_text() for path in folder.iterdir()).replace("VERSION", version("deploy-toolkit"))
    assert not [image for image in ways.images() if not re.search(rf"{re.escape(image)}(?![\w.-])", plans)]


@pytest.mark.parametrize("name", SERVERS)
def test_without_a_module_there_is_no_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    row = SERVERS[name]
    monkeypatch.setattr("deploy_core.table.find_spec", lambda module: None)
    found = ways.able(name, _findings(docker=_engine(gpus="CDI"), **GPU))
    assert not found.ok
    assert f"pip install 'deploy-toolkit[{row.extra}]'" in {lack.hint for way in found.ways for lack in way.lacks}


def _document(text: str) -> dict[str, object]:
    schema = json.loads((files("deploy_toolkit.reports") / "schemas" / "doctor-1.json").read_text())
    document: dict[str, object] = json.loads(text)
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def test_the_command_on_a_machine_where_everything_hangs(put: Put, deploy: Deploy) -> None:
    put(docker=HANGS, podman=HANGS, nvidia_smi=HANGS, java=HANGS)
    begun = time.monotonic()
    done = deploy("doctor", "--json")
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    findings = {one["probe"]: one for one in _document(done.stdout)["findings"]}  # type: ignore[attr-defined]
    for name in ("docker", "podman", "gpu", "driver", "java"):
        assert findings[name]["state"] == WARNING
        assert re.search(r"has not (ended|answered) within \d s", findings[name]["told"])
    assert took < 60  # 5 on a machine that does nothing else; what hangs would take 120


def test_the_exit_code_says_whether_it_can_serve(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(java=JAVA_11)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, ["doctor", "--server", "tfserving", "--json"], standalone_mode=False)
    assert done.return_value == 6
    assert [one["server"] for one in _document(done.stdout)["servers"]] == ["tfserving"]  # type: ignore[attr-defined]
    told = CliRunner().invoke(command, ["doctor"], standalone_mode=False)
    assert told.return_value == 0
    assert "deploy serve NAME --server embedded" in told.stdout
    assert "no package registry has it" in told.stdout
    monkeypatch.setattr("deploy_core.table.find_spec", lambda module: None)
    nothing = CliRunner().invoke(command, ["doctor"], standalone_mode=False)
    assert nothing.return_value == 6
    assert "nothing can be served here yet" in nothing.stdout


def test_an_unknown_server_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown server 'none'"):
        doctor.doctor(tmp_path, "none")


def test_no_framework_is_imported(deploy: Deploy, tmp_path: Path) -> None:
    look_at = "import sys; sys.argv = ['deploy', 'doctor']\nfrom deploy_toolkit.flows.doctor import doctor\n"
    look_at += f"from pathlib import Path; doctor(Path({str(tmp_path)!r}))\n"
    heavy = ("torch", "tensorflow", "onnx", "onnxruntime", "ai_edge_litert", "grpc")
    look_at += f"assert not [name for name in {heavy!r} if name in sys.modules]"
    from deploy_core import child

    said = child.output([sys.executable, "-c", look_at], seconds=60)
    assert said.code == 0, said.err
