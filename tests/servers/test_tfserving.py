"""TensorFlow Serving's adapter, for real, against the embedded server in the place of tensorflow_model_server."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import urllib3
from tfserving_store import fill, publish

from deploy_clients import connect
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UnavailableError
from deploy_dialects.messages import message
from deploy_dialects.tfserving.files import read_file
from deploy_model_store import Store, Version
from deploy_servers import SERVERS, swapping
from deploy_servers.furnishing import put_files
from deploy_servers.launch import Running, running
from deploy_servers.settings import Settings, prepare

Judge = Callable[[Version], Callable[[Any], str | None]]

pytestmark = pytest.mark.xdist_group("tfserving")
ONES = np.ones((2, 3), dtype=np.float32)


@pytest.fixture(scope="module")
def models(shared: Callable[[str, Callable[[Path], None]], Path], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of one's own: its aliases move."""
    return Store(
        shutil.copytree(shared("tfserving-store", fill), tmp_path_factory.mktemp("tfserving") / "models", symlinks=True)
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bin") / "tensorflow_model_server"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m deploy_servers.embedded.model_server "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def settings(models: Store, program: Path) -> Settings:
    options = {
        "binary": str(program),
        "model_config_file_poll_wait_seconds": "1",
        "batching.max_batch_size": "4",
        "tensorflow_intra_op_parallelism": "1",
    }
    return prepare("tfserving", models.root, options=options)


@pytest.fixture(scope="module")
def accept(models: Store, judge: Judge) -> Callable[[Any], str | None]:
    return lambda client: judge(models.resolve(f"{client.endpoint.model}@{client.endpoint.version}"))(client)


@pytest.fixture(scope="module")
def served(models: Store, settings: Settings, accept: Callable[[Any], str | None]) -> Iterator[Running]:
    versions = [models.resolve(name) for name in ("linear@1", "linear@2", "other")]
    launch = SERVERS.load("tfserving").plan(versions, settings)
    with running(launch, accept=accept, timeout=120) as server:
        yield server
    assert server.drained


def answer(server: Running, transport: str, model: str, version: str | None = None) -> float:
    port = next(endpoint.port for endpoint in server.endpoints if endpoint.transport == transport)
    with connect(Endpoint("tfserving", transport, "127.0.0.1", port, model, version)) as client:
        return float(client.predict({"x": ONES})["y"][0, 0])


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_versions_labels_and_the_newest(served: Running, transport: str) -> None:
    found = [answer(served, transport, "linear", version) for version in ("1", "2", "stable", None)]
    assert found == [111.0, 222.0, 222.0, 222.0]
    assert answer(served, transport, "other") == 555.0
    for absent in ("3", "canary"):
        with pytest.raises(EndpointError):
            answer(served, transport, "linear", absent)


def test_the_warm_up_was_asked_and_the_batching_file_read(served: Running) -> None:
    log = served.process.log.read_text()
    for servable in ("{name: linear version: 1}", "{name: linear version: 2}", "{name: other version: 1}"):
        assert f"{servable} answered 2 warm-up requests" in log
    assert "batching parameters are read and not heeded yet" in log
    assert "has no effect here" not in log


def test_predictions_are_counted(served: Running) -> None:
    url = f"http://127.0.0.1:{served.launch.ports[0]}/monitoring/prometheus/metrics"

    def count() -> int:
        lines = urllib3.request("GET", url, retries=False).data.decode().splitlines()
        return next(int(line.split()[-1]) for line in lines if 'model_name="other",status="OK"' in line)

    before = count()
    answer(served, "rest", "other")
    answer(served, "grpc", "other")
    assert count() == before + 2


class Asking:
    """Asks one endpoint without a pause until the end; `wrong` is what did not come as it should."""

    def __init__(self, server: Running, transport: str, version: str, right: set[float]) -> None:
        self.count, self.wrong = 0, ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(server, transport, version, right))

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _ask(self, server: Running, transport: str, version: str, right: set[float]) -> None:
        port = next(endpoint.port for endpoint in server.endpoints if endpoint.transport == transport)
        try:
            with connect(Endpoint("tfserving", transport, "127.0.0.1", port, "linear", version)) as client:
                while not self._ended.is_set():
                    got = float(client.predict({"x": ONES})["y"][0, 0])
                    self.wrong = self.wrong or ("" if got in right else f"{got} is not in {right}")
                    self.count += 1
        except Exception as error:
            self.wrong = repr(error)


def test_a_damaged_configuration_changes_nothing(served: Running) -> None:
    config = str(served.launch.files["models.config"])
    twice = config.replace("model_config_list {", "model_config_list { config { name: 'linear' base_path: '/tmp' }")
    ahead = config.replace('key: "stable"\n      value: 2', 'key: "stable"\n      value: 3')
    assert ahead != config
    wanted = {
        "model_config_list { config { nam: 1 } }": 'no field named "nam"',
        twice: "neither of model_type",
        ahead: "which is not currently available for inference",
    }
    for text, said in wanted.items():
        put_files(served.launch.folder, {"models.config": text})
        until(lambda said=said: said in served.process.log.read_text())
        assert answer(served, "grpc", "linear", "stable") == 222.0
    put_files(served.launch.folder, {"models.config": config})


