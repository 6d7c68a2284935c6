"""The management of real servers: what our words do to them, over both transports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from triton_store import fill

from deploy_clients import Management, connect, management, management_async
from deploy_core.errors import EndpointError, UsageError
from deploy_dialects.management import ModelStatus
from deploy_model_store import Store, Version
from deploy_servers import SERVERS
from deploy_servers.launch import running
from deploy_servers.settings import prepare

SWAPPABLE = {"enable_model_api": "true"}  # what a TorchServe needs for its models to come and go

Judge = Callable[[Version], Callable[[Any], str | None]]


def keys(path: Path, kind: str) -> dict[str, str]:
    return {"authorization": f"Bearer {json.loads(path.read_text())[kind]['key']}"}


@pytest.mark.xdist_group("torchserve")
def test_torchserve(store: Store, judge: Judge) -> None:
    module, version = SERVERS.load("torchserve"), store.resolve("archived")
    chosen = prepare("torchserve", store.root, extra_ports=module.PORTS, options=SWAPPABLE)
    with running(module.plan([version], chosen), accept=judge(version), timeout=90) as server:
        file = Path(server.launch.facts["key_file"])
        _, _, rest, _, grpc = server.launch.ports
        addresses = f"torchserve+rest://127.0.0.1:{rest}", f"torchserve+grpc://127.0.0.1:{grpc}"
        assert tuple(map(str, server.launch.management)) == addresses
        with management(addresses[0], headers=keys(file, "inference")) as intruder:
            with pytest.raises(EndpointError, match=r"InvalidKey|[Tt]oken"):
                intruder.index()
        with (
            management(addresses[0], timeout=60) as by_rest,  # whose key is found
            management(addresses[1], timeout=60) as by_grpc,
        ):
            archive = next((server.launch.folder / "models").iterdir()).name
            _manage_torchserve(by_rest, by_grpc, archive)
            for address in addresses:
                assert asyncio.run(_models(address)) == ["archived"]


async def _models(address: str) -> list[str]:
    async with management_async(address) as server:
        return [status.model for status in await server.index()]


def _manage_torchserve(by_rest: Management, by_grpc: Management, archive: str) -> None:
    for server in (by_rest, by_grpc):
        (status,) = server.status("archived")
        assert status == ModelStatus("archived", status.version, "READY", True, "1 of 1 workers are ready")
        assert server.status("archived", status.version) == (status,)
        assert server.live()
        assert server.ready("archived")
        assert not server.ready("second")
        with pytest.raises(UsageError, match="nothing for reload"):
            server.reload("")
        with pytest.raises(UsageError, match=r"ready"):
            server.ready()
        with pytest.raises(EndpointError, match="second"):
            server.status("second")
        with pytest.raises(EndpointError):
            server.load("second", options={"url": "file:///etc/hosts"})
    by_grpc.load("second", options={"url": archive, "batch_size": "2"})
    by_rest.set_default("second", by_rest.status("second")[0].version or "")
    by_grpc.set_default("second", by_rest.status("second")[0].version or "")
    for server in (by_rest, by_grpc):
        assert sorted(status.model for status in server.index()) == ["archived", "second"]
        assert server.ready("second")
    by_grpc.scale("second", 1)
    with pytest.raises(UsageError, match="no worker for one"):
        by_grpc.scale("second", 0)
    by_rest.scale("second", 0)
    assert not by_grpc.ready("second")
    by_rest.unload("second")
    by_rest.load("second", options={"url": archive, "initial_workers": "0"})
    by_grpc.unload("second")
    assert [status.model for status in by_rest.index()] == ["archived"]


@pytest.mark.xdist_group("triton")
@pytest.mark.skipif(find_spec("pytriton") is None, reason="needs the wheel nvidia-pytriton")
def test_triton(shared: Callable[[str, Callable[[Path], None]], Path], judge: Judge) -> None:
    store = Store(shared("triton-store", fill))
    module, version = SERVERS.load("triton"), store.resolve("linear@1")
    chosen = prepare("triton", store.root, extra_ports=1)
    with running(module.plan([version], chosen), accept=judge(version), timeout=60) as server:
        rest, grpc, _ = server.launch.ports
        for url, name in (
            (f"oip+rest://127.0.0.1:{rest}", "deploy-key"),
            (f"oip+grpc://127.0.0.1:{grpc}", "triton-grpc-protocol-deploy-key"),
        ):
            with management(url) as intruder, pytest.raises(EndpointError, match="restricted"):
                intruder.index()
            with management(url, headers={name: chosen.key}) as manager:
                _manage_triton(manager)
            with connect(server.endpoints[0]) as client:
                assert judge(version)(client) is None


def _manage_triton(server: Management) -> None:
    ready = ModelStatus("linear", "1", "READY", True)
    assert server.live()
    assert server.ready()
    assert server.ready("linear", "1")
    assert not server.ready("third")
    assert server.index() == server.status("linear") == (ready,)
    server.unload("linear")
    assert not server.ready("linear")
    assert not server.status("linear", "1")[0].ready
    server.load("linear")
    assert server.status("linear") == (ready,)
    with pytest.raises(EndpointError, match="third"):
        server.load("third")
    with pytest.raises(EndpointError, match="not in the repository"):
        server.status("third")
    with pytest.raises(UsageError, match="nothing for scale"):
        server.scale("linear", 2)
