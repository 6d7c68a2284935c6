"""TorchServe for real: started from the store's archive, answering right, stopped with nothing left."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import urllib3
from server_store import ARCHIVED, WEIGHTS, publish_broken_archive, publish_onnx_archive

from deploy_clients import connect, management
from deploy_core import state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UnavailableError
from deploy_model_store import Store, Version
from deploy_servers import SERVERS
from deploy_servers.launch import Launch, Running, running
from deploy_servers.settings import Settings, prepare
from deploy_servers.swap import Swap
from deploy_servers.swapping import apply
from deploy_toolkit.flows.judge import Judge as GoldenJudge

SWAPPABLE = {"enable_model_api": "true"}  # what a TorchServe needs for its models to come and go

Judge = Callable[[Version], Callable[[Any], str | None]]

pytestmark = pytest.mark.xdist_group("torchserve")


def settings(store: Store, **options: str) -> Settings:
    return prepare("torchserve", store.root, extra_ports=SERVERS.load("torchserve").PORTS, options=options)


def plan(store: Store, name: str, **options: str) -> Launch:
    launch: Launch = SERVERS.load("torchserve").plan([store.resolve(name)], settings(store, **options))
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
    with running(
        plan(store, "archived", batch_size="4", max_batch_delay="400"),
        accept=judge(store.resolve("archived")),
        timeout=90,
    ) as server:
        yield server
        processes = [psutil.Process(pid) for pid in of_run(server.launch)]
        assert len(processes) >= 2, "java and at least one worker"
        began = time.monotonic()
    # What the fixture finds after the stop is judged here, because no test can look later.
    assert time.monotonic() - began < 12
    assert not of_run(server.launch)
    _, alive = psutil.wait_procs(processes, timeout=5)  # what was killed with its parent takes a moment to be gone
    assert not alive
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


def key_of(launch: Launch, kind: str = "inference") -> str:
    return str(json.loads(Path(launch.facts["key_file"]).read_text())[kind]["key"])


def post(url: str, key: str = "", body: bytes = b'{"describe": true}') -> urllib3.BaseHTTPResponse:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return urllib3.request("POST", url, body=body, headers=headers, retries=False)


def test_models_cannot_be_registered_over_the_network(served: Running) -> None:
    url = f"http://127.0.0.1:{served.launch.ports[2]}/models?url=file:///etc/hosts"
    assert post(url).status == 400, "without a key"
    assert post(url, key_of(served.launch)).status == 400, "with the key for predictions"
    assert post(url, key_of(served.launch, "management")).status == 405, "with the right key"


def test_keys_are_asked_for_and_found_by_our_clients_alone(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    rest, grpc = served.endpoints
    url = f"http://{rest.address}/predictions/archived"
    assert (post(url).status, post(url, key_of(served.launch)).status) == (400, 200)
    for endpoint in (rest, grpc):
        with connect(endpoint, signature=ARCHIVED, headers={"Authorization": "Bearer wrong"}) as client:
            with pytest.raises(EndpointError, match="Token Authorization failed") as raised:
                client.predict({"input": np.ones((1, 3), dtype=np.float32)})
            assert "DEPLOY_TORCHSERVE_KEYS" in raised.value.hint
    monkeypatch.setenv("DEPLOY_STATE", "/absent")  # as for a user who has not started it
    with pytest.raises(EndpointError, match="Token Authorization failed"):
        connect(rest)
    monkeypatch.setenv("DEPLOY_TORCHSERVE_KEYS", served.launch.facts["key_file"])
    for endpoint in (rest, grpc):
        connect(endpoint).close()


def test_keys_live_long_and_are_in_no_log_and_no_record(served: Running) -> None:
    path = Path(served.launch.facts["key_file"])
    keys = json.loads(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    assert int(keys["inference"]["expiration time"][:4]) >= datetime.now(UTC).year + 9
    for kind in ("inference", "management", "API"):
        key = keys[kind]["key"]
        assert key not in served.process.log.read_text()
        assert not [record for record in state.records().iterdir() if key in record.read_text()]
        assert key not in repr(served.launch)
    with connect(served.endpoints[0]) as client:
        assert keys["inference"]["key"] not in repr(vars(client)) + repr(vars(client._transport))


def test_requests_of_the_same_moment_are_one_batch(served: Running) -> None:
    """A request alone waits for its batch to fill; as many as fill it do not."""
    with connect(served.endpoints[0]) as client:

        def ask(number: int) -> tuple[float, float]:
            began = time.monotonic()
            answer = client.predict({"input": np.full((1, 3), number, dtype=np.float32)})["output"]
            return float(answer[0, 0]), time.monotonic() - began

        assert ask(1)[1] >= 0.4
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask, range(4)))
    assert [value for value, _ in answers] == [0.0, 111.0, 222.0, 333.0]


def test_what_it_sums_up_is_told_at_its_metrics_address(served: Running) -> None:
    metrics, rows = served.launch.facts["metrics"], {"input": np.ones((1, 3), np.float32)}
    rest, grpc = served.endpoints
    with management(metrics) as manager, connect(rest) as by_rest, connect(grpc) as by_grpc:
        by_rest.predict(rows)
        before = manager.statistics("archived")
        begun = time.monotonic()
        for _ in range(2):
            by_rest.predict(rows)
        seconds = time.monotonic() - begun
        after = manager.statistics("archived")
        by_grpc.predict(rows)
        last = manager.statistics("archived")
    spent = {name: after.parts[name] - before.parts[name] for name in after.parts}
    assert after.predictions - before.predictions == 2
    assert 0 < spent["worker"] < spent["queue"] + spent["worker"] < seconds
    assert spent["queue"] > 0.5  # each waits for others that do not come
    # The time of predictions over gRPC is summed up nowhere.
    assert (last.predictions, last.parts) == (after.predictions + 1, after.parts)


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


def test_an_archive_of_an_onnx_file_is_served_and_swapped_without_a_failed_request(
    tmp_path: Path, judge: Judge
) -> None:
    store = Store(tmp_path / "models")
    one, two = (publish_onnx_archive(store, "linear", weights=each) for each in (WEIGHTS, np.float32(2) * WEIGHTS))
    broken = publish_broken_archive(store, "linear")
    module, x = SERVERS.load("torchserve"), np.array([[1, 2, 3], [0, 0, 1]], dtype=np.float32)
    chosen = settings(store, **SWAPPABLE)
    with running(module.plan([one], chosen), accept=judge(one), timeout=90) as server:
        for endpoint, binary in product(server.endpoints, (False, True)):
            with connect(endpoint, binary=binary) as client:
                assert client.predict({"x": x})["y"].tolist() == [[321.0], [100.0]]
        with asked_all_the_time(server.endpoints[0], x) as answers:
            refused_unseen(server, module.swap([one], [two], chosen), "answers wrong at .*/linear@sha-.*: 7 is off")
            refused_unseen(server, module.swap([one], [broken], chosen), "was refused with status 500: .*start workers")
            assert {str(answer) for answer in answers} == {str([[321.0], [100.0]])}
            swap = module.swap([one], [two], chosen)
            apply(swap, server, judge(two), timeout=60, on_event=lambda event: None)
            seen = len(answers)
            deadline = time.monotonic() + 30
            while len(answers) < seen + 5 and time.monotonic() < deadline:
                time.sleep(0.01)
        assert answers[0] == [[321.0], [100.0]]
        assert answers[-1] == [[642.0], [200.0]]
        assert {str(answer) for answer in answers} == {str(answers[0]), str(answers[-1])}
        assert [path.name for path in (server.launch.folder / "models").iterdir()] == [Path(*swap.links).name]


def refused_unseen(server: Running, swap: Swap, why: str) -> None:
    """A swap that fails leaves the server as it was, and all of its undoing was heard."""
    before = served_versions(server)
    with pytest.raises(UnavailableError, match=f"(?s){why}") as raised:
        apply(swap, server, lambda client: "7 is off", timeout=60, on_event=lambda event: None)
    assert "undoing" not in "\n".join(getattr(raised.value, "__notes__", ()))
    assert served_versions(server) == before


def served_versions(server: Running) -> list[Any]:
    """What TorchServe says of the versions of linear, and what lies in its folder."""
    url = f"http://127.0.0.1:{server.launch.ports[2]}/models/linear/all"
    headers = {"authorization": f"Bearer {key_of(server.launch, 'management')}"}
    told = urllib3.request("GET", url, headers=headers, retries=False).json()
    files = [path.name for path in (server.launch.folder / "models").iterdir()]
    return [files, *((one["modelVersion"], len(one["workers"])) for one in told)]


def test_two_versions_of_a_model_answer_beside_each_other(tmp_path: Path) -> None:
    store = Store(tmp_path / "models")
    versions = [publish_onnx_archive(store, "linear", weights=each) for each in (WEIGHTS, np.float32(2) * WEIGHTS)]
    launch, x = SERVERS.load("torchserve").plan(versions, settings(store)), np.array([[1, 2, 3]], dtype=np.float32)
    with running(launch, accept=GoldenJudge(versions, {}), timeout=90) as server:
        found = []
        for endpoint in (*server.endpoints, replace(server.endpoints[0], version=None)):
            with connect(endpoint) as client:
                found.append(client.predict({"x": x})["y"].tolist())
        assert found == [[[642.0]], [[642.0]], [[321.0]], [[321.0]], [[642.0]]]


@contextmanager
def asked_all_the_time(endpoint: Endpoint, x: Any) -> Iterator[list[Any]]:
    """Ask one request after the other; what is not answered is raised at the end."""
    answers: list[Any] = []
    enough = threading.Event()

    def ask() -> None:
        with connect(endpoint) as client:
            while not enough.is_set():
                answers.append(client.predict({"x": x})["y"].tolist())

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            yield answers
        finally:
            enough.set()
        for future in asking:
            future.result()