def until(holds: Callable[[], bool]) -> None:
    waits = threading.Event()
    for _ in range(400):
        if holds():
            return
        waits.wait(0.05)
    raise AssertionError("it never came")


def test_a_swap_moves_a_label_and_no_request_fails(
    served: Running, models: Store, settings: Settings, accept: Callable[[Any], str | None]
) -> None:
    old = [models.resolve(name) for name in ("linear@1", "linear@2", "other")]
    new = [models.resolve(name) for name in ("linear@2", "linear@3", "other")]
    with Asking(served, "rest", "2", {222.0}) as stays, Asking(served, "grpc", "stable", {222.0}) as moves:
        for versions in ((old, new), (new, old)):
            swap = SERVERS.load("tfserving").swap(*versions, settings)
            swapping.apply(swap, served, accept, timeout=60, on_event=lambda event: None)
            wanted = {str(version.number) for version in versions[1] if version.name == "linear"}
            gone = ({"1", "2", "3"} - wanted).pop()
            until(lambda gone=gone: not available(served, gone))
            assert all(answer(served, "rest", "linear", version) for version in wanted)
    assert (stays.wrong, moves.wrong) == ("", "")
    assert min(stays.count, moves.count) > 10
    models.set_alias("linear", "stable", 1)
    with Asking(served, "rest", "stable", {111.0, 222.0}) as moves:
        swap = SERVERS.load("tfserving").swap(old, old, settings)
        swapping.apply(swap, served, accept, timeout=60, on_event=lambda event: None)
        until(lambda: answer(served, "rest", "linear", "stable") == 111.0)
    assert moves.wrong == ""


def reloaded(server: Running, text: str) -> Any:
    request = message("tfserving", "tensorflow.serving.ReloadConfigRequest")()
    request.config.CopyFrom(read_file("models", text))
    port = next(endpoint.port for endpoint in server.endpoints if endpoint.transport == "grpc")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/tensorflow.serving.ModelService/HandleReloadConfigRequest")
        reply = call(request.SerializeToString(), timeout=60)
    return message("tfserving", "tensorflow.serving.ReloadConfigResponse").FromString(reply).status


def test_a_call_gives_another_configuration_and_is_answered_when_that_is_served(
    models: Store, settings: Settings, accept: Callable[[Any], str | None]
) -> None:
    models.set_alias("linear", "stable", 1)
    still = {**settings.options, "model_config_file_poll_wait_seconds": "0"}
    settings = prepare("tfserving", models.root, options=still)
    module = SERVERS.load("tfserving")
    launch = module.plan([models.resolve("linear@1"), models.resolve("linear@2")], settings)
    config = str(launch.files["models.config"])
    with running(launch, accept=accept, timeout=120) as server:
        assert reloaded(server, config.replace("versions: 2", "")).error_code == 0
        assert answer(server, "grpc", "linear") == 111.0
        assert not available(server, "2")
        refused = reloaded(server, config.replace("value: 1", "value: 2"))
        assert (refused.error_code, "assign label" in refused.error_message) == (9, True)
        refused = reloaded(server, config.replace('"/', '"'))
        assert (refused.error_code, "absolute path" in refused.error_message) == (3, True)
        assert reloaded(server, config).error_code == 0
        assert answer(server, "grpc", "linear") == 222.0
        absent = reloaded(server, config.replace('name: "linear"', 'name: "other"').replace("linear", "nothing"))
        assert (absent.error_code, "did not become available: {other}" in absent.error_message) == (2, True)


def available(server: Running, version: str) -> bool:
    url = f"http://127.0.0.1:{server.launch.ports[0]}/v1/models/linear/versions/{version}"
    return urllib3.request("GET", url, retries=False).status == 200


def test_a_version_that_does_not_load_is_refused_and_the_old_one_stays(
    served: Running, models: Store, settings: Settings, accept: Callable[[Any], str | None], tmp_path: Path
) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    saved = tmp_path.rename(models.root / ".broken")
    bad = publish(models, "linear", saved, 7.0)
    old = [models.resolve(name) for name in ("linear@1", "linear@2", "other")]
    swap = SERVERS.load("tfserving").swap(old, [*old, bad], settings)
    with pytest.raises(UnavailableError, match=r"Loading servable: \{name: linear version: 4\} failed"):
        swapping.apply(swap, served, accept, timeout=60, on_event=lambda event: None)
    assert [answer(served, "grpc", "linear", version) for version in ("1", "2")] == [111.0, 222.0]


def test_a_program_that_is_not_there_is_told_with_what_to_do(models: Store, accept: Any) -> None:
    launch = SERVERS.load("tfserving").plan([models.resolve("other")], prepare("tfserving", models.root))
    with pytest.raises(UnavailableError) as raised:
        running(launch, accept=accept, timeout=20).__enter__()
    assert "--in container" in raised.value.hint
