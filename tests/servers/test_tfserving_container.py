"""TensorFlow Serving in a container: its official image where that is, and the one that stands in its place."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import urllib3
from containers import require_image
from tfserving_store import fill

from deploy_clients import connect
from deploy_core.device import CPU
from deploy_core.endpoint import Endpoint
from deploy_model_store import Store, Version
from deploy_servers import SERVERS, swapping
from deploy_servers.launch import running
from deploy_servers.settings import find_engine, prepare
from deploy_servers.tfserving.plan import image

Judge = Callable[[Version], Callable[[Any], str | None]]

pytestmark = pytest.mark.xdist_group("tfserving")


def official(engine: str, name: str) -> str:
    found = subprocess.run([engine, "image", "inspect", name], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"there is no image {name} (`docker pull {name}` fetches it)")
    return name


@pytest.mark.parametrize(
    ("wanted", "require"),
    [
        ("tfserving-stand-in", require_image),
        pytest.param(image(CPU), official, marks=pytest.mark.official_images),
    ],
)
def test_it_serves_and_comes_to_serve_another_version(
    engine: str,
    shared: Callable[[str, Callable[[Path], None]], Path],
    judge: Judge,
    wanted: str,
    require: Callable[[str, str], str],
) -> None:
    store = Store(shared("tfserving-store", fill))
    settings = prepare(
        "tfserving",
        store.root,
        container=find_engine(engine, image=require(engine, wanted)),
        options={"model_config_file_poll_wait_seconds": "1", "batching.max_batch_size": "4"},
    )
    old, new = ([store.resolve(f"linear@{number}")] for number in (1, 2))
    module = SERVERS.load("tfserving")

    def accept(client: Any) -> str | None:
        return judge(store.resolve(f"linear@{client.endpoint.version}"))(client)

    with running(module.plan(old, settings), accept=accept, timeout=120) as server:
        swapping.apply(module.swap(old, new, settings), server, accept, timeout=60, on_event=lambda event: None)
        with connect(Endpoint("tfserving", "grpc", "127.0.0.1", settings.grpc_port, "linear")) as client:
            assert client.predict({"x": np.ones((1, 3), dtype=np.float32)})["y"].tolist() == [[222.0]]
        metrics = f"http://127.0.0.1:{settings.http_port}/monitoring/prometheus/metrics"
        assert ":tensorflow:serving:request_count" in urllib3.request("GET", metrics, retries=False).data.decode()
