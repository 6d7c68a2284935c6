"""The embedded server prepares raw bytes by the steps of the version, in every dialect; tensors are answered as before."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import urllib3
from raw_store import SIGNATURE, STEPS, by_hand, jpeg, publish, scores_of, top

from deploy_clients import connect
from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, UnavailableError
from deploy_core.preprocessing import Raw
from deploy_core.strings import string_array
from deploy_model_store import Store
from deploy_servers import SERVERS
from deploy_servers.embedded.models import Loading, listed, load
from deploy_servers.launch import Running, running
from deploy_servers.settings import prepare

FILES = [jpeg(40, 56, 1), jpeg(30, 25, 2)]
WANT = np.concatenate([scores_of(by_hand(data)) for data in FILES])


@pytest.fixture(scope="module")
def raw_models(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("raw"))
    publish(store, "seen", STEPS)
    publish(store, "bare", STEPS, labels=False)
    return store


@pytest.fixture(scope="module")
def served(raw_models: Store) -> Iterator[Running]:
    module = SERVERS.load("embedded")
    settings = prepare("embedded", raw_models.root, extra_ports=module.PORTS)
    launch = module.plan([raw_models.resolve("seen"), raw_models.resolve("bare")], settings)
    with running(launch, accept=lambda client: None, timeout=60) as server:
        yield server


def port(served: Running, transport: str) -> int:
    return next(endpoint.port for endpoint in served.endpoints if endpoint.transport == transport)


def post(served: Running, path: str, body: bytes, kind: str = "") -> Any:
    headers = {"content-type": kind} if kind else {}
    url = f"http://127.0.0.1:{port(served, 'rest')}{path}"
    with urllib3.PoolManager() as pool:
        reply = pool.request("POST", url, body=body, headers=headers, retries=False)
        return reply.status, json.loads(reply.data)


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", ""])
def test_raw_bytes_are_answered_with_labels(served: Running, kind: str) -> None:
    status, answer = post(served, "/predictions/seen", FILES[0], kind)
    assert status == 200
    want = top(WANT[0])
    assert list(answer) == list(want)  # the likeliest first
    np.testing.assert_allclose(list(answer.values()), list(want.values()), rtol=1e-5, atol=1e-5)


def test_without_labels_the_outputs_are_answered(served: Running) -> None:
    status, answer = post(served, "/predictions/bare/1", FILES[1])
    assert status == 200
    np.testing.assert_allclose(answer["outputs"]["scores"], WANT[1:], rtol=1e-5, atol=1e-5)


def test_base64_in_rows_and_columns(served: Running) -> None:
    files = [{"b64": base64.b64encode(data).decode()} for data in FILES]
    for body in ({"instances": files}, {"instances": [{"image": file} for file in files]}):
        status, answer = post(served, "/v1/models/seen:predict", json.dumps(body).encode())
        assert status == 200
        np.testing.assert_allclose(answer["predictions"], WANT, rtol=1e-5, atol=1e-5)
    status, answer = post(served, "/v1/models/seen:predict", json.dumps({"inputs": {"image": files}}).encode())
    assert status == 200
    np.testing.assert_allclose(answer["outputs"], WANT, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("dialect", "transport", "binary"),
    [("oip", "rest", True), ("oip", "grpc", False), ("tfserving", "rest", False), ("tfserving", "grpc", False)],
)
def test_strings_are_files_in_the_tensor_dialects(
    served: Running, dialect: str, transport: str, *, binary: bool
) -> None:
    endpoint = Endpoint(dialect, transport, "127.0.0.1", port(served, transport), "seen")
    with connect(endpoint, signature=Raw((), "image").signature(SIGNATURE), binary=binary) as client:
        got = client.predict({"image": string_array(FILES, (2,))})["scores"]
        np.testing.assert_allclose(got, WANT, rtol=1e-5, atol=1e-5)
        with pytest.raises(EndpointError, match="it is no image in AVIF, BMP"):
            client.predict({"image": string_array([b"\xff no image"], (1,))})


def test_tensors_are_answered_as_of_any_model(served: Running) -> None:
    images = np.random.default_rng(3).normal(size=(2, 3, 8, 8)).astype(np.float32)
    for endpoint in served.endpoints:
        with connect(endpoint) as client:
            assert client.signature.inputs[0].dtype == "float32"
            np.testing.assert_allclose(
                client.predict({"image": images})["scores"], scores_of(images), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("body", [b"nothing", FILES[0][:200], b"\x93NUMPY garbage"])
def test_what_cannot_be_prepared_is_refused(served: Running, body: bytes) -> None:
    status, answer = post(served, "/predictions/seen", body)
    assert status == 400
    assert "the bytes cannot be prepared: step 1, decode" in answer["message"]


def test_json_that_is_none_is_no_raw_file(served: Running) -> None:
    status, answer = post(served, "/predictions/seen", b' {"inputs": 3')
    assert status == 400
    assert "decode" not in answer["message"]


def test_without_pillow_such_a_version_is_not_loaded(raw_models: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy_core.preprocessing.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="decoding images needs Pillow") as caught:
        load(raw_models, listed(raw_models, ["seen"])[0], Loading())
    assert caught.value.hint == "pip install 'deploy-toolkit[images]'"


def test_the_store_says_what_it_holds(raw_models: Store, tmp_path: Path) -> None:
    record = raw_models.resolve("seen").record
    assert record.preprocessing["steps"][1]["filter"] == "bilinear"
    assert record.labels["names"][0] == "cat"
