"""TorchServe's inference API over REST: /ping and /predictions/M[/V]."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from deploy_core.endpoint import Endpoint
from deploy_core.signature import Signature, Tensors
from deploy_dialects.answers import body_of, checked
from deploy_dialects.codes import status_of
from deploy_dialects.json_text import write_json
from deploy_dialects.malformed import doubting, shown
from deploy_dialects.torchserve import bodies, serving
from deploy_dialects.wire import Ask, Description, HttpReply, HttpRequest, Plane, Refused, Route

_JSON = {"content-type": bodies.JSON}
_TYPES = {
    "INVALID_ARGUMENT": "BadRequestException",
    "NOT_FOUND": "ModelNotFoundException",
    "UNAVAILABLE": "ServiceUnavailableException",
}


def describe(endpoint: Endpoint) -> HttpRequest:
    """Ask the handler for the signature; TorchServe itself knows none."""
    return HttpRequest("POST", _path(endpoint), _JSON, bodies.DESCRIBE)


def read_description(endpoint: Endpoint, reply: HttpReply) -> Description:
    """Read the handler's answer. Raises EndpointError."""
    body = body_of(endpoint, reply)
    with doubting(endpoint):
        return bodies.read_description(body)


def encode(endpoint: Endpoint, signature: Signature, inputs: Tensors, *, binary: bool) -> HttpRequest:
    """Ask for a prediction, as JSON or as safetensors bytes. Raises InputError."""
    if binary:
        return HttpRequest("POST", _path(endpoint), {"content-type": bodies.BINARY}, bodies.write_binary(inputs))
    return HttpRequest("POST", _path(endpoint), _JSON, bodies.write_inputs(inputs))


def decode(endpoint: Endpoint, signature: Signature, reply: HttpReply) -> Tensors:
    """Read the outputs of either form. Raises EndpointError."""
    body = body_of(endpoint, reply)
    with doubting(endpoint):
        return checked(signature, bodies.read_outputs(body, signature))


def encode_raw(endpoint: Endpoint, data: bytes) -> HttpRequest:
    """Ask for a prediction on raw bytes, such as an image."""
    return HttpRequest("POST", _path(endpoint), {"content-type": bodies.BINARY}, data)


def decode_raw(endpoint: Endpoint, signature: Signature, reply: HttpReply) -> Tensors | dict[str, float]:
    """Read labels with their scores, or the outputs of a model without labels. Raises EndpointError."""
    body = body_of(endpoint, reply)
    with doubting(endpoint):
        return bodies.read_raw_answer(body, signature)


def refuse(code: str, message: str) -> HttpReply:
    """Give the error answer `{"code", "type", "message"}`."""
    status = status_of("torchserve", code)
    kind = _TYPES.get(code, "InternalServerException")
    return HttpReply(status, _JSON, write_json({"code": status, "type": kind, "message": message}))


def _path(endpoint: Endpoint) -> str:
    path = f"/predictions/{quote(endpoint.model, safe='')}"
    return path if endpoint.version is None else f"{path}/{quote(endpoint.version, safe='')}"


def _predict(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply | Ask[HttpReply]:
    assert match is not None
    version = match["version"]
    served = serving.find(plane, _unquoted(match["name"]), None if version is None else _unquoted(version))
    return serving.predict(served, request.body, lambda body, kind: HttpReply(200, {"content-type": kind}, body))


def _ping(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    return HttpReply(200, _JSON, write_json({"status": "Healthy"}))


def _unquoted(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Refused("INVALID_ARGUMENT", f"{shown(text)} is not percent-encoded UTF-8") from None


HANDLERS: tuple[Route, ...] = (
    Route(("POST", "PUT"), re.compile(r"/predictions/(?P<name>[^/]+)(?:/(?P<version>[^/]+))?"), _predict),
    Route(("GET", "POST", "HEAD"), re.compile("/ping"), _ping),
)
