"""The Open Inference Protocol over REST: /v2, /v2/health/…, /v2/models/M[/versions/V][/ready|/infer]."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from deploy_core.endpoint import Endpoint
from deploy_core.errors import InputError
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_dialects.answers import body_of, check_no_error, checked, member, object_of, spec_named
from deploy_dialects.codes import status_of
from deploy_dialects.json_text import write_json
from deploy_dialects.malformed import Malformed, ask, doubting, read_as, refusing
from deploy_dialects.oip import models
from deploy_dialects.oip.bodies import is_raw, join, split
from deploy_dialects.oip.infer import Wanted, brings_strings, raw_input, read_inputs, wanted_outputs
from deploy_dialects.oip.tensors import read_tensor, write_tensor
from deploy_dialects.wire import Ask, Description, HttpReply, HttpRequest, Plane, Refused, Route, Served

_JSON = {"content-type": "application/json"}
# KServe answers 500 to a request without an id.
_ID = "deploy"


def describe(endpoint: Endpoint) -> HttpRequest:
    """Ask for the metadata of the model."""
    return HttpRequest("GET", _path(endpoint))


def read_description(endpoint: Endpoint, reply: HttpReply) -> Description:
    """Read the metadata. Raises EndpointError."""
    answer = object_of(endpoint, reply)
    with doubting(endpoint):
        signature = Signature(
            tuple(models.spec_of(tensor) for tensor in member(answer, "inputs", list)),
            tuple(models.spec_of(tensor) for tensor in member(answer, "outputs", list)),
        )
        return Description(signature, models.version_of(endpoint, answer.get("versions")))


def encode(endpoint: Endpoint, signature: Signature, inputs: Tensors, *, binary: bool) -> HttpRequest:
    """Ask for an inference, with tensors as JSON or as raw bytes behind it. Raises InputError."""
    try:
        tensors = [write_tensor(spec, inputs[spec.name], binary=binary) for spec in signature.inputs]
        outputs = [_requested(spec, binary) for spec in signature.outputs]
    except Malformed as error:
        raise InputError(str(error), hint="connect with binary=True, or use oip+grpc") from error
    head = {"id": _ID, "inputs": [tensor for tensor, _ in tensors], "outputs": outputs}
    headers, body = join(head, [raw for _, raw in tensors])
    return HttpRequest("POST", f"{_path(endpoint)}/infer", headers, body)


def decode(endpoint: Endpoint, signature: Signature, reply: HttpReply) -> Tensors:
    """Read the outputs, by name and in any order. Raises EndpointError."""
    body = body_of(endpoint, reply)
    with doubting(endpoint):
        head, tail = split(reply.headers, body)
        check_no_error(head)
        outputs: dict[str, Any] = {}
        for tensor in member(head, "outputs", list):
            spec = spec_named(signature.outputs, member(tensor, "name", str))
            if spec.name in outputs:
                raise Malformed(f"output {spec.name!r} comes twice")
            outputs[spec.name] = read_tensor(tensor, spec, tail)
        tail.check_used()
        return checked(signature, outputs)


def refuse(code: str, message: str) -> HttpReply:
    """Give the error answer `{"error": message}`."""
    return HttpReply(status_of("oip", code), _JSON, write_json({"error": message}))


def _requested(spec: TensorSpec, binary: bool) -> dict[str, Any]:
    if not binary:
        models.tensor_json(spec)
        return {"name": spec.name}
    return {"name": spec.name, "parameters": {"binary_data": True}}


def _path(endpoint: Endpoint) -> str:
    path = f"/v2/models/{quote(endpoint.model, safe='')}"
    return path if endpoint.version is None else f"{path}/versions/{quote(endpoint.version, safe='')}"


def _found(plane: Plane, match: re.Match[str] | None) -> Served:
    assert match is not None
    version = match["version"]
    return models.find(plane, models.unquoted(match["name"]), None if version is None else models.unquoted(version))


def _infer(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> Ask[HttpReply]:
    served = _found(plane, match)
    with refusing():
        if is_raw(request.headers):
            inputs, wanted = raw_input(request.body, served.signature), Wanted(None, _all_binary(served.signature))
        else:
            head, tail = split(request.headers, request.body)
            strings = served.raw is not None and brings_strings(head)
            inputs = read_inputs(head, read_as(served, strings=strings), tail)
            wanted = wanted_outputs(head, served.signature)
    return ask(served, inputs, lambda outputs: _answer(served, wanted, outputs))


def _all_binary(signature: Signature) -> tuple[tuple[TensorSpec, bool], ...]:
    return tuple((spec, True) for spec in signature.outputs)


def _answer(served: Served, wanted: Wanted, outputs: Tensors) -> HttpReply:
    with refusing():
        tensors = [write_tensor(spec, outputs[spec.name], binary=binary) for spec, binary in wanted.outputs]
    head: dict[str, Any] = {"model_name": served.name, "model_version": str(served.version)}
    if wanted.id is not None:
        head["id"] = wanted.id
    headers, body = join({**head, "outputs": [tensor for tensor, _ in tensors]}, [raw for _, raw in tensors])
    return HttpReply(200, headers, body)


def _json(value: Any) -> HttpReply:
    return HttpReply(200, _JSON, write_json(value))


def _metadata(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    assert match is not None
    served = _found(plane, match)
    return _json(models.metadata_json(plane, served, pinned=match["version"] is not None))


def _model_ready(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    return _json({"name": _found(plane, match).name, "ready": True})


def _live(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    return _json({"live": True})


def _ready(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    return _json({"ready": True})


def _server(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    return _json(models.server_json())


def _no_route(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    path = request.target.partition("?")[0]
    methods = [method for route in HANDLERS[:-1] if route.path.fullmatch(path) for method in route.methods]
    if not methods:
        raise Refused("NOT_FOUND", f"there is nothing at {path[:200]}")
    body = write_json({"error": f"{request.method} is not allowed here, only {', '.join(methods)}"})
    return HttpReply(405, {**_JSON, "allow": ", ".join(methods)}, body)


_MODEL = r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?"
_ANY = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

HANDLERS: tuple[Route, ...] = (
    Route(("POST",), re.compile(f"{_MODEL}/infer"), _infer),
    Route(("GET",), re.compile(f"{_MODEL}/ready"), _model_ready),
    Route(("GET",), re.compile(_MODEL), _metadata),
    Route(("GET",), re.compile("/v2/health/live"), _live),
    Route(("GET",), re.compile("/v2/health/ready"), _ready),
    Route(("GET",), re.compile("/v2/?"), _server),
    # Whatever else is asked of this API is answered in its words; must stay the last.
    Route(_ANY, re.compile("/v2(?:/.*)?"), _no_route),
)
