"""The Open Inference Protocol's health, and the repository as Triton and MLServer have it, over REST and gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, InputError
from deploy_dialects.answers import body_of, member
from deploy_dialects.json_text import read_json, write_json
from deploy_dialects.malformed import Malformed, doubting, shown
from deploy_dialects.management import ModelStatus, Operation, Page, Wish, check_options
from deploy_dialects.messages import message, parsed
from deploy_dialects.oip.statistics import STATISTICS
from deploy_dialects.wire import HttpReply, HttpRequest, RpcRequest

# `config`: JSON that stands in the place of the model's own config.pbtxt.
OPTIONS: Mapping[str, type] = {"config": str}
_SERVICE = "/inference.GRPCInferenceService/"
_JSON = {"content-type": "application/json"}


def _live(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    return HttpRequest("GET", "/v2/health/live")


def _ready(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    return HttpRequest("GET", "/v2/health/ready")


def _model_ready(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    path = f"/v2/models/{quote(endpoint.model, safe='')}"
    at = "" if endpoint.version is None else f"/versions/{quote(endpoint.version, safe='')}"
    return HttpRequest("GET", f"{path}{at}/ready")


def _read_health(endpoint: Endpoint, reply: HttpReply) -> bool:
    """The status says it all, and a body, where there is one, may say otherwise."""
    body = body_of(endpoint, reply)
    if not body:
        return True
    with doubting(endpoint):
        answer = read_json(body)
    said = answer if isinstance(answer, dict) else {}
    return all(said[word] is True for word in ("live", "ready") if word in said)


def _index(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    return HttpRequest("POST", "/v2/repository/index", _JSON, b"{}")


def _read_index(endpoint: Endpoint, reply: HttpReply) -> Page:
    body = body_of(endpoint, reply)
    with doubting(endpoint):
        answer = read_json(body)
        if not isinstance(answer, list):
            raise Malformed(f"{shown(answer)} is where a list of models should be")
        return Page(tuple(_of_json(model) for model in answer))


def _of_json(model: Any) -> ModelStatus:
    name = member(model, "name", str)
    version, state, reason = (str(model.get(key) or "") for key in ("version", "state", "reason"))
    return _told(name, version, state, reason)


def _told(name: str, version: str, state: str, reason: str) -> ModelStatus:
    return ModelStatus(name, version or None, state, state == "READY" if state else None, reason)


def _read_status(endpoint: Endpoint, reply: HttpReply | bytes) -> Page:
    """Of the whole index, for there is no question for one model."""
    page = _read_index(endpoint, reply) if isinstance(reply, HttpReply) else _read_rpc_index(endpoint, reply)
    wanted = [s for s in page.statuses if s.model == endpoint.model and endpoint.version in (None, s.version)]
    if not wanted:
        raise EndpointError(f"{endpoint} is not in the repository", hint="index() tells what is", status="NOT_FOUND")
    return Page(tuple(wanted))


def _load(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    check_options("load of oip", OPTIONS, wish.options)
    body = write_json({"parameters": dict(wish.options)}) if wish.options else b"{}"
    return HttpRequest("POST", f"{_repository(endpoint)}/load", _JSON, body)


def _unload(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    return HttpRequest("POST", f"{_repository(endpoint)}/unload", _JSON, b"{}")


def _repository(endpoint: Endpoint) -> str:
    return f"/v2/repository/models/{quote(_whole(endpoint), safe='')}"


def _whole(endpoint: Endpoint) -> str:
    if endpoint.version is not None:
        raise InputError(
            "a repository loads and unloads all of a model", hint="its version_policy says which versions that is"
        )
    return endpoint.model


def _read_done(endpoint: Endpoint, reply: HttpReply) -> None:
    body_of(endpoint, reply)


def _kind(name: str) -> Any:
    return message("oip", f"inference.{name}")


def _call(method: str, **fields: Any) -> RpcRequest:
    return RpcRequest(f"{_SERVICE}{method}", _kind(f"{method}Request")(**fields).SerializeToString())


def _rpc_live(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    return _call("ServerLive")


def _rpc_ready(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    return _call("ServerReady")


def _rpc_model_ready(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    return _call("ModelReady", name=endpoint.model, version=endpoint.version or "")


def _read_rpc_live(endpoint: Endpoint, reply: bytes) -> bool:
    with doubting(endpoint):
        return bool(parsed(_kind("ServerLiveResponse"), reply).live)


def _read_rpc_ready(endpoint: Endpoint, reply: bytes) -> bool:
    with doubting(endpoint):
        return bool(parsed(_kind("ServerReadyResponse"), reply).ready)  # the model's has the same form


def _rpc_index(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    return _call("RepositoryIndex")


def _read_rpc_index(endpoint: Endpoint, reply: bytes) -> Page:
    with doubting(endpoint):
        answer = parsed(_kind("RepositoryIndexResponse"), reply)
    return Page(tuple(_told(model.name, model.version, model.state, model.reason) for model in answer.models))


def _rpc_load(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    check_options("load of oip", OPTIONS, wish.options)
    parameters = {name: _kind("ModelRepositoryParameter")(string_param=text) for name, text in wish.options.items()}
    return _call("RepositoryModelLoad", model_name=_whole(endpoint), parameters=parameters)


def _rpc_unload(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    return _call("RepositoryModelUnload", model_name=_whole(endpoint))


def _read_rpc_done(endpoint: Endpoint, reply: bytes) -> None:
    with doubting(endpoint):
        parsed(_kind("RepositoryModelLoadResponse"), reply)  # both are empty


# Triton says 400 of a model that it does not know, or that is not ready.
_NOT: Mapping[int | str, Any] = {400: False, 404: False, 503: False, "NOT_FOUND": False, "UNAVAILABLE": False}
_DOWN: Mapping[int | str, Any] = {400: False, 503: False, "UNAVAILABLE": False}
OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "rest": {
        "live": Operation(_live, _read_health, repeatable=False, means=_DOWN),
        "ready": Operation(_ready, _read_health, repeatable=False, means=_DOWN),
        "model_ready": Operation(_model_ready, _read_health, repeatable=False, means=_NOT),
        "index": Operation(_index, _read_index),
        "status": Operation(_index, _read_status),
        "load": Operation(_load, _read_done, repeatable=False),
        "unload": Operation(_unload, _read_done),
        "statistics": STATISTICS["rest"],
    },
    "grpc": {
        "live": Operation(_rpc_live, _read_rpc_live, repeatable=False, means=_DOWN),
        "ready": Operation(_rpc_ready, _read_rpc_ready, repeatable=False, means=_DOWN),
        "model_ready": Operation(_rpc_model_ready, _read_rpc_ready, repeatable=False, means=_NOT),
        "index": Operation(_rpc_index, _read_rpc_index),
        "status": Operation(_rpc_index, _read_status),
        "load": Operation(_rpc_load, _read_rpc_done, repeatable=False),
        "unload": Operation(_rpc_unload, _read_rpc_done),
        "statistics": STATISTICS["grpc"],
    },
}
ELSEWHERE: Mapping[str, str] = {
    "scale": "instances are in the model's configuration: load() it with another one",
    "set_default": "the newest version is; the model's version_policy says which there are",
    "reload": "load and unload its models one by one",
}
