"""Triton for real, its server from the wheel nvidia-pytriton and its python backend: ready, right, swapped, stopped."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import urllib3
from triton_store import MANY_INPUTS, MANY_OUTPUTS, X, fill, same

from deploy_clients import connect, management
from deploy_core.device import Device
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UnavailableError
from deploy_model_store import Store, Version
from deploy_servers import SERVERS, swapping
from deploy_servers.launch import Launch, Running, running
from deploy_servers.settings import Settings, prepare

Judge = Callable[[Version], Callable[[Any], str | None]]

pytestmark = [
    pytest.mark.xdist_group("triton"),
    pytest.mark.skipif(find_spec("pytriton") is None, reason="needs the wheel nvidia-pytriton"),
]


@pytest.fixture(scope="module")
def kinds(shared: Callable[[str, Callable[[Path], None]], Path]) -> Store:
    return Store(shared("triton-store", fill))


def settings(store: Store, **options: str) -> Settings:
    return prepare("triton", store.root, extra_ports=1, options=options)


def plan(store: Store, *names: str, **options: str) -> Launch:
    launch: Launch = SERVERS.load("triton").plan([store.resolve(name) for name in names], settings(store, **options))
    return launch


def in_shared_memory(launch: Launch) -> list[str]:
    return [path.name for path in Path("/dev/shm").iterdir() if path.name.startswith(launch.folder.name)]


@pytest.fixture(scope="module")
def served(kinds: Store, judge: Judge) -> Iterator[Running]:
    def accept(client: Any) -> str | None:
        return judge(kinds.resolve(f"{client.endpoint.model}@{client.endpoint.version}"))(client)

    launch = plan(
        kinds, "linear@1", "linear@2", "many", "total", "scripted", max_queue_delay_us="20000", exit_timeout_secs="2"
    )
    with running(launch, accept=accept, timeout=90) as server:
        yield server
        stubs = psutil.Process(server.process.pid).children(recursive=True)
        assert len(stubs) == 5
        assert in_shared_memory(launch)
        # A connection that nobody uses holds it up until its time is over, and cuts nothing.
        idle = http.client.HTTPConnection("127.0.0.1", launch.ports[0])
        idle.request("GET", "/v2/health/live")
        assert idle.getresponse().read() == b""
    idle.close()
    assert server.drained
    # What the fixture finds after the stop is judged here, because no test can look later.
    assert not [stub for stub in stubs if stub.is_running() and stub.status() != psutil.STATUS_ZOMBIE]
    assert not in_shared_memory(launch)
    assert not launch.folder.exists()
    assert not server.process.log.exists()


def endpoints(server: Running, model: str) -> list[Endpoint]:
    return [endpoint for endpoint in server.endpoints if endpoint.model == model]


def test_every_version_of_a_model_answers_as_itself_over_both_transports(served: Running) -> None:
    found = {}
    for endpoint in endpoints(served, "linear"):
        for binary in (False, True):
            with connect(endpoint, binary=binary) as client:
                y = client.predict({"x": np.array([[1, 2, 3], [0, 0, 1]], np.float32)})["y"]
                found[endpoint.transport, endpoint.version, binary] = y.tolist()
    assert len(found) == 8
    for (_, version, _), y in found.items():
        assert y == ([[321.0], [100.0]] if version == "1" else [[642.0], [200.0]])


def test_integers_booleans_and_halves_come_back_as_they_are(served: Running) -> None:
    for endpoint in endpoints(served, "many"):
        with connect(endpoint, binary=True) as client:
            assert [spec.dtype for spec in client.signature.outputs] == ["int64", "bool", "float16", "uint8"]
            answer = client.predict(MANY_INPUTS)
            longer = client.predict(
                {**MANY_INPUTS, "ids": np.tile(MANY_INPUTS["ids"], 3), "mask": np.ones((2, 9), bool)}
            )
        for name, want in MANY_OUTPUTS.items():
            same(answer[name], want)
        same(longer["more"], np.tile(MANY_OUTPUTS["more"], 3))


def test_a_model_without_a_batch_keeps_its_shapes(served: Running) -> None:
    for endpoint in endpoints(served, "total"):
        with connect(endpoint) as client:
            same(client.predict({"x": X})["y"], X.sum(axis=0))
            same(client.predict({"x": X[:1]})["y"], X[0])


def test_torchscript_runs_in_the_python_backend(served: Running) -> None:
    for endpoint in endpoints(served, "scripted"):
        with connect(endpoint) as client:
            assert client.predict({"input": np.array([[1, 2, 3]], np.float32)})["output"].tolist() == [[321.0]]


def test_requests_that_wait_together_run_as_one(served: Running) -> None:
    endpoint = endpoints(served, "linear")[1]
    rows = [np.array([[k, 0, 0]] * (k % 3 + 1), np.float32) for k in range(24)]
    with connect(endpoint) as client, ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda x: client.predict({"x": x})["y"], rows))
    assert [y.tolist() for y in answers] == [x[:, :1].tolist() for x in rows]
    said = urllib3.request("GET", f"http://127.0.0.1:{served.launch.ports[0]}/v2/models/linear/versions/1/stats").json()
    stats = said["model_stats"][0]
    assert stats["execution_count"] < stats["inference_count"] // 2


def test_what_it_sums_up_is_told_over_both_transports(served: Running) -> None:
    for endpoint in endpoints(served, "linear")[:2]:
        with management(endpoint) as manager, connect(endpoint) as client:
            before = manager.statistics("linear", endpoint.version)
            begun = time.monotonic()
            for _ in range(5):
                client.predict({"x": np.ones((2, 3), np.float32)})
            seconds = time.monotonic() - begun
            after = manager.statistics("linear", endpoint.version)
        spent = {name: after.parts[name] - before.parts[name] for name in after.parts}
        assert after.predictions - before.predictions == 5
        assert all(part > 0 for part in spent.values()), spent
        assert sum(spent.values()) < seconds
        with management(endpoint) as manager, pytest.raises(EndpointError, match="third"):
            manager.statistics("third")


def test_a_request_that_fails_does_not_fail_others(served: Running) -> None:
    rest = endpoints(served, "many")[0]
    wrong = {"ids": np.ones((1, 2), np.int64), "mask": np.ones((1, 2), bool), "half": np.ones((1, 2), np.float16)}
    with connect(rest, binary=True) as client:
        url = f"http://{rest.address}/v2/models/many/infer"
        bad = [{"name": n, "shape": [1, 2], "datatype": "INT64", "data": [1, 2]} for n in ("ids", "mask")]
        assert urllib3.request("POST", url, json={"inputs": bad}).status == 400
        same(client.predict(wrong)["more"], np.full((1, 2), 2))


def test_only_loopback_is_listened_on_and_only_at_the_planned_ports(served: Running) -> None:
    process = psutil.Process(served.process.pid)
    listening = [c.laddr for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == set(served.launch.ports)
    metrics = urllib3.request("GET", f"http://127.0.0.1:{served.launch.ports[2]}/metrics").data
    assert b'nv_inference_request_success{model="linear",version="1"}' in metrics


@pytest.mark.parametrize("path", ["repository/models/linear/unload", "systemsharedmemory/region/x/register", "logging"])
def test_models_memory_and_log_files_are_nobodys_but_ours(served: Running, path: str) -> None:
    url = f"http://127.0.0.1:{served.launch.ports[0]}/v2/{path}"
    assert urllib3.request("POST", url, body=b"{}").status == 403
    assert urllib3.request("POST", url, body=b"{}", headers={"deploy-key": "guessed"}).status == 403


def test_requests_do_not_fill_the_log(served: Running) -> None:
    size = served.process.log.stat().st_size
    for model, name in (("linear", "x"), ("scripted", "input")):
        with connect(endpoints(served, model)[0]) as client:
            for _ in range(30):
                client.predict({name: np.ones((1, 3), np.float32)})
    assert served.process.log.stat().st_size - size < 1000


@contextmanager
def asking(port: int) -> Iterator[list[float | str]]:
    """Ask whatever version answers without a pause, by three threads; what they get is in the list."""
    seen: list[float | str] = []
    done = threading.Event()

    def ask() -> None:
        with connect(Endpoint("oip", "grpc", "127.0.0.1", port, "linear")) as client:
            while not done.is_set():
                try:
                    seen.append(float(client.predict({"x": np.array([[1, 2, 3]], np.float32)})["y"][0, 0]))
                except EndpointError as error:
                    seen.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_version_is_swapped_without_a_failed_request_and_a_wrong_one_is_refused(kinds: Store, judge: Judge) -> None:
    one, two = kinds.resolve("linear@1"), kinds.resolve("linear@2")
    mine, module = settings(kinds), SERVERS.load("triton")
    swap = module.swap([one], [two], mine)
    latest = Endpoint("oip", "rest", "127.0.0.1", mine.http_port, "linear")
    with running(module.plan([one], mine), accept=judge(one), timeout=60) as server:
        with asking(mine.grpc_port) as seen:
            with pytest.raises(UnavailableError, match="answers wrong"):
                swapping.apply(swap, server, judge(one), timeout=30, on_event=lambda event: None)
            with connect(server.endpoints[0]) as client, connect(latest) as unpinned:
                assert judge(one)(client) is None
                assert judge(one)(unpinned) is None
            assert not (mine.folder / "models/linear/2/model.onnx").exists()
            swapping.apply(swap, server, judge(two), timeout=30, on_event=lambda event: None)
            with connect(latest) as unpinned:
                assert judge(two)(unpinned) is None
        assert set(seen) == {321.0, 642.0}
        assert [endpoint.version for endpoint in server.endpoints] == ["2", "2"]
        assert not (mine.folder / "models/linear/1").exists()
        with pytest.raises(EndpointError, match="not at ready state"):
            connect(replace(latest, version="1"))
    assert not in_shared_memory(server.launch)


def test_what_a_killed_server_leaves_in_shared_memory_goes_too(kinds: Store, judge: Judge) -> None:
    launch = plan(kinds, "linear@1")
    with running(launch, accept=judge(kinds.resolve("linear@1")), timeout=60) as server:
        assert in_shared_memory(launch)
        os.kill(server.process.pid, signal.SIGKILL)
        assert server.process.wait(10) == -signal.SIGKILL
        server.process.stop(0)
    assert not in_shared_memory(launch)


def test_the_request_that_warms_a_gpu_up_is_one_that_triton_takes(kinds: Store) -> None:
    shown: Launch = SERVERS.load("triton").plan(
        [kinds.resolve("many"), kinds.resolve("total")], replace(settings(kinds), device=Device("cuda"))
    )
    assert all("model_warmup" in str(text) for text in shown.files.values())
    plain = plan(kinds, "many", "total")
    launch = replace(with_config(shown, "KIND_GPU", "KIND_CPU"), command=plain.command, folder=plain.folder)
    launch = replace(launch, endpoints=plain.endpoints, ports=plain.ports)
    with running(launch, accept=lambda client: None, timeout=60) as server:
        assert "successfully loaded 'many'" in server.process.log.read_text()  # which it is not when that request fails


def with_config(launch: Launch, old: str, new: str) -> Launch:
    return replace(launch, files={name: str(text).replace(old, new) for name, text in launch.files.items()})


def without_stub(launch: Launch) -> Launch:
    return replace(launch, links={place: path for place, path in launch.links.items() if "stub" not in place})


def with_stub_of_another_python(launch: Launch) -> Launch:
    stub = next(place for place in launch.links if place.endswith("stub"))
    other = launch.links[stub].parents[1] / "3.8" / launch.links[stub].name
    return replace(launch, links={**launch.links, stub: other})


@pytest.mark.parametrize(
    ("broken", "hint"),
    [
        (
            lambda launch: with_config(launch, '"python"', '"onnxruntime"'),
            "no onnxruntime backend: --set backend=python",
        ),
        (lambda launch: with_config(launch, "KIND_CPU", "KIND_GPU"), "Triton sees no such GPU"),
        (without_stub, "no program for this Python"),
        (with_stub_of_another_python, "no program for this Python"),
        (lambda launch: replace(launch, command=(*launch.command, "--no-such-option=3")), "no option no-such-option"),
        (
            lambda launch: replace(launch, command=(*launch.command, "--http-thread-count=a")),
            "http-thread-count cannot",
        ),
    ],
)
def test_a_failed_start_says_why(kinds: Store, broken: Callable[[Launch], Launch], hint: str) -> None:
    launch = broken(plan(kinds, "linear@1"))
    with pytest.raises(UnavailableError) as raised:
        running(launch, accept=lambda predictor: None, timeout=60).__enter__()
    assert hint in raised.value.hint
    assert not launch.folder.exists()
    assert not in_shared_memory(launch)


def test_too_little_shared_memory_is_told(kinds: Store) -> None:
    size = os.statvfs("/dev/shm")
    launch = plan(kinds, "linear@1", shm_mb=str((size.f_blocks * size.f_frsize >> 20) * 2))
    with pytest.raises(UnavailableError) as raised:
        running(launch, accept=lambda predictor: None, timeout=60).__enter__()
    assert "/dev/shm is too small" in raised.value.hint
