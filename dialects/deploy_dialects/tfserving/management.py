"""What TensorFlow Serving can be asked beside predictions: the states of a model's versions, and over gRPC another configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError, InputError
from deploy_dialects.answers import member, object_of, refusal
from deploy_dialects.malformed import Malformed, doubting
from deploy_dialects.management import ABSENT, ModelStatus, Operation, Page, Wish
from deploy_dialects.messages import message, parsed
from deploy_dialects.tfserving.files import read_file
from deploy_dialects.wire import HttpReply, HttpRequest, RpcRequest

_SERVICE = "/tensorflow.serving.ModelService/"
_AVAILABLE = "AVAILABLE"


def _knock(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    return HttpRequest("GET", "/v1/models")


def _read_knock(endpoint: Endpoint, reply: HttpReply) -> bool:
    # There is no question for this: that a name is missing is what a server says that lives.
    if reply.status not in (200, 400):
        raise refusal(endpoint, reply)
    return True


def _status(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    if endpoint.label is not None:
        raise InputError(f"tfserving over rest does not tell which version is {endpoint.label!r}", hint="ask over grpc")
    path = f"/v1/models/{quote(endpoint.model, safe='')}"
    return HttpRequest("GET", path if endpoint.version is None else f"{path}/versions/{endpoint.version}")


def _read_status(endpoint: Endpoint, reply: HttpReply) -> Page:
    answer = object_of(endpoint, reply)
    with doubting(endpoint):
        found = member(answer, "model_version_status", list)
        return Page(tuple(_of_json(endpoint, version) for version in found))


def _of_json(endpoint: Endpoint, data: Any) -> ModelStatus:
    said = data.get("status") if isinstance(data, Mapping) else None
    reason = str(said.get("error_message", "")) if isinstance(said, Mapping) else ""
    return _told(endpoint, member(data, "version", str), member(data, "state", str), reason)


def _told(endpoint: Endpoint, version: str, state: str, reason: str) -> ModelStatus:
    return ModelStatus(endpoint.model, version, state, state == _AVAILABLE, reason)


def _rpc_knock(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    return RpcRequest(f"{_SERVICE}GetModelStatus", _kind("GetModelStatusRequest")().SerializeToString())


def _rpc_status(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    request = _kind("GetModelStatusRequest")()
    request.model_spec.name = endpoint.model
    if endpoint.label is not None:
        request.model_spec.version_label = endpoint.label
    elif endpoint.version is not None:
        request.model_spec.version.value = min(int(endpoint.version), 2**63 - 1)
    return RpcRequest(f"{_SERVICE}GetModelStatus", request.SerializeToString())


def _read_rpc_status(endpoint: Endpoint, reply: bytes) -> Page:
    with doubting(endpoint):
        answer = parsed(_kind("GetModelStatusResponse"), reply)
        return Page(tuple(_of_message(endpoint, version) for version in answer.model_version_status))


def _of_message(endpoint: Endpoint, version: Any) -> ModelStatus:
    states = version.DESCRIPTOR.fields_by_name["state"].enum_type.values_by_number
    state = states[version.state].name if version.state in states else str(version.state)
    return _told(endpoint, str(version.version), state, version.status.error_message)


def _read_ready(endpoint: Endpoint, reply: HttpReply | bytes) -> bool:
    page = _read_status(endpoint, reply) if isinstance(reply, HttpReply) else _read_rpc_status(endpoint, reply)
    return any(status.ready for status in page.statuses)


def _reload(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    try:
        config = read_file("models", wish.text)
    except Malformed as error:
        raise InputError(str(error), hint="it is what --model_config_file names, as text") from None
    request = _kind("ReloadConfigRequest")(config=config)
    return RpcRequest(f"{_SERVICE}HandleReloadConfigRequest", request.SerializeToString())


def _read_reload(endpoint: Endpoint, reply: bytes) -> None:
    """A refusal comes within an answer that is OK."""
    with doubting(endpoint):
        status = parsed(_kind("ReloadConfigResponse"), reply).status
    if status.error_code:
        codes = status.DESCRIPTOR.fields_by_name["error_code"].enum_type.values_by_number
        code = codes[status.error_code].name if status.error_code in codes else str(status.error_code)
        raise EndpointError(
            f"{endpoint} took no other configuration: {code}: {status.error_message}",
            hint="what was served before is served still",
            status=code,
        )


def _kind(name: str) -> Any:
    return message("tfserving", f"tensorflow.serving.{name}")


_ALIVE: Mapping[int | str, Any] = {"NOT_FOUND": True, "INVALID_ARGUMENT": True, "UNAVAILABLE": False}
OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "rest": {
        "live": Operation(_knock, _read_knock, repeatable=False, means={503: False, "UNAVAILABLE": False}),
        "model_ready": Operation(_status, _read_ready, repeatable=False, means=ABSENT),
        "status": Operation(_status, _read_status),
    },
    "grpc": {
        "live": Operation(_rpc_knock, lambda endpoint, reply: True, repeatable=False, means=_ALIVE),
        "model_ready": Operation(_rpc_status, _read_ready, repeatable=False, means=ABSENT),
        "status": Operation(_rpc_status, _read_rpc_status),
        "reload": Operation(_reload, _read_reload),
    },
}
_CONFIG = "what it serves is in its models.config: reload() over grpc"
ELSEWHERE: Mapping[str, str] = {
    "ready": "it knows whether a model is: ready(MODEL)",
    "index": "it does not tell which models it has; ask for the status of one",
    "load": _CONFIG,
    "unload": _CONFIG,
    "scale": "it has no workers; threads are given at its start",
    "set_default": "the newest version is; labels of models.config name others: reload() over grpc",
    "reload": "over grpc",
    "statistics": "it tells them to Prometheus alone, if its monitoring_config_file says so",
}
