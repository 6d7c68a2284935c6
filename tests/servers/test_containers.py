"""Servers in real containers: they answer right, are locked in, and are gone afterwards whatever ends them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import run_deploy
from containers import inspected, require_image

from deploy_core import state
from deploy_core.device import Device
from deploy_core.errors import UnavailableError
from deploy_model_store import Store
from deploy_servers import SERVERS
from deploy_servers.container import Contained, run_command
from deploy_servers.launch import Launch, Running, running
from deploy_servers.settings import find_engine, prepare

Judge = Callable[[Any], Callable[[Any], "str | None"]]

pytestmark = pytest.mark.xdist_group("containers")


def planned(
    store: Store,
    name: str,
    server: str = "embedded",
    *,
    device: str = "cpu",
    options: Mapping[str, str] | None = None,
    **container: str,
) -> Launch:
    module = SERVERS.load(server)
    settings = prepare(
        server,
        store.root,
        extra_ports=module.PORTS,
        device=Device.parse(device),
        container=find_engine("docker", **container),
        options=options,
    )
    launch: Launch = module.plan([store.resolve(name)], settings)
    return launch


def inside(launch: Launch, engine: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the server's container."""
    command = [engine, "exec", launch.folder.name, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def embedded(engine: str) -> str:
    return require_image(engine, "embedded")


@pytest.fixture(scope="module")
def served(embedded: str, store: Store, judge: Judge) -> Iterator[Running]:
    launch = planned(store, "linear@1", cpus="1", memory="512m")
    with running(launch, accept=judge(store.resolve("linear@1")), timeout=60) as server:
        yield server


def test_every_endpoint_of_the_container_agrees(served: Running, store: Store, tmp_path: Path) -> None:
    endpoints = [part for endpoint in served.endpoints for part in ("--endpoint", str(endpoint))]
    done = run_deploy("check", "linear@1", *endpoints, "--store", store.root, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {row["subject"]: row["verdict"] for row in json.loads(done.stdout)["rows"]}
    assert len(endpoints) == 12
    assert all(rows[str(endpoint)] == "agree" for endpoint in served.endpoints), rows


def test_the_container_can_do_nothing_but_serve(served: Running, engine: str) -> None:
    launch = served.launch
    assert inside(launch, engine, "id", "-u").stdout.strip() == (str(os.getuid()) if os.getuid() else "65532")
    for place in ("/opt/deploy", "/deploy/store", "/"):
        refused = inside(launch, engine, "sh", "-c", f"echo x > {place}/x")
        assert refused.returncode, place
    assert inside(launch, engine, "sh", "-c", "echo x > /tmp/x").returncode == 0
    status = inside(launch, engine, "cat", "/proc/self/status").stdout
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status
    limits = inspected(engine, launch.folder.name, "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}")
    assert limits == f"{512 << 20} {10**9}"
    published = inspected(engine, launch.folder.name, "{{json .HostConfig.PortBindings}}")
    assert {one["HostIp"] for bound in json.loads(published or "{}").values() for one in bound} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("server", "name", "image", "options"),
    [("torchserve", "archived", "torchserve", {}), ("triton", "linear@1", "triton-wheel", {"backend": "python"})],
)
def test_other_servers_in_a_container_answer_right(
    engine: str, store: Store, judge: Judge, server: str, name: str, image: str, options: dict[str, str]
) -> None:
    launch = planned(store, name, server, options=options, image=require_image(engine, image))
    with running(launch, accept=judge(store.resolve(name)), timeout=120) as started:
        assert inside(launch, engine, "id", "-u").stdout.strip() != "0"
        assert {endpoint.transport for endpoint in started.endpoints} == {"rest", "grpc"}
    assert started.drained
    assert inspected(engine, launch.folder.name, "{{.Id}}") is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_container_outlives_the_command(
    embedded: str, engine: str, store: Store, number: signal.Signals, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-m",
        "deploy_toolkit.cli",
        "serve",
        "linear@1",
        "--in",
        "container",
        "--json",
        "--quiet",
    ]
    # Its folder stays when it is killed, for a later command to tidy up: not among those of these tests.
    env = {**os.environ, "DEPLOY_STORE": str(store.root), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            assert line, text
            text += line
        name = Path(json.loads(text)["log"]).stem
        assert inspected(engine, name, "{{.State.Running}}") == "true"
        process.send_signal(number)
        assert process.wait(60) == {signal.SIGKILL: -9}.get(number, 0)
    end = time.monotonic() + 30
    while inspected(engine, name, "{{.Id}}") is not None:
        assert time.monotonic() < end, f"{name} is still there"


def test_a_container_that_never_ran_is_shown_and_removed(
    embedded: str, engine: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "state"))
    launch = planned(store, "linear@1")
    name = launch.folder.name
    facts = {"server": "embedded", "name": "linear@1", "engine": engine, "container": name}
    record = state.write_record(str(launch), launch.command, tmp_path / "log", facts)
    killed = {**json.loads(record.read_text()), "parent": {"pid": os.getpid(), "start": 1}}
    record.write_text(json.dumps(killed))
    # What an engine leaves that is killed between `create` and `start`.
    options = [word for word in launch.command[2:] if not word.startswith("--volume=")]
    subprocess.run([engine, "create", *options], check=True, capture_output=True)
    assert inspected(engine, name, "{{.State.Status}}") == "created"
    (run,) = json.loads(run_deploy("ps", "--json", cwd=tmp_path).stdout)["runs"]
    assert (run["state"], run["container"]) == ("left over", name)
    ended = json.loads(run_deploy("stop", "--orphans", "--json", cwd=tmp_path).stdout)["ended"]
    assert f"container {name}" in ended
    assert inspected(engine, name, "{{.Id}}") is None
    assert not record.exists()


def test_what_does_not_end_when_asked_is_removed(embedded: str, engine: str, store: Store) -> None:
    base = planned(store, "linear@1")
    deaf = "import signal, socket, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    deaf += "s = socket.create_server(('0.0.0.0', int(sys.argv[1]))); print('deaf', flush=True); time.sleep(300)"
    what = Contained(embedded, ("-c", deaf, str(base.ports[0])), {}, entrypoint="python")
    command = run_command(find_engine("docker"), what, folder=base.folder, host=base.host, ports=base.ports)
    launch = replace(base, command=command, stop_grace=1.0, fatal=("deaf",))
    with pytest.raises(UnavailableError, match=r"failed before it .*: deaf"):
        running(launch, accept=lambda predictor: None, timeout=30).__enter__()
    assert inspected(engine, launch.folder.name, "{{.Id}}") is None


def test_out_of_memory_is_told(embedded: str, store: Store) -> None:
    with pytest.raises(UnavailableError) as raised:
        running(planned(store, "linear@1", memory="16m"), accept=lambda predictor: None, timeout=60).__enter__()
    assert "out of memory" in raised.value.hint


def test_an_absent_image_is_one_sentence(engine: str, store: Store) -> None:
    own = planned(store, "linear@1", image="deploy-toolkit/embedded:never-built")
    with pytest.raises(UnavailableError, match=r"^docker has no image deploy-toolkit/embedded:never-built\n") as raised:
        running(own, accept=lambda predictor: None, timeout=60).__enter__()
    assert "docker/build embedded builds it" in raised.value.hint
    # A name that is no address: nothing is asked for over the network.
    foreign = planned(store, "linear@1", image="127.0.0.1:9/nobody/nothing:1")
    with pytest.raises(UnavailableError, match=r"has no image 127.0.0.1:9/nobody/nothing:1 and cannot pull it: "):
        running(foreign, accept=lambda predictor: None, timeout=60).__enter__()


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU")
def test_no_gpu_for_containers_is_told(embedded: str, store: Store) -> None:
    launch = planned(store, "linear@1", device="cuda", image=embedded)
    with pytest.raises(UnavailableError) as raised:
        running(launch, accept=lambda predictor: None, timeout=60).__enter__()
    assert "NVIDIA Container Toolkit" in raised.value.hint


def test_a_container_that_is_killed_behind_our_back_is_told(
    embedded: str, engine: str, store: Store, judge: Judge
) -> None:
    launch = planned(store, "linear@2")
    with running(launch, accept=judge(store.resolve("linear@2")), timeout=60) as server:
        subprocess.run([engine, "kill", launch.folder.name], check=True, capture_output=True)
        assert server.process.wait(30) == 137
        with pytest.raises(UnavailableError, match="exit code 137 while serving"):
            server.require_alive()
    assert inspected(engine, launch.folder.name, "{{.Id}}") is None


@pytest.mark.parametrize(
    ("server", "name", "base"), [("embedded", "linear@1", "embedded"), ("torchserve", "archived", "torchserve")]
)
def test_a_baked_image_serves_by_itself(
    engine: str, store: Store, tmp_path: Path, server: str, name: str, base: str
) -> None:
    require_image(engine, base)
    tag = f"{server}-baked:test-{os.getpid()}"
    words = ("image", name, "--server", server, "--tag", tag, "--store", store.root, "--json")
    try:
        done = run_deploy(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["proved"] is True
        assert document["image"] == tag
        assert document["run"][-1] == tag
        named = subprocess.run([engine, "image", "inspect", "--format={{json .RepoTags}}", tag], capture_output=True)
        assert json.loads(named.stdout) == [tag], "the name that it had until it was proved is gone"
        assert "is ready" in done.stderr
        listed = subprocess.run([engine, "ps", "--all", f"--filter=ancestor={tag}", "--quiet"], capture_output=True)
        assert listed.stdout == b""
    finally:
        subprocess.run([engine, "image", "rm", "--force", tag], check=False, capture_output=True)
