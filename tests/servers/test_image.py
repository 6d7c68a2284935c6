"""What a version baked into an image is made of, as plain data; and the Dockerfiles in docker/."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import version as installed
from pathlib import Path

import pytest

from deploy_core.device import Device
from deploy_core.errors import UnavailableError, UsageError
from deploy_model_store import Store
from deploy_servers import SERVERS
from deploy_servers.container import Container
from deploy_servers.ending import end
from deploy_servers.image import USER, Baking, bake, build, draft, trial
from deploy_servers.runs import LEFT_OVER, read, servers
from deploy_servers.settings import Settings

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
DOCKER = "/usr/bin/docker"


def baking(store: Store, name: str, server: str, *, engine: str = DOCKER, base: str = "", **changes: object) -> Baking:
    module = SERVERS.load(server)
    http_port, grpc_port, *others = module.USUAL_PORTS
    fixed = Settings(
        folder=Path("/run/deploy"),
        store=store.root,
        http_port=http_port,
        grpc_port=grpc_port,
        ports=tuple(others),
        container=Container(engine, USER),
        key="KEY",
        baked=True,
    )
    settings = replace(fixed, **changes)  # type: ignore[arg-type]
    return bake(module.plan([store.resolve(name)], settings), f"{name.partition('@')[0]}:1", base=base)


@pytest.mark.parametrize(
    ("server", "name", "device"),
    [("embedded", "linear@1", "cpu"), ("torchserve", "archived", "cuda:0")],
)
def test_golden_image(store: Store, golden: Callable[[Path, str], None], server: str, name: str, device: str) -> None:
    made = baking(store, name, server, device=Device.parse(device))
    text = "\n".join([" ".join(made.build), " ".join(made.run), "", made.dockerfile])
    text += "".join(f"# {place} = {path}\n" for place, path in made.launch.links.items())
    golden(GOLDEN / f"image-{server}.txt", text.replace(str(store.root), "STORE"))
    assert made.run[-1] == made.tag


def test_triton_has_the_ports_of_its_own_documentation(store: Store) -> None:
    made = baking(store, "linear@2", "triton")
    assert 'EXPOSE 8000 8001 8002\nENTRYPOINT ["tritonserver"]\n' in made.dockerfile
    assert {endpoint.transport: endpoint.port for endpoint in made.launch.endpoints} == {"rest": 8000, "grpc": 8001}


def test_its_base_can_be_another(store: Store) -> None:
    made = baking(store, "linear@1", "embedded", base="mine:2")
    assert made.dockerfile.startswith("FROM mine:2\n")


def test_values_stay_what_they_are_in_a_dockerfile(store: Store) -> None:
    launch = baking(store, "linear@1", "embedded").launch
    command = [part for part in launch.command if not part.startswith("--env=")]
    command.insert(2, '--env=A=a "b" $HOME \\')
    made = bake(replace(launch, command=tuple(command)), "a:1")
    assert 'ENV A="a \\"b\\" \\$HOME \\\\"\n' in made.dockerfile


@pytest.mark.parametrize("tag", ["Linear:1", "a b", "", "a:", ":1", "-a"])
def test_a_name_that_no_image_can_have_is_refused(store: Store, tag: str) -> None:
    with pytest.raises(UsageError, match="is no name of an image"):
        bake(baking(store, "linear@1", "embedded").launch, tag)


def test_its_trial_is_published_on_free_ports_and_writes_keys_as_the_caller(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = baking(store, "archived", "torchserve")
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr("os.getgid", lambda: 100)
    tried = trial(made)
    assert "--user=1000:100" in tried.command
    assert f"--volume={tried.folder}/keys:/deploy/keys" in tried.command
    assert f"--user={USER}" in made.run
    assert not set(tried.ports) & set(made.launch.ports)
    assert {endpoint.port for endpoint in (*tried.endpoints, *tried.management)} <= set(tried.ports)
    for outer, inner in zip(tried.ports, made.launch.ports, strict=True):
        assert f"--publish=127.0.0.1:{outer}:{inner}" in tried.command
    assert tried.folder != made.launch.folder
    assert tried.command[-1] == made.tag
    assert not tried.links


def test_a_build_that_fails_tells_the_end_of_its_log(store: Store, tmp_path: Path) -> None:
    engine = tmp_path / "docker"
    engine.write_text(
        '#!/bin/sh\n[ "$1" = image ] && exit 0\nfor last; do :; done\n'
        f"cp $last/Dockerfile {tmp_path}/seen\nfind $last/deploy -type f | sort >> {tmp_path}/seen\n"
        "echo COPY failed: No space left on device >&2; exit 3\n"
    )
    engine.chmod(0o755)
    folder = tmp_path / "context"
    made = baking(store, "linear@1", "embedded", engine=str(engine), folder=folder)
    with pytest.raises(UnavailableError, match="linear:1 could not be built: ended with exit code 3") as raised:
        build(made, lambda event: None)
    assert "disk is full" in raised.value.hint
    assert "COPY failed" in raised.value.__notes__[-1]
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith(made.dockerfile)
    assert f"{folder}/deploy/store/linear/1/onnx/linear.onnx" in seen
    assert not folder.exists()


@pytest.mark.parametrize("outcome", [None, KeyboardInterrupt(), UnavailableError("it answers wrong")])
def test_an_image_has_its_name_when_it_is_proved(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: BaseException | None
) -> None:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "state"))
    engine = tmp_path / "docker"
    engine.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\n')
    engine.chmod(0o755)
    folder = tmp_path / "deploy-embedded-0a1b2c3d"
    made = baking(store, "linear@1", "embedded", engine=str(engine), folder=folder)
    name, seen = f"deploy-unproved:{folder.name}", []
    with pytest.raises(type(outcome)) if outcome else nullcontext(), draft(made, lambda event: None) as tried:
        seen = (tmp_path / "calls").read_text().splitlines()
        assert tried.command[-1] == name
        if outcome:
            raise outcome
    assert seen[1] == f"build --network=none --pull=false --tag={name} {folder}"
    tagged = [] if outcome else [f"tag {name} linear:1"]
    assert (tmp_path / "calls").read_text().splitlines()[len(seen) :] == [*tagged, f"image rm {name}"]


def test_a_build_that_was_killed_is_listed_and_tidied_up(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "state"))
    engine, folder = tmp_path / "docker", tmp_path / "deploy-embedded-0a1b2c3d"
    engine.write_text('#!/bin/sh\n[ "$1" = image ] && exit 0\nexec sleep 60\n')
    engine.chmod(0o755)
    made = baking(store, "linear@1", "embedded", engine=str(engine), folder=folder)
    (tmp_path / "made").write_bytes(pickle.dumps(made))
    builds = (
        "import pickle, sys; from deploy_servers.image import build; build(pickle.load(open(sys.argv[1], 'rb')), print)"
    )
    with subprocess.Popen([sys.executable, "-c", builds, str(tmp_path / "made")], stdout=subprocess.DEVNULL) as killed:
        while not any(run.processes for run in read()[0]):
            assert killed.poll() is None
        assert servers() == (), "somebody is there to end it"
        killed.kill()
    (run,) = servers()
    assert (str(run), run.state) == ("0a1b2c3d (the build of linear:1)", LEFT_OVER)
    assert f"folder {folder}" in end(run)
    assert not folder.exists()
    assert servers() == ()


DOCKERFILES = sorted(ROOT.glob("docker/*/Dockerfile"))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_images_start_from_what_is_asked_for_and_do_not_end_as_root(path: Path) -> None:
    text = path.read_text()
    assert re.search(r"^ARG BASE_IMAGE=\S+$", text, re.MULTILINE)
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == USER
    assert "build/images/ca/" in text
    assert "pip.conf" not in text.split("\nFROM ")[-1], "it may hold a password, and layers keep everything"
    # The part of an image's name before the first slash is a registry's host if it has a dot or a port.
    names = re.findall(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)
    assert not [name for name in names if re.match(r"[^/]*[.:][^/]*/", name)]


def test_what_images_ask_pip_for(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "docker/requirements.py", tmp_path], cwd=ROOT, check=True)
    embedded = (tmp_path / "embedded.txt").read_text()
    assert "uvloop" in embedded
    assert "torch" not in embedded
    assert {"PyYAML>=6.0", "numpy", "onnxruntime"} <= set((tmp_path / "torchserve.txt").read_text().split())


def test_a_bundle_of_certificates_is_split(tmp_path: Path) -> None:
    one = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n"
    (tmp_path / "bundle.pem").write_text(f"# a comment\n{one}{one}")
    command = [sys.executable, ROOT / "docker/split_bundle.py", tmp_path / "bundle.pem", tmp_path]
    subprocess.run(command, check=True)
    assert {path.name: path.read_text() for path in tmp_path.glob("*.crt")} == {"own-1.crt": one, "own-2.crt": one}
    (tmp_path / "bundle.pem").write_text("nothing")
    refused = subprocess.run(command, check=False, capture_output=True, text=True)
    assert refused.returncode
    assert "holds no certificate" in refused.stderr


def test_dry_run_builds_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from command_line import run_deploy

    (tmp_path / "docker").write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    (tmp_path / "docker").chmod(0o755)
    words = ("image", "linear@stable", "--store", store.root, "--set", "threads=2")
    done = run_deploy(*words, "--dry-run", "--json", cwd=tmp_path, PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["image"] == "linear-embedded:1"
    assert document["build"][0] == str(tmp_path / "docker")
    assert not (tmp_path / "called").exists()
    _valid(document, "image-plan-1")
    shown = run_deploy(*words, "--dry-run", cwd=tmp_path, PATH=str(tmp_path))
    assert "FROM deploy-toolkit/embedded:" in shown.stdout
    none = run_deploy(*words, cwd=tmp_path, PATH="/absent")
    assert none.returncode == 6
    assert "neither Docker nor Podman" in none.stderr


def _valid(document: object, schema: str) -> None:
    from importlib.resources import files

    import jsonschema

    text = (files("deploy_toolkit.reports") / "schemas" / f"{schema}.json").read_text()
    jsonschema.Draft202012Validator(json.loads(text)).validate(document)


def test_compose_publishes_on_this_machine_only_and_locks_every_service_in() -> None:
    import yaml

    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    scraped = yaml.safe_load((ROOT / "docker/prometheus.yaml").read_text())["scrape_configs"]
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
        assert service["read_only"], name
        assert service["user"] != "root", name
        assert not re.match(r"[^/]*[.:][^/]*/", service["image"]), name
        assert "DEPLOY_VERSION" not in service["image"] or f":-{installed('deploy-toolkit')}}}" in service["image"]
    targets = {
        target.partition(":")[0] for job in scraped for part in job["static_configs"] for target in part["targets"]
    }
    assert targets == services.keys() - {"prometheus"}
    assert services["embedded-gpu"]["profiles"] == ["gpu"]


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_says_a_usual_port_for_everything_that_it_listens_for(server: str) -> None:
    module = SERVERS.load(server)
    assert len(set(module.USUAL_PORTS)) == 2 + module.PORTS
