"""TorchServe for real: started from the store's archive, answering right, stopped with nothing left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import urllib3
from server_store import publish_onnx_archive

from deploy_clients import connect
from deploy_core.errors import UnavailableError
from deploy_model_store import Store, Version
from deploy_servers import SERVERS
from deploy_servers.launch import Launch, Running, prepare, running

Judge = Callable[[Version], Callable[[Any], str | None]]

pytestmark = pytest.mark.xdist_group("torchserve")


def plan(store: Store, name: str) -> Launch:
    module = SERVERS.load("torchserve")
    launch: Launch = module.plan([store.resolve(name)], prepare("torchserve", store.root, extra_ports=module.PORTS))
    return launch


def of_run(launch: Launch) -> set[int]:
    """The processes that belong to a run: java and its workers name the run's folder."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(launch.folder).encode() in entry.read_bytes():
                found.add(int(entry.parent.name))
        except OSError:  # it has just ended
            continue
    return found


@pytest.fixture(scope="module")
def served(store: Store, judge: Judge) -> Iterator[Running]:
    with running(plan(store, "archived"), accept=judge(store.resolve("archived")), timeout=90) as server:
        yield server
        processes = of_run(server.launch)
        assert len(processes) >= 2, "java and at least one worker"
        began = time.monotonic()
    # What the fixture finds after the stop is judged here, because no test can look later.
    assert time.monotonic() - began < 12
    assert not of_run(server.launch)
    assert not [pid for pid in processes if psutil.pid_exists(pid)]
    assert not server.launch.folder.exists()
    assert not server.process.log.exists()


def test_both_transports_predict(served: Running) -> None:
    assert [endpoint.transport for endpoint in served.endpoints] == ["rest", "grpc"]
    x = np.array([[1, 2, 3], [0, 0, 1]], dtype=np.float32)
    for endpoint in served.endpoints:
        for binary in (False, True):
            with connect(endpoint, binary=binary) as client:
                assert client.predict({"input": x})["output"].tolist() == [[321.0], [100.0]]


def test_only_loopback_is_listened_on_and_only_at_the_planned_ports(served: Running) -> None:
    listening = [c.laddr for c in psutil.Process(served.process.pid).net_connections() if c.status == "LISTEN"]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == set(served.launch.ports)


def test_models_cannot_be_registered_over_the_network(served: Running) -> None:
    management = served.launch.ports[2]
    url = f"http://127.0.0.1:{management}/models?url=file:///etc/hosts"
    assert urllib3.request("POST", url, retries=False).status == 405


def test_requests_do_not_fill_the_log(served: Running) -> None:
    size = served.process.log.stat().st_size
    with connect(served.endpoints[0]) as client:
        for _ in range(50):
            client.predict({"input": np.ones((1, 3), dtype=np.float32)})
    assert served.process.log.stat().st_size - size < 1000


def test_a_handler_that_raises_at_load_is_told_in_time(store: Store) -> None:
    launch = plan(store, "broken")
    began = time.monotonic()
    with pytest.raises(UnavailableError) as raised:
        running(launch, accept=lambda predictor: None, timeout=90).__enter__()
    assert time.monotonic() - began < 60
    assert raised.value.exit_code == 6
    assert "Failed to load model broken, exception no weights here" in str(raised.value)
    assert "RuntimeError: no weights here" in "\n".join(raised.value.__notes__)
    assert not of_run(launch)
    assert not launch.folder.exists()


def test_an_archive_of_an_onnx_file_is_served(tmp_path: Path, judge: Judge) -> None:
    store = Store(tmp_path / "models")
    version = publish_onnx_archive(store, "linear")
    with running(plan(store, "linear"), accept=judge(version), timeout=90) as server:
        x = np.array([[1, 2, 3], [0, 0, 1]], dtype=np.float32)
        for endpoint, binary in product(server.endpoints, (False, True)):
            with connect(endpoint, binary=binary) as client:
                assert client.predict({"x": x})["y"].tolist() == [[321.0], [100.0]]
