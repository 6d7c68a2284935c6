"""TorchServe's plans and swaps, kept as golden files; its options; what it refuses."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server_store import WEIGHTS, publish_onnx_archive

from deploy_core.device import Device
from deploy_core.errors import TamperedError, UnavailableError, UsageError
from deploy_exporters.formats.mar import version_of
from deploy_model_store import Store, Version
from deploy_servers import SERVERS
from deploy_servers.container import Container
from deploy_servers.settings import Settings

SWAPPABLE = {"enable_model_api": "true"}  # what a TorchServe needs for its models to come and go

GOLDEN = Path(__file__).parent / "golden"
MANY = {"workers": "3", "heap_mb": "1024", "batch_size": "8", "max_batch_delay": "20", "response_timeout": "60"}
MORE = {"max_request_bytes": "1000", "tokens": "off", "job_queue_size": "1000", "system_metrics_cmd": "a\\b é"}


def settings(store: Store, **changes: Any) -> Settings:
    fixed: dict[str, Any] = {"http_port": 8501, "grpc_port": 8500, "ports": (8081, 8082, 7071), "java": "/usr/bin/java"}
    return Settings(**{"folder": Path("/run/deploy"), "store": store.root, **fixed, **changes})


def rendered(data: Any, store: Store, *versions: Version) -> str:
    spec = find_spec("ts")
    assert spec is not None
    assert spec.origin is not None
    text = json.dumps(asdict(data), indent=1, default=str) + "\n"
    names = {str(store.root): "STORE", sys.executable: "PYTHON", str(Path(spec.origin).parents[1]): "SITE"}
    names[f"torchserve:{installed('deploy-toolkit')}"] = "torchserve:VERSION"
    names.update({version_of(v.artifact("mar").path): f"sha-{v.number}" for v in versions})
    for path, name in names.items():
        text = text.replace(path, name)
    return text


def plan(store: Store, names: list[str], **changes: Any) -> Any:
    return SERVERS.load("torchserve").plan([store.resolve(name) for name in names], settings(store, **changes))


@pytest.mark.parametrize(
    ("case", "where", "device", "options"),
    [
        ("process-cpu", "", "cpu", {}),
        ("process-cuda", "", "cuda", {}),
        ("process-cuda-two", "", "cuda:1,3", {"number_of_gpu": "1"}),
        ("options", "", "cpu", MANY | MORE),
        ("container-cpu", "docker", "cpu", {"batch_size": "4"}),
        ("container-cuda", "docker", "cuda:0", {}),
        ("container-podman", "podman", "cuda", {"tokens": "off"}),
    ],
)
def test_golden_plan(
    store: Store, golden: Callable[[Path, str], None], case: str, where: str, device: str, options: dict[str, str]
) -> None:
    container = Container(f"/usr/bin/{where}", "1000:1000", cpus="2", memory="2g") if where else None
    names = ["archived", "broken"] if case == "options" else ["archived"]
    launch = plan(store, names, options=options, container=container, device=Device.parse(device))
    golden(GOLDEN / f"torchserve-{case}.json", rendered(launch, store))
    assert not launch.folder.exists()


def two_versions(root: Path) -> tuple[Store, Version, Version]:
    store = Store(root)
    weights = (WEIGHTS, np.float32(2) * WEIGHTS)
    one, two = (publish_onnx_archive(store, "linear", weights=each) for each in weights)
    return store, one, two


def test_golden_swap(tmp_path: Path, golden: Callable[[Path, str], None]) -> None:
    store, one, two = two_versions(tmp_path / "models")
    module = SERVERS.load("torchserve")
    options = {**SWAPPABLE, "workers": "2"}
    swap = module.swap([one], [two], settings(store, options=options))
    golden(GOLDEN / "torchserve-swap.json", rendered(swap, store, one, two))
    assert all(call.key for call in (*swap.load, *swap.unload, *swap.undo))
    open_ = module.swap([one], [two], settings(store, options={**options, "tokens": "off"}))
    assert not any(call.key for call in (*open_.load, *open_.unload, *open_.undo))


def test_a_swap_to_the_same_archive_moves_nothing(tmp_path: Path) -> None:
    store, one, two = two_versions(tmp_path / "models")
    module = SERVERS.load("torchserve")
    swap = module.swap([one], [one], settings(store, options=SWAPPABLE))
    assert not (swap.links)
    assert not (swap.load)
    assert not (swap.unload)
    assert not (swap.unlinks)
    assert not (swap.undo)
    with pytest.raises(UsageError, match="takes no other models while it runs") as raised:
        module.swap([one], [two], settings(store))
    assert "--set enable_model_api=true" in raised.value.hint


def test_several_versions_of_a_model_are_asked_for_by_what_their_archives_call_themselves(tmp_path: Path) -> None:
    store, one, two = two_versions(tmp_path / "models")
    module = SERVERS.load("torchserve")
    first, second = (version_of(version.artifact("mar").path) for version in (one, two))
    launch = module.plan([one, two], settings(store))
    assert [endpoint.version for endpoint in launch.endpoints] == [second, second, first, first]
    assert launch.command[-2:] == (f"linear=linear-{second}.mar", f"linear=linear-{first}.mar"), "the newest is usual"
    assert launch.notes == (f"TorchServe calls linear@2 {second}", f"TorchServe calls linear@1 {first}")
    (models,) = (line for line in launch.files["config.properties"].splitlines() if line.startswith("models="))
    told = json.loads(models.partition("=")[2])["linear"]
    assert {version: told[version]["defaultVersion"] for version in told} == {second: True, first: False}
    with pytest.raises(UsageError, match="cannot follow 2 versions of linear at once"):
        module.swap([one, two], [one, two], settings(store, options=SWAPPABLE))


def test_archives_with_the_same_version_of_their_own_cannot_be_swapped(tmp_path: Path, monkeypatch: Any) -> None:
    store, one, two = two_versions(tmp_path / "models")
    module = SERVERS.load("torchserve")
    monkeypatch.setattr("deploy_servers.torchserve.planning.version_of", lambda path: "1.0")
    with pytest.raises(UsageError, match=r"both archives of linear call themselves version 1\.0"):
        module.swap([one], [two], settings(store, options=SWAPPABLE))


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"worker": "1"}, "no option 'worker'", "did you mean workers"),
        ({"job_queue_sise": "1"}, "no option 'job_queue_sise'", "did you mean job_queue_size?"),
        ({"zzzzzz": "1"}, "no option 'zzzzzz'", "it has workers, batch_size"),
        ({"workers": "0"}, "option workers is '0'", "from 1 on"),
        ({"tokens": "yes"}, "option tokens is 'yes'", "on or off"),
        ({"disable_token_authorization": "true"}, "is set by the toolkit itself", "tokens=off"),
        ({"enable_grpc_ssl": "true"}, "is for TLS", "reverse proxy"),
        ({"keystore": "keystore.p12"}, "is for TLS", "reverse proxy"),
        ({"inference_address": "http://0.0.0.0:80"}, "is set by the toolkit itself", "--http-port"),
        ({"workers": "2", "default_workers_per_model": "3"}, "say the same", "give workers alone"),
        ({"metrics_mode": "log\nallowed_urls=.*"}, "option metrics_mode is", "on one line"),
    ],
)
def test_an_option_that_cannot_be(store: Store, options: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        plan(store, ["archived"], options=options)
    assert hint in raised.value.hint


def test_native_names_of_what_has_a_word_mean_the_word(store: Store) -> None:
    named = plan(store, ["archived"], options={"default_workers_per_model": "3", "max_request_size": "9"})
    assert named == plan(store, ["archived"], options={"workers": "3", "max_request_bytes": "9"})


def test_every_native_name_is_one_that_torchserve_asks_for() -> None:
    from zipfile import ZipFile

    from deploy_servers.torchserve.native import NAMES, OURS, TLS

    spec = find_spec("ts")
    assert spec is not None
    assert spec.origin is not None
    with ZipFile(Path(spec.origin).parent / "frontend/model-server.jar") as jar:
        asked = jar.read("org/pytorch/serve/util/ConfigManager.class")
        asked += jar.read("org/pytorch/serve/util/ConnectorType.class")
    assert {name for name in {*NAMES, *OURS, *TLS} if name.encode() not in asked} == set()


def test_keys_are_for_us_alone_and_told_to_nobody_but_the_record(store: Store) -> None:
    launch = plan(store, ["archived"])
    assert launch.facts["key_file"] == "/run/deploy/keys/key_file.json"
    assert launch.writes == ("keys",)
    assert plan(store, ["archived"], options={"tokens": "off"}).facts.keys() == {"metrics"}


def test_no_java_is_one_sentence(store: Store) -> None:
    with pytest.raises(UnavailableError, match=r"^TorchServe needs Java, and there is none\n") as raised:
        plan(store, ["archived"], java="")
    assert raised.value.exit_code == 6
    assert "install Java 17" in raised.value.hint
    assert plan(store, ["archived"], java="", container=Container("/usr/bin/docker", "1:1")), "the image has its own"


def test_what_it_cannot_serve(store: Store) -> None:
    with pytest.raises(UsageError, match="no artifact 'mar'"):
        plan(store, ["linear"])
    with pytest.raises(UsageError, match=r"2 archives of archived call themselves version 1\.0") as raised:
        plan(store, ["archived", "archived"])
    assert "archives of this toolkit have versions of their own" in raised.value.hint
    with pytest.raises(UnavailableError, match="too long for the sockets"):
        plan(store, ["archived"], folder=Path("/run") / ("x" * 100))


def test_a_damaged_archive_is_refused(store: Store, tmp_path: Path) -> None:
    copy = Store(shutil.copytree(store.root, tmp_path / "store"))
    archive = copy.resolve("archived").artifact("mar").path
    archive.chmod(0o644)
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(TamperedError, match=r"archived\.mar is changed"):
        plan(copy, ["archived"])


@pytest.mark.parametrize(("given", "inner"), [({}, "127.0.0.1"), ({"management_host": "10.0.0.1"}, "10.0.0.1")])
def test_management_and_metrics_answer_this_machine_alone_unless_told(
    store: Store, given: dict[str, str], inner: str
) -> None:
    launch = plan(store, ["archived"], host="0.0.0.0", options=given)
    lines = dict(line.split("=", 1) for line in launch.files["config.properties"].splitlines())
    assert lines["inference_address"] == "http://0.0.0.0:8501"
    assert lines["management_address"] == f"http://{inner}:8081"
    assert lines["metrics_address"] == f"http://{inner}:8082"
    assert (lines["grpc_inference_address"], lines["grpc_management_address"]) == ("0.0.0.0", inner)
    assert {endpoint.host for endpoint in launch.management} == {inner}

    contained = plan(store, ["archived"], host="0.0.0.0", options=given, container=Container("docker", "1:2"))
    published = [part.removeprefix("--publish=") for part in contained.command if part.startswith("--publish=")]
    assert published == [
        *("0.0.0.0:8501:8501", "0.0.0.0:8500:8500"),
        *(f"{inner}:{port}:{port}" for port in (8081, 8082, 7071)),
    ]
