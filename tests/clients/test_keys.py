"""Which key goes to which server, from records of servers that were started from here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy_clients import keys
from deploy_core import state
from deploy_core.endpoint import Endpoint
from deploy_core.errors import UnavailableError

URL = "torchserve+rest://127.0.0.1:8080/net"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DEPLOY_STATE", str(tmp_path / "state"))
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    return tmp_path


def record(folder: Path, key: str, url: str, created: float, *management: str) -> Path:
    """A server that was started from here: its keys, and the record of its run."""
    path = folder / f"{key}.json"
    path.write_text(json.dumps({kind: {"key": f"{kind}-{key}"} for kind in ("inference", "management")}))
    state.records().mkdir(parents=True, exist_ok=True)
    facts = {"endpoints": [url], "management": management, "key_file": str(path)}
    (state.records() / f"{key}.json").write_text(json.dumps({"created": created, "facts": facts}))
    return path


def sent(url: str, kind: str = "inference") -> str:
    return keys.header(Endpoint.parse(url), kind).get("authorization", "")


def test_the_key_of_the_newest_server_at_that_address(folder: Path) -> None:
    record(folder, "new", URL, 2)
    record(folder, "old", URL, 1)
    record(folder, "other", "torchserve+rest://127.0.0.1:8081/net", 3)
    assert sent(URL) == "Bearer inference-new"
    assert sent(URL, "management") == "Bearer management-new"
    assert sent("torchserve+grpc://127.0.0.1:8081/whatever@1") == "Bearer inference-other"
    assert sent("torchserve+rest://localhost:8080/net") == "Bearer inference-new"


@pytest.mark.parametrize("url", ["torchserve+rest://127.0.0.1:8081", "torchserve+grpc://localhost:7071/"])
def test_a_server_is_known_by_its_management_alone(folder: Path, url: str) -> None:
    record(folder, "new", "torchserve+rest://127.0.0.1:9080/net", 2, "torchserve+rest://127.0.0.1:9081", "a://b:c")
    record(folder, "old", URL, 1, "torchserve+rest://127.0.0.1:8081", "torchserve+grpc://127.0.0.1:7071")
    assert sent(f"{url.rstrip('/')}/any", "management") == "Bearer management-old"


def test_no_key_goes_where_it_does_not_belong(folder: Path) -> None:
    record(folder, "ours", URL, 1)
    (state.records() / "torn.json").write_text("{")
    (state.records() / "list.json").write_text("[1]")
    for url in ("tfserving+rest://127.0.0.1:8080/net", "torchserve+rest://127.0.0.1:8082/net"):
        assert sent(url) == ""
    assert sent("torchserve+rest://10.0.0.1:8080/net") == ""


def test_a_server_that_has_not_written_its_keys_yet_gets_none(folder: Path) -> None:
    record(folder, "ours", URL, 1).unlink()
    assert sent(URL) == ""


def test_the_variable_names_the_file_for_any_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(folder, "ours", URL, 1)
    monkeypatch.setenv(keys.VARIABLE, str(record(folder, "named", "torchserve+rest://10.0.0.1:1/net", 0)))
    assert sent(URL) == sent("torchserve+grpc://10.9.9.9:7070/net") == "Bearer inference-named"


@pytest.mark.parametrize("text", [None, "{", '{"inference": {}}', '["secret"]', '{"inference": "secret"}'])
def test_a_file_without_keys_is_told_without_what_is_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    path = folder / "key_file.json"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv(keys.VARIABLE, str(path))
    with pytest.raises(UnavailableError, match="keys of TorchServe cannot be read from") as raised:
        sent(URL)
    assert "secret" not in str(raised.value)
    assert "DEPLOY_TORCHSERVE_KEYS" in raised.value.hint


def test_a_header_shows_no_key(folder: Path) -> None:
    record(folder, "ours", URL, 1)
    assert "inference-ours" not in repr(keys.header(Endpoint.parse(URL)))
