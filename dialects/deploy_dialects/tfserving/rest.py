"""TensorFlow Serving's REST API: /v1/models/M[/versions/N|/labels/L][/metadata|:predict]."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from deploy_core.endpoint import Endpoint
from deploy_core.errors import InputError
from deploy_core.signature import Signature, Tensors
from deploy_dialects.answers import checked, member, object_of
from deploy_dialects.codes import status_of
from deploy_dialects.json_tensors import lists_of
from deploy_dialects.json_text import read_object, write_json
from deploy_dialects.malformed import Malformed, ask, doubting, read_as, refusing, shown
from deploy_dialects.tfserving import metadata, names, rows
from deploy_dialects.tfserving.dtypes import NOT_IN_JSON
from deploy_dialects.wire import Ask, Description, HttpReply, HttpRequest, Plane, Refused, Route

_JSON = {"content-type": "application/json"}


def describe(endpoint: Endpoint) -> HttpRequest:
    """Ask for the metadata of the model."""
    return HttpRequest("GET", f"{_path(endpoint)}/metadata")


def read_description(endpoint: Endpoint, reply: HttpReply) -> Description:
    """Read the metadata. Raises EndpointError."""
    answer = object_of(endpoint, reply)
    with doubting(endpoint):
        return metadata.read_metadata(answer)


def encode(endpoint: Endpoint, signature: Signature, inputs: Tensors, *, binary: bool) -> HttpRequest:
    """Ask for a prediction in columnar form, which carries an empty batch, too; there is no binary form. Raises InputError."""
    if binary:
        raise InputError("tfserving over rest has no binary form", hint="use tfserving+grpc, or connect without binary")
    for spec in (*signature.inputs, *signature.outputs):
        if spec.dtype in NOT_IN_JSON:
            raise InputError(f"{spec} cannot travel as tfserving JSON", hint="use tfserving+grpc")
    columns = {name: lists_of(array, rows.b64_or_text) for name, array in inputs.items()}
    body = write_json({"signature_name": names.SIGNATURE, "inputs": columns})
    return HttpRequest("POST", f"{_path(endpoint)}:predict", _JSON, body)


def decode(endpoint: Endpoint, signature: Signature, reply: HttpReply) -> Tensors:
    """Read the outputs of a columnar answer. Raises EndpointError."""
    answer = object_of(endpoint, reply)
    with doubting(endpoint):
        values = _by_name(signature, member(answer, "outputs", object))
        arrays = {s.name: rows.read_tensor(s, values[s.name], overflow_to_inf=False) for s in signature.outputs}
        return checked(signature, arrays)


def refuse(code: str, message: str) -> HttpReply:
    """Give the error answer `{"error": message}`."""
    return HttpReply(status_of("tfserving", code), _JSON, write_json({"error": message}))


def _by_name(signature: Signature, value: Any) -> dict[str, Any]:
    """Give the values by output name; the value of an only output comes bare."""
    wanted = [spec.name for spec in signature.outputs]
    if len(wanted) == 1 and (not isinstance(value, dict) or rows.is_b64(value)):
        return {wanted[0]: value}
    if not isinstance(value, dict) or set(value) != set(wanted):
        found = sorted(value) if isinstance(value, dict) else value
        raise Malformed(f"'outputs' has {shown(found)}, the signature has {shown(wanted)}")
    return value


def _path(endpoint: Endpoint) -> str:
    path = f"/v1/models/{quote(endpoint.model, safe='')}"
    if endpoint.version is None:
        return path
    kind = "labels" if endpoint.label else "versions"
    return f"{path}/{kind}/{quote(endpoint.version, safe='')}"


def _predict(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> Ask[HttpReply]:
    assert match is not None
    served = names.find(plane, *_where(match))
    rows.check_outputs_carried(served.signature)
    with refusing():
        body = read_object(request.body)
        _check_signature_name(body)
        strings = served.raw is not None and rows.brings_strings(body)
        inputs, by_row = rows.read_inputs(body, read_as(served, strings=strings))

    def render(outputs: Tensors) -> HttpReply:
        with refusing():
            answer = rows.row_answer(outputs) if by_row else rows.column_answer(outputs)
        return HttpReply(200, _JSON, write_json(answer))

    return ask(served, inputs, render)


def _check_signature_name(body: dict[str, Any]) -> None:
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise Malformed("'signature_name' must be a string")
    if name not in ("", names.SIGNATURE):
        raise Malformed(f'Serving signature name: "{shown(name)[1:-1]}" not found in signature def')


def _classify(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    assert match is not None
    names.find(plane, *_where(match))
    raise Refused("UNIMPLEMENTED", f"the model has no signature for {match['verb'].lower()}; use predict")


def _status(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    assert match is not None
    # TensorFlow Serving does not resolve a label here: all versions come back.
    name, version, _ = _where(match)
    states = [
        {
            "version": str(served.version),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        for served in names.versions(plane, name, version)
    ]
    return HttpReply(200, _JSON, write_json({"model_version_status": states}))


def _metadata(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    assert match is not None
    return HttpReply(200, _JSON, write_json(metadata.metadata_json(names.find(plane, *_where(match)))))


def _no_name(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    raise Refused("INVALID_ARGUMENT", "Missing model name in request.")


def _no_route(plane: Plane, request: HttpRequest, match: re.Match[str] | None) -> HttpReply:
    path = request.target.partition("?")[0]
    raise Refused("INVALID_ARGUMENT", f"Malformed request: {request.method} {path[:200]}")


def _where(match: re.Match[str]) -> tuple[str, str | None, str | None]:
    """Give model name, version and label."""
    name, label = _unquoted(match["name"]), match["label"]
    return name, names.version_text(match["version"]), None if label is None else _unquoted(label)


def _unquoted(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Refused("INVALID_ARGUMENT", f"{shown(text)} is not percent-encoded UTF-8") from None


_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"


def _pattern(tail: str) -> re.Pattern[str]:
    return re.compile(tail, re.IGNORECASE)


HANDLERS: tuple[Route, ...] = (
    Route(("POST",), _pattern(f"{_MODEL}:predict"), _predict),
    Route(("POST",), _pattern(f"{_MODEL}:(?P<verb>classify|regress)"), _classify),
    Route(("GET",), _pattern(f"{_MODEL}/metadata"), _metadata),
    Route(("GET",), _pattern(_MODEL), _status),
    Route(("GET",), _pattern("/v1/models/?"), _no_name),
    # Whatever else is asked of this API is answered in its words; must stay the last.
    Route(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), _pattern("/v1(?:/.*)?"), _no_route),
)
