"""The embedded server as a process, started from a store."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import urllib3
from processes import wait_until_gone

from deploy_clients import connect
from deploy_core import child, usage
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, TamperedError, UnavailableError, UsageError
from deploy_model_store import Store, Version
from deploy_servers import SERVERS
from deploy_servers.embedded.runtimes import choose
from deploy_servers.launch import Launch, Running, running
from deploy_servers.settings import prepare

Judge = Callable[[Version], Callable[[Any], str | None]]


def plan(store: Store, *names: str, **changes: Any) -> Launch:
    module = SERVERS.load("embedded")
    settings = prepare("embedded", store.root, extra_ports=module.PORTS, **changes)
    launch: Launch = module.plan([store.resolve(name) for name in names], settings)
    return launch


def judge_all(store: Store, judge: Judge) -> Callable[[Any], str | None]:
    return lambda client: judge(store.resolve(f"{client.endpoint.model}@{client.endpoint.version}"))(client)


@pytest.fixture(scope="module")
def served(store: Store, judge: Judge) -> Iterator[Running]:
    with running(plan(store, "linear@1", "linear@2"), accept=judge_all(store, judge), timeout=60) as server:
        yield server


def ports(server: Running) -> dict[str, int]:
    return {endpoint.transport: endpoint.port for endpoint in server.endpoints}


def test_every_dialect_transport_and_version_predicts_the_golden_outputs(
    served: Running, store: Store, judge: Judge
) -> None:
    assert len(served.endpoints) == 12
    for endpoint in served.endpoints:
        with connect(endpoint) as client:
            assert judge_all(store, judge)(client) is None
            other = {"1": "2", "2": "1"}[str(endpoint.version)]
            assert judge(store.resolve(f"linear@{other}"))(client) is not None


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_labels_and_the_newest_version(served: Running, transport: str) -> None:
    port = ports(served)[transport]
    x = {"x": np.array([[1, 0, 0]], dtype=np.float32)}
    for version, want in ((None, 2.0), ("stable", 1.0)):
        with connect(Endpoint("tfserving", transport, "127.0.0.1", port, "linear", version)) as client:
            assert client.predict(x)["y"].tolist() == [[want]]


@pytest.mark.parametrize("dialect", ["tfserving", "oip", "torchserve"])
@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_an_unknown_model_is_not_found(served: Running, dialect: str, transport: str) -> None:
    with pytest.raises(EndpointError):
        connect(Endpoint(dialect, transport, "127.0.0.1", ports(served)[transport], "absent"))


def test_nan_in_is_nan_out_for_that_row_only(served: Running) -> None:
    for endpoint in served.endpoints:
        if endpoint.transport == "grpc" and endpoint.version == "1":
            with connect(endpoint) as client:
                y = client.predict({"x": np.array([[np.nan, 0, 0], [1, 2, 3]], dtype=np.float32)})["y"]
            assert np.isnan(y[0, 0])
            assert y[1, 0] == 321


def test_200_concurrent_requests_get_their_own_rows(served: Running) -> None:
    url = f"http://127.0.0.1:{ports(served)['rest']}/v1/models/linear/versions/1:predict"
    with urllib3.PoolManager(maxsize=20, block=True) as pool, ThreadPoolExecutor(20) as threads:

        def ask(k: int) -> Any:
            rows = [[k, r, 0] for r in range(1 + k % 3)]
            reply = pool.request("POST", url, body=json.dumps({"instances": rows}), retries=False)
            return json.loads(reply.data)["predictions"]

        for k, answer in enumerate(threads.map(ask, range(200))):
            assert answer == [[k + 10.0 * r] for r in range(1 + k % 3)]


def test_only_loopback_is_listened_on(served: Running) -> None:
    listening = [c.laddr for c in psutil.Process(served.process.pid).net_connections() if c.status == "LISTEN"]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}  # gRPC maps v4 into v6
    assert {address.port for address in listening} == set(ports(served).values())


def test_sigterm_ends_it_with_exit_code_0(store: Store, judge: Judge) -> None:
    with running(plan(store, "linear"), accept=judge_all(store, judge), timeout=60) as server:
        os.kill(server.process.pid, signal.SIGTERM)
        assert server.process.wait(20) == 0
        log = server.process.log
        assert "every request was answered" in log.read_text()
        with pytest.raises(UnavailableError, match="ended with exit code 0 while serving"):
            server.require_alive()
    assert not server.launch.folder.exists()
    assert log.exists()  # it ended by itself: that is worth a look


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_sigterm_lets_a_slow_request_be_answered(store: Store, transport: str) -> None:
    with running(plan(store, "slow"), accept=lambda client: None, timeout=60) as server, ThreadPoolExecutor(1) as pool:
        with connect(Endpoint("oip", transport, "127.0.0.1", ports(server)[transport], "slow")) as client:
            before = usage.cpu_seconds(server.process.pid)
            answer = pool.submit(client.predict, {"x": np.array([[1, 2, 3]], dtype=np.float32)})
            while usage.cpu_seconds(server.process.pid) < before + 0.1:  # the model has begun to work
                assert server.process.wait(0.01) is None
            os.kill(server.process.pid, signal.SIGTERM)
            assert not answer.done()
            assert answer.result()["y"].tolist() == [[1.0]]
        assert server.process.wait(20) == 0


def test_a_request_that_is_cut_is_told(store: Store) -> None:
    launch = plan(store, "slow", options={"grace": "0"})
    with ThreadPoolExecutor(1) as pool:
        with running(launch, accept=lambda client: None, timeout=60) as server:
            client = connect(Endpoint("oip", "rest", "127.0.0.1", ports(server)["rest"], "slow"))
            before = usage.cpu_seconds(server.process.pid)
            answer = pool.submit(client.predict, {"x": np.array([[1, 2, 3]], dtype=np.float32)})
            while usage.cpu_seconds(server.process.pid) < before + 0.1:  # the model has begun to work
                assert server.process.wait(0.01) is None
        with pytest.raises(EndpointError):
            answer.result()
        client.close()
    assert not server.drained
    assert server.process.log.exists()


def test_the_server_goes_with_a_parent_that_is_killed(store: Store, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from deploy_model_store import Store\n"
        "from deploy_servers import SERVERS\n"
        "from deploy_servers.launch import running\n"
        "from deploy_servers.settings import prepare\n"
        "store = Store(Path(sys.argv[1]))\n"
        "launch = SERVERS.load('embedded').plan([store.resolve('linear')], prepare('embedded', store.root))\n"
        "with running(launch, accept=lambda predictor: None, timeout=60) as server:\n"
        "    print(server.process.pid, launch.folder, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, str(script), str(store.root)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        parent.kill()
    assert wait_until_gone(int(pid), 10)
    shutil.rmtree(folder)


@pytest.mark.parametrize("which", ["http_port", "grpc_port"])
def test_a_taken_port_is_found_before_the_start(store: Store, which: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        launch = plan(store, "linear", **{which: port})
        with pytest.raises(UnavailableError, match=f"port {port} ") as raised:
            running(launch, accept=lambda predictor: None, timeout=60).__enter__()
    assert f":{port}" in raised.value.hint
    assert not launch.folder.exists()


def run(store: Path, *arguments: str, tmp_path: Path) -> tuple[int | None, str]:
    """Run the server's own program to its end."""
    log = tmp_path / "log"
    process = child.start(
        "a server", [sys.executable, "-m", "deploy_servers.embedded", "--store", str(store), *arguments], log=log
    )
    try:
        code = process.wait(30)
        return code, log.read_text()
    finally:
        process.stop()


