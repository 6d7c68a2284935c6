"""TorchServe's inference API over gRPC: org.pytorch.serve.grpc.inference.InferenceAPIsService, as messages in bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from deploy_core.endpoint import Endpoint
from deploy_core.signature import Signature, Tensors
from deploy_dialects.answers import checked
from deploy_dialects.malformed import doubting, refusing
from deploy_dialects.messages import message, parsed
from deploy_dialects.torchserve import bodies, serving
from deploy_dialects.wire import Ask, Description, Handler, Plane, Refused, RpcRequest

_PACKAGE = "org.pytorch.serve.grpc.inference."
_SERVICE = f"/{_PACKAGE}InferenceAPIsService/"
_BODY = "body"


def describe(endpoint: Endpoint) -> RpcRequest:
    """Ask the handler for the signature; TorchServe itself knows none."""
    return _request(endpoint, bodies.DESCRIBE)


def read_description(endpoint: Endpoint, reply: bytes) -> Description:
    """Read the handler's answer. Raises EndpointError."""
    with doubting(endpoint):
        return bodies.read_description(_prediction(reply))


def encode(endpoint: Endpoint, signature: Signature, inputs: Tensors, *, binary: bool) -> RpcRequest:
    """Ask for a prediction as safetensors bytes, whatever `binary` says. Raises InputError."""
    return _request(endpoint, bodies.write_binary(inputs))


def decode(endpoint: Endpoint, signature: Signature, reply: bytes) -> Tensors:
    """Read the outputs. Raises EndpointError."""
    with doubting(endpoint):
        return checked(signature, bodies.read_outputs(_prediction(reply), signature))


def encode_raw(endpoint: Endpoint, data: bytes) -> RpcRequest:
    """Ask for a prediction on raw bytes, such as an image."""
    return _request(endpoint, data)


def decode_raw(endpoint: Endpoint, signature: Signature, reply: bytes) -> Tensors | dict[str, float]:
    """Read labels with their scores, or the outputs of a model without labels. Raises EndpointError."""
    with doubting(endpoint):
        return bodies.read_raw_answer(_prediction(reply), signature)


def _kind(name: str) -> Any:
    return message("torchserve", f"{_PACKAGE}{name}")


def _request(endpoint: Endpoint, body: bytes) -> RpcRequest:
    request = _kind("PredictionsRequest")(model_name=endpoint.model, model_version=endpoint.version or "")
    request.input[_BODY] = body
    return RpcRequest(f"{_SERVICE}Predictions", request.SerializeToString())


def _prediction(reply: bytes) -> bytes:
    return bytes(parsed(_kind("PredictionResponse"), reply).prediction)


def _predict(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes | Ask[bytes]:
    with refusing():
        asked = parsed(_kind("PredictionsRequest"), request.body)
    served = serving.find(plane, asked.model_name, asked.model_version or None)
    if set(asked.input) != {_BODY}:
        raise Refused("INVALID_ARGUMENT", f"the input must have the one key {_BODY!r}")
    return serving.predict(served, asked.input[_BODY], _wrapped)


def _wrapped(body: bytes, kind: str) -> bytes:
    return bytes(_kind("PredictionResponse")(prediction=body).SerializeToString())


def _ping(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes:
    # As the real one says it: JSON in a string.
    return bytes(_kind("TorchServeHealthResponse")(health='{\n  "status": "Healthy"\n}\n').SerializeToString())


HANDLERS: Mapping[str, Handler[RpcRequest, bytes]] = {
    f"{_SERVICE}Predictions": _predict,
    f"{_SERVICE}Ping": _ping,
}
