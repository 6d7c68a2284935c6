"""Management: what goes over the wire, what is made of the answers, and what a server cannot be asked."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from deploy_clients import management
from deploy_clients.managing import Management
from deploy_core.errors import EndpointError, UsageError
from deploy_dialects.management import ModelStatus
from deploy_dialects.messages import message

Start = Callable[..., Any]
TFS = "/tensorflow.serving.ModelService/"
OIP = "/inference.GRPCInferenceService/"
TORCHSERVE = "/org.pytorch.serve.grpc.management.ManagementAPIsService/"
DESCRIBED = [{"modelName": "m", "modelVersion": "1.0", "workers": [{"status": "READY"}, {"status": "LOADING"}]}]


def _to(dialect: str, transport: str, port: int) -> Management:
    return management(f"{dialect}+{transport}://127.0.0.1:{port}", timeout=10)


def _tfserving_answer(**fields: Any) -> bytes:
    answer = message("tfserving", "tensorflow.serving.GetModelStatusResponse")()
    answer.model_version_status.add(version=2, state=30).status.SetInParent()
    answer.model_version_status.add(version=1, state=50).status.error_message = "no memory"
    return bytes(answer.SerializeToString())


WANTED = (ModelStatus("m", "2", "AVAILABLE", True, ""), ModelStatus("m", "1", "END", False, "no memory"))


def test_tfserving_status_over_rest(http: Start, canned: Any) -> None:
    body = {
        "model_version_status": [
            {"version": "2", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}},
            {"version": "1", "state": "END", "status": {"error_code": "UNKNOWN", "error_message": "no memory"}},
        ]
    }
    server = http(canned(body=json.dumps(body).encode()))
    with _to("tfserving", "rest", server.port) as manager:
        assert manager.status("m") == WANTED
        assert manager.ready("a/b", "2")
        with pytest.raises(UsageError, match="stable"):
            manager.status("m", "stable")
    assert [r[:2] for r in server.requests] == [("GET", "/v1/models/m"), ("GET", "/v1/models/a%2Fb/versions/2")]


def test_tfserving_status_over_grpc(rpc: Start) -> None:
    server = rpc({f"{TFS}GetModelStatus": _tfserving_answer()})
    with _to("tfserving", "grpc", server.port) as manager:
        assert manager.status("m", "stable") == WANTED
        assert manager.ready("m", "2")
    kind = message("tfserving", "tensorflow.serving.GetModelStatusRequest")
    first, second = (kind.FromString(request[2]).model_spec for request in server.requests)
    assert (first.name, first.version_label, second.version.value) == ("m", "stable", 2)


CONFIG = 'model_config_list { config { name: "m" base_path: "/models/m" model_platform: "tensorflow" } }'


def test_tfserving_takes_another_configuration(rpc: Start) -> None:
    answer = message("tfserving", "tensorflow.serving.ReloadConfigResponse")
    refusal = answer()
    refusal.status.error_code, refusal.status.error_message = 3, "Illegal to list model m multiple times"
    server = rpc({f"{TFS}HandleReloadConfigRequest": [answer().SerializeToString(), refusal.SerializeToString()]})
    with _to("tfserving", "grpc", server.port) as manager:
        manager.reload(CONFIG)
        with pytest.raises(EndpointError, match="multiple times") as caught:
            manager.reload(CONFIG)
        with pytest.raises(UsageError, match="no_such_field"):
            manager.reload("no_such_field: 1")
    assert caught.value.status == "INVALID_ARGUMENT"
    sent = message("tfserving", "tensorflow.serving.ReloadConfigRequest").FromString(server.requests[0][2])
    assert [(c.name, c.base_path) for c in sent.config.model_config_list.config] == [("m", "/models/m")]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "body", "live"),
    [(400, b'{"error": "Missing model name in request."}', True), (200, b"", True), (503, b"", False)],
)
def test_tfserving_lives_if_it_answers(http: Start, canned: Any, status: int, body: bytes, live: bool) -> None:
    with _to("tfserving", "rest", http(canned(status, body)).port) as manager:
        assert manager.live() is live


@pytest.mark.parametrize("dialect", ["tfserving", "oip", "torchserve"])
@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_nobody_is_not_alive_and_nothing_is_ready(dialect: str, transport: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with _to(dialect, transport, port) as manager:
        assert not manager.live()
        assert not manager.ready("m")
        with pytest.raises(EndpointError, match="cannot be reached"):
            manager.status("m")


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND])
def test_tfserving_lives_over_grpc_too(rpc: Start, code: grpc.StatusCode) -> None:
    with _to("tfserving", "grpc", rpc({f"{TFS}GetModelStatus": code}).port) as manager:
        assert manager.live()
    with _to("tfserving", "grpc", rpc({}).port) as manager, pytest.raises(EndpointError, match="UNIMPLEMENTED"):
        manager.live()


@pytest.mark.parametrize(
    ("status", "body", "ready"),
    [
        (200, b"", True),
        (200, b'{"name": "m", "ready": true}', True),
        (200, b'{"live": true}', True),
        (200, b'{"ready": false}', False),
        (400, b'{"error": "unknown model"}', False),
        (404, b"", False),
        (503, b"", False),
    ],
)
def test_oip_health(http: Start, canned: Any, status: int, body: bytes, ready: bool) -> None:
    server = http(canned(status, body))
    with _to("oip", "rest", server.port) as manager:
        assert manager.ready("m", "1") is ready
        if status != 404:
            assert manager.ready() is ready
    assert server.requests[0][1] == "/v2/models/m/versions/1/ready"


def test_oip_repository_over_rest(http: Start, canned: Any) -> None:
    index = [{"name": "m", "version": "1", "state": "READY"}, {"name": "n"}]
    server = http(canned(body=json.dumps(index).encode()), canned(), canned(), canned(body=b"{}"))
    with _to("oip", "rest", server.port) as manager:
        assert manager.index() == (ModelStatus("m", "1", "READY", True), ModelStatus("n"))
        manager.load("m/n", options={"config": "{}"})
        manager.unload("m")
        with pytest.raises(EndpointError, match="no oip answer"):
            manager.index()
        with pytest.raises(UsageError, match="no option 'url'"):
            manager.load("m", options={"url": "x"})
        with pytest.raises(UsageError, match="all of a model"):
            manager.unload("m", "1")
    assert [r[:2] for r in server.requests[:3]] == [
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/m%2Fn/load"),
        ("POST", "/v2/repository/models/m/unload"),
    ]
    assert json.loads(server.requests[1][3]) == {"parameters": {"config": "{}"}}


def test_oip_repository_over_grpc(rpc: Start) -> None:
    answer = message("oip", "inference.RepositoryIndexResponse")()
    answer.models.add(name="m", version="1", state="UNAVAILABLE", reason="unloaded")
    server = rpc({f"{OIP}RepositoryIndex": answer.SerializeToString(), f"{OIP}RepositoryModelLoad": b""})
    with _to("oip", "grpc", server.port) as manager:
        assert manager.status("m") == (ModelStatus("m", "1", "UNAVAILABLE", False, "unloaded"),)
        manager.load("m", options={"config": "{}"})
    sent = message("oip", "inference.RepositoryModelLoadRequest").FromString(server.requests[1][2])
    assert (sent.model_name, sent.parameters["config"].string_param) == ("m", "{}")


def test_torchserve_over_rest(http: Start, canned: Any) -> None:
    server = http(canned(body=json.dumps(DESCRIBED).encode()), canned(202), canned(), canned(), canned())
    with _to("torchserve", "rest", server.port) as manager:
        assert manager.status("m") == (ModelStatus("m", "1.0", "READY", True, "1 of 2 workers are ready"),)
        manager.load("m", options={"url": "m.mar", "batch_size": "4"})
        manager.scale("m", 2, "1.0")
        manager.set_default("m", "1.0")
        manager.unload("m", "1.0")
    assert [r[:2] for r in server.requests] == [
        ("GET", "/models/m/all"),
        ("POST", "/models?model_name=m&initial_workers=1&synchronous=true&url=m.mar&batch_size=4"),
        ("PUT", "/models/m/1.0?min_worker=2&max_worker=2&synchronous=true"),
        ("PUT", "/models/m/1.0/set-default"),
        ("DELETE", "/models/m/1.0"),
    ]


def test_torchserve_over_grpc(rpc: Start) -> None:
    answer = message("torchserve", "org.pytorch.serve.grpc.management.ManagementResponse")(msg=json.dumps(DESCRIBED))
    methods = ("DescribeModel", "RegisterModel", "ScaleWorker")
    server = rpc({f"{TORCHSERVE}{method}": answer.SerializeToString() for method in methods})
    with _to("torchserve", "grpc", server.port) as manager:
        assert manager.ready("m", "1.0")
        manager.load("m", options={"url": "m.mar", "batch_size": "4", "synchronous": "false"})
        manager.scale("m", 2)
    package = "org.pytorch.serve.grpc.management."
    register = message("torchserve", f"{package}RegisterModelRequest").FromString(server.requests[1][2])
    scale = message("torchserve", f"{package}ScaleWorkerRequest").FromString(server.requests[2][2])
    assert (register.url, register.batch_size, register.synchronous) == ("m.mar", 4, False)
    assert (scale.model_name, scale.min_worker, scale.max_worker, scale.synchronous) == ("m", 2, 2, True)


def test_an_archive_that_is_not_there_is_told_by_where_it_is_looked_for(http: Start, rpc: Start, canned: Any) -> None:
    absent = b'{"code": 404, "type": "ModelNotFoundException", "message": "Model not found at: kk.mar"}'
    server = http(canned(404, absent), canned(404, absent))
    with _to("torchserve", "rest", server.port) as manager:
        with pytest.raises(EndpointError, match=r"HTTP 404: Model not found at: kk\.mar") as raised:
            manager.load("kk", options={"url": "kk.mar"})
        assert "model store (its --model-store" in raised.value.hint
        assert raised.value.status == 404
        with pytest.raises(EndpointError) as raised:
            manager.status("kk")
        assert raised.value.hint == "is the model of that name and version loaded?"
    refusing = rpc({f"{TORCHSERVE}RegisterModel": grpc.StatusCode.NOT_FOUND})
    with _to("torchserve", "grpc", refusing.port) as manager:
        with pytest.raises(EndpointError, match="NOT_FOUND") as raised:
            manager.load("kk", options={"url": "kk.mar"})
        assert "model store (its --model-store" in raised.value.hint


def _page(name: str, token: str | None) -> bytes:
    more = {} if token is None else {"nextPageToken": token}
    return json.dumps({**more, "models": [{"modelName": name, "modelUrl": f"{name}.mar"}]}).encode()


def test_an_index_has_all_pages(http: Start, canned: Any) -> None:
    server = http(canned(body=_page("a", "1")), canned(body=_page("b", "2")), canned(body=_page("c", None)))
    with _to("torchserve", "rest", server.port) as manager:
        assert [status.model for status in manager.index()] == ["a", "b", "c"]
    assert [r[1] for r in server.requests] == [
        "/models?limit=100",
        "/models?limit=100&next_page_token=1",
        "/models?limit=100&next_page_token=2",
    ]


def test_an_index_without_an_end(http: Start, canned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy_clients.managing._PAGES", 5)
    with _to("torchserve", "rest", http(canned(body=_page("a", "1"))).port) as manager:
        with pytest.raises(EndpointError, match="no end"):
            manager.index()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b'{"code": 404, "type": "ModelNotFoundException", "message": "Model not found: m"}', "Model not found"),
        (405, b'{"code": 405, "message": "Requested method is not allowed"}', "not allowed"),
        (307, b"", "307"),
        (200, b"{}", "where a list"),
        (200, b"<html>", "not valid JSON"),
        (200, b'[{"modelName": "m"}]', "'workers' is missing"),
    ],
)
def test_answers_that_are_none(http: Start, canned: Any, status: int, body: bytes, words: str) -> None:
    with _to("torchserve", "rest", http(canned(status, body)).port) as manager:
        with pytest.raises(EndpointError, match=words):
            manager.status("m")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "without an archive"),
        ({"url": "m.mar", "batch_size": "many"}, "'many'"),
        ({"url": "m.mar", "synchronous": "yes"}, "'yes'"),
        ({"url": "m.mar", "workers": "1"}, "no option 'workers'"),
    ],
)
@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_options_that_are_none(transport: str, options: dict[str, str], words: str) -> None:
    with _to("torchserve", transport, 1) as manager, pytest.raises(UsageError, match=words):
        manager.load("m", options=options)


@pytest.mark.parametrize(
    ("dialect", "transport", "ask"),
    [
        ("tfserving", "rest", lambda manager: manager.reload(CONFIG)),
        ("tfserving", "grpc", lambda manager: manager.load("m")),
        ("tfserving", "grpc", lambda manager: manager.index()),
        ("tfserving", "grpc", lambda manager: manager.ready()),
        ("oip", "rest", lambda manager: manager.scale("m", 1)),
        ("oip", "grpc", lambda manager: manager.set_default("m", "1")),
        ("torchserve", "grpc", lambda manager: manager.reload(CONFIG)),
        ("torchserve", "rest", lambda manager: manager.ready()),
    ],
)
def test_what_a_server_cannot_be_asked(dialect: str, transport: str, ask: Callable[[Management], object]) -> None:
    with _to(dialect, transport, 1) as manager, pytest.raises(UsageError, match="has nothing for") as caught:
        ask(manager)
    assert caught.value.hint


def test_what_changes_a_server_is_not_asked_again(http: Start, canned: Any) -> None:
    server = http(canned(503))
    with _to("torchserve", "rest", server.port) as manager:
        for change in (lambda: manager.load("m", options={"url": "m.mar"}), lambda: manager.unload("m")):
            with pytest.raises(EndpointError):
                change()
    assert len(server.requests) == 2


def test_a_model_in_the_url_is_of_no_account_and_secrets_are_not_shown(http: Start, canned: Any) -> None:
    server = http(canned(403, b""))
    url, headers = f"oip+rest://127.0.0.1:{server.port}/some@1", {"deploy-key": "s3cret"}
    with management(url, headers=headers) as manager:
        with pytest.raises(EndpointError) as caught:
            manager.index()
        assert "s3cret" not in repr(manager) + str(vars(manager)) + str(caught.value)
    assert server.requests[0][1:3] == ("/v2/repository/index", {**server.requests[0][2], "deploy-key": "s3cret"})
    with pytest.raises(UsageError):
        management("127.0.0.1:80")