def test_the_program_says_what_it_cannot_serve(store: Store, tmp_path: Path) -> None:
    code, said = run(store.root, "absent", tmp_path=tmp_path)
    assert (code, "no model 'absent'" in said) == (2, True)
    code, said = run(store.root, "linear@7", tmp_path=tmp_path)
    assert (code, "no version 7" in said) == (2, True)
    code, said = run(tmp_path, tmp_path=tmp_path)
    assert (code, "holds nothing to serve" in said) == (6, True)
    code, said = run(store.root, "--models", "models.json", "linear", tmp_path=tmp_path)
    assert (code, "so does linear" in said) == (2, True)
    assert "Traceback" not in said


def test_a_tampered_file_is_refused_by_the_plan_and_by_the_program(store: Store, tmp_path: Path) -> None:
    copy = Store(shutil.copytree(store.root, tmp_path / "store"))
    model = copy.resolve("linear@1").artifact("onnx").path
    model.chmod(0o644)
    data = bytearray(model.read_bytes())
    data[-20] ^= 1
    model.write_bytes(data)
    with pytest.raises(TamperedError, match="linear"):
        plan(copy, "linear@1")
    code, said = run(copy.root, "linear@1", tmp_path=tmp_path)
    assert code == 4
    assert "linear.onnx is changed" in said
    plan(copy, "linear@2")


def test_without_onnx_another_runtime_serves(store: Store, judge: Judge) -> None:
    with running(plan(store, "scripted"), accept=judge_all(store, judge), timeout=120) as server:
        url = f"http://127.0.0.1:{ports(server)['rest']}/v2/models/scripted"
        assert urllib3.request("GET", url, retries=False).json()["platform"] == "pytorch_torchscript"


def test_a_missing_runtime_is_passed_over_or_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version = store.resolve("linear")
    assert choose(version)[1].needs == "onnxruntime"
    monkeypatch.setattr("deploy_servers.embedded.runtimes.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="linear@2 needs onnxruntime") as raised:
        choose(version)
    assert raised.value.hint == "pip install 'deploy-toolkit[onnx]'"


def test_prometheus_is_told_how_many_predictions_ended_how(store: Store, judge: Judge) -> None:
    with pytest.raises(UsageError, match="option metrics is '/v1/x'"):
        plan(store, "linear@1", options={"metrics": "/v1/x"})
    launch = plan(store, "linear@1", options={"metrics": "/metrics"})
    with running(launch, accept=judge_all(store, judge), timeout=60) as server:
        told = urllib3.request("GET", f"http://127.0.0.1:{ports(server)['rest']}/metrics")
    assert told.status == 200
    assert b'request_count{model_name="linear",status="OK"} 6\n' in told.data


def test_unknown_options_and_artifacts_are_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="no option 'thread'") as raised:
        plan(store, "linear", options={"thread": "2"})
    assert "threads" in raised.value.hint
    with pytest.raises(UsageError, match="'0'"):
        plan(store, "linear", options={"threads": "0"})
    with pytest.raises(UsageError, match="no artifact 'tflite'"):
        plan(store, "linear", options={"artifact": "tflite"})
    with pytest.raises(UnavailableError, match="no artifact that the embedded server runs"):
        plan(store, "archived")
