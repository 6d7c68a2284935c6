"""Where a model is asked: only what carries its tensors is waited for, and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton_store

from deploy_clients import connect
from deploy_core.errors import UsageError
from deploy_core.signature import Signature, TensorSpec
from deploy_model_store import Store, Version
from deploy_servers import SERVERS
from deploy_servers.answering import answering
from deploy_servers.launch import Launch, running
from deploy_servers.settings import Settings, prepare


@pytest.fixture(scope="module")
def kinds(shared: Callable[[str, Callable[[Path], None]], Path]) -> Store:
    return Store(shared("triton-store", triton_store.fill))


def judged_by(version: Version) -> Callable[[Any], str | None]:
    golden = version.golden

    def wrong(client: Any) -> str | None:
        got = client.predict(golden.inputs)
        right = all(got[name].tolist() == array.tolist() for name, array in golden.outputs.items())
        return None if right else f"{got}"

    return wrong


def planned(store: Store, name: str) -> Launch:
    launch: Launch = SERVERS.load("embedded").plan([store.resolve(name)], prepare("embedded", store.root))
    return launch


def ways(launch: Launch) -> set[str]:
    return {f"{endpoint.dialect}+{endpoint.transport}" for endpoint in launch.endpoints}


ALL = {f"{dialect}+{transport}" for dialect in ("tfserving", "oip", "torchserve") for transport in ("rest", "grpc")}


def test_a_model_of_texts_is_ready_where_it_can_be_asked(kinds: Store) -> None:
    launch = planned(kinds, "text@1")
    assert ways(launch) == ALL - {"torchserve+grpc"}
    assert launch.notes == ("torchserve+grpc cannot carry x:string[batch,2], y:string[batch,2] of text@1",)
    with running(launch, accept=judged_by(kinds.resolve("text@1")), timeout=60) as server:
        for endpoint in server.endpoints:
            with connect(endpoint) as client:
                answer = client.predict({"x": np.array([[b"other", "ä".encode()]], dtype=object)})
            assert answer["y"].tolist() == [[b"other", "ä".encode()]]


def test_a_model_of_16_bit_floats_is_ready_where_it_can_be_asked(kinds: Store) -> None:
    launch = planned(kinds, "many@1")
    assert ways(launch) == ALL - {"tfserving+rest"}
    with running(launch, accept=judged_by(kinds.resolve("many@1")), timeout=60) as server:
        assert len(server.endpoints) == 5
        for endpoint in server.endpoints:
            with connect(endpoint, binary=endpoint.dialect == "oip") as client:
                none = {name: array[:0] for name, array in triton_store.MANY_INPUTS.items()}
                # Nested lists end where there are no rows: how long each would be follows from what was asked.
                assert client.predict(none)["more"].shape == (0, 3), endpoint


def test_usual_models_are_asked_in_every_way(kinds: Store) -> None:
    launch = planned(kinds, "linear@1")
    assert ways(launch) == ALL
    assert launch.notes == ()


def test_a_server_that_could_not_be_asked_at_all_is_not_started(kinds: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version = kinds.resolve("text@1")
    spec = TensorSpec("z", "complex64", ("batch",))
    settings = Settings(Path("/run/deploy"), kinds.root, 8501, 8500)
    rest = settings.endpoint("tfserving", "rest", "text", 1)
    monkeypatch.setattr(Version, "signature", Signature((spec,), (spec,)))
    with pytest.raises(UsageError, match=r"tfserving\+rest cannot carry z:complex64\[batch\]"):
        answering(version, [rest])
    assert answering(version, []) == ()
