"""TorchServe's management API, at an address of its own: /models over REST, ManagementAPIsService over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from deploy_core.endpoint import Endpoint
from deploy_core.errors import InputError
from deploy_dialects.answers import member, refusal
from deploy_dialects.json_text import read_json, read_object
from deploy_dialects.malformed import Malformed, doubting, shown
from deploy_dialects.management import ABSENT, ModelStatus, Operation, Page, Wish, check_options
from deploy_dialects.messages import message, parsed
from deploy_dialects.torchserve.metrics import STATISTICS
from deploy_dialects.wire import HttpReply, HttpRequest, RpcRequest

# `url`: the archive's file name in the server's model store, or an address that its allowed_urls let through.
OPTIONS: Mapping[str, type] = {
    "url": str,
    "handler": str,
    "runtime": str,
    "initial_workers": int,
    "batch_size": int,
    "max_batch_delay": int,
    "response_timeout": int,
    "startup_timeout": int,
    "synchronous": bool,
    "s3_sse_kms": bool,
}
_PACKAGE = "org.pytorch.serve.grpc.management."
_ALL = "all"
_PER_PAGE = 100  # the most that it gives at once


def registration(model: str, options: Mapping[str, str]) -> dict[str, str]:
    """Give what is sent to register an archive: answered when its workers are there. Raises UsageError."""
    check_options("load of torchserve", OPTIONS, options)
    if "url" not in options:
        raise InputError("torchserve loads no model without an archive", hint='give options={"url": "NAME.mar", …}')
    return {"model_name": model, "initial_workers": "1", "synchronous": "true", **options}


def _list(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    page = {"next_page_token": wish.page} if wish.page else {}
    return HttpRequest("GET", f"/models?{urlencode({'limit': _PER_PAGE, **page})}")


def _describe(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    return HttpRequest("GET", _path(endpoint, endpoint.version or _ALL))


def _register(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    return HttpRequest("POST", f"/models?{urlencode(registration(endpoint.model, wish.options))}")


def _scale(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    wanted = {"min_worker": wish.workers, "max_worker": wish.workers, "synchronous": "true"}
    return HttpRequest("PUT", f"{_path(endpoint, endpoint.version)}?{urlencode(wanted)}")


def _set_default(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    return HttpRequest("PUT", f"{_path(endpoint, _version(endpoint))}/set-default")


def _unregister(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    return HttpRequest("DELETE", _path(endpoint, endpoint.version))


def _path(endpoint: Endpoint, version: str | None) -> str:
    path = f"/models/{quote(endpoint.model, safe='')}"
    return path if version is None else f"{path}/{quote(version, safe='')}"


def _version(endpoint: Endpoint) -> str:
    if endpoint.version is None:
        raise InputError(f"which version of {endpoint.model} is to be the default?", hint="give version=…")
    return endpoint.version


def _body(endpoint: Endpoint, reply: HttpReply | bytes) -> bytes:
    """Give what a server says in either transport. Raises EndpointError."""
    if isinstance(reply, HttpReply):
        if not 200 <= reply.status < 300:
            raise refusal(endpoint, reply)
        return reply.body
    with doubting(endpoint):
        return str(parsed(_kind("ManagementResponse"), reply).msg).encode()


def _read_done(endpoint: Endpoint, reply: HttpReply | bytes) -> None:
    _body(endpoint, reply)


def _read_page(endpoint: Endpoint, reply: HttpReply | bytes) -> Page:
    body = _body(endpoint, reply)
    with doubting(endpoint):
        answer = read_object(body)
        models = [ModelStatus(member(model, "modelName", str)) for model in member(answer, "models", list)]
        token = answer.get("nextPageToken")
        return Page(tuple(models), "" if token is None else str(token))


def _read_statuses(endpoint: Endpoint, reply: HttpReply | bytes) -> Page:
    body = _body(endpoint, reply)
    with doubting(endpoint):
        answer = read_json(body)
        if not isinstance(answer, list):
            raise Malformed(f"{shown(answer)} is where a list of versions should be")
        return Page(tuple(_status(description) for description in answer))


def _read_ready(endpoint: Endpoint, reply: HttpReply | bytes) -> bool:
    statuses = _read_statuses(endpoint, reply).statuses
    return bool(statuses) and any(status.ready for status in statuses)


def _status(description: Any) -> ModelStatus:
    """Judge a version by its workers: TorchServe itself has no word for it."""
    states = [member(worker, "status", str) for worker in member(description, "workers", list)]
    ready = states.count("READY")
    return ModelStatus(
        member(description, "modelName", str),
        member(description, "modelVersion", str),
        state="READY" if ready else "UNAVAILABLE",
        ready=ready > 0,
        reason=f"{ready} of {len(states)} workers are ready",
    )


def _read_live(endpoint: Endpoint, reply: HttpReply | bytes) -> bool:
    _read_page(endpoint, reply)
    return True


def _kind(name: str) -> Any:
    return message("torchserve", f"{_PACKAGE}{name}")


def _call(method: str, **fields: Any) -> RpcRequest:
    body = _kind(f"{method}Request")(**fields).SerializeToString()
    return RpcRequest(f"/{_PACKAGE}ManagementAPIsService/{method}", body)


def _rpc_list(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    return _call("ListModels", limit=_PER_PAGE, next_page_token=int(wish.page or 0))


def _rpc_describe(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    return _call("DescribeModel", model_name=endpoint.model, model_version=endpoint.version or _ALL)


def _rpc_register(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    wanted = registration(endpoint.model, wish.options)
    readers: Mapping[type, Callable[[str], Any]] = {int: int, bool: "true".__eq__, str: str}
    return _call("RegisterModel", **{name: readers[OPTIONS.get(name, str)](text) for name, text in wanted.items()})


def _rpc_scale(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    if wish.workers == 0:
        raise InputError("over gRPC TorchServe takes no worker for one worker", hint="scale over rest, or unload it")
    workers = {"min_worker": wish.workers, "max_worker": wish.workers, "synchronous": True}
    return _call("ScaleWorker", model_name=endpoint.model, model_version=endpoint.version or "", **workers)


def _rpc_set_default(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    return _call("SetDefault", model_name=endpoint.model, model_version=_version(endpoint))


def _rpc_unregister(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    return _call("UnregisterModel", model_name=endpoint.model, model_version=endpoint.version or "")


Encode = Callable[[Endpoint, Wish], Any]
_NO_ARCHIVE = (
    "url is the name of a file in the server's model store (its --model-store; of one that deploy serve started, the "
    "folder models in the one that `deploy ps --json` tells), or an address that its allowed_urls let through"
)
_DEAD: Mapping[int | str, Any] = {503: False, "UNAVAILABLE": False}


def _operations(
    index: Encode, describe: Encode, register: Encode, unregister: Encode, scale: Encode, set_default: Encode
) -> Mapping[str, Operation]:
    return {
        "live": Operation(index, _read_live, repeatable=False, means=_DEAD),
        "model_ready": Operation(describe, _read_ready, repeatable=False, means=ABSENT),
        "index": Operation(index, _read_page),
        "status": Operation(describe, _read_statuses),
        "load": Operation(register, _read_done, repeatable=False, hints=dict.fromkeys((404, "NOT_FOUND"), _NO_ARCHIVE)),
        "unload": Operation(unregister, _read_done, repeatable=False),
        "scale": Operation(scale, _read_done),
        "set_default": Operation(set_default, _read_done),
    }


OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    "rest": {
        **_operations(_list, _describe, _register, _unregister, _scale, _set_default),
        "statistics": STATISTICS,  # at the metrics address, which has nothing else
    },
    "grpc": _operations(_rpc_list, _rpc_describe, _rpc_register, _rpc_unregister, _rpc_scale, _rpc_set_default),
}
ELSEWHERE: Mapping[str, str] = {
    "ready": "its management knows whether a model is: ready(MODEL)",
    "reload": "load and unload its models one by one",
    "statistics": "its metrics address tells them, over rest",
}
