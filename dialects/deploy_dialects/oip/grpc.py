"""The Open Inference Protocol over gRPC: inference.GRPCInferenceService, as messages in bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from deploy_core.endpoint import Endpoint
from deploy_core.errors import InputError
from deploy_core.signature import Array, Signature, Tensors, TensorSpec
from deploy_dialects.answers import checked, spec_named
from deploy_dialects.malformed import Malformed, ask, doubting, read_as, refusing
from deploy_dialects.messages import message, parsed
from deploy_dialects.oip import models
from deploy_dialects.oip.contents import check_raws, read_tensor
from deploy_dialects.oip.datatypes import datatype_of, dtype_of
from deploy_dialects.raw import write_raw
from deploy_dialects.shapes import symbolic
from deploy_dialects.wire import Ask, Description, Handler, Plane, Refused, RpcRequest, Served

_SERVICE = "/inference.GRPCInferenceService/"
_ID = "deploy"


def describe(endpoint: Endpoint) -> RpcRequest:
    """Ask for the metadata of the model."""
    request = _kind("ModelMetadataRequest")(name=endpoint.model, version=endpoint.version or "")
    return RpcRequest(f"{_SERVICE}ModelMetadata", request.SerializeToString())


def read_description(endpoint: Endpoint, reply: bytes) -> Description:
    """Read the metadata. Raises EndpointError."""
    with doubting(endpoint):
        answer = parsed(_kind("ModelMetadataResponse"), reply)
        signature = Signature(_specs(answer.inputs), _specs(answer.outputs))
        if not signature.outputs:
            raise Malformed("the metadata name no outputs")
        return Description(signature, models.version_of(endpoint, list(answer.versions)))


def encode(endpoint: Endpoint, signature: Signature, inputs: Tensors, *, binary: bool) -> RpcRequest:
    """Ask for an inference; tensors always travel as raw bytes, so `binary` changes nothing. Raises InputError."""
    request = _kind("ModelInferRequest")(model_name=endpoint.model, model_version=endpoint.version or "", id=_ID)
    try:
        for spec in signature.inputs:
            datatype, array = datatype_of(spec.name, spec.dtype), inputs[spec.name]
            request.inputs.add(name=spec.name, datatype=datatype, shape=array.shape)
            request.raw_input_contents.append(write_raw(array))
        for spec in signature.outputs:
            datatype_of(spec.name, spec.dtype)
            request.outputs.add(name=spec.name)
    except Malformed as error:
        raise InputError(str(error), hint="use tfserving+grpc") from error
    return RpcRequest(f"{_SERVICE}ModelInfer", request.SerializeToString())


def decode(endpoint: Endpoint, signature: Signature, reply: bytes) -> Tensors:
    """Read the outputs, by name and in any order, raw or typed. Raises EndpointError."""
    with doubting(endpoint):
        answer = parsed(_kind("ModelInferResponse"), reply)
        return checked(signature, _tensors(signature.outputs, answer.outputs, answer.raw_output_contents))


def _kind(name: str) -> Any:
    return message("oip", f"inference.{name}")


def _specs(tensors: Iterable[Any]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(t.name, dtype_of(t.datatype), symbolic(t.name, list(t.shape))) for t in tensors)


def _tensors(specs: tuple[TensorSpec, ...], tensors: Any, raws: Any) -> dict[str, Array]:
    check_raws(tensors, raws)
    arrays: dict[str, Array] = {}
    for index, tensor in enumerate(tensors):
        spec = spec_named(specs, tensor.name)
        if spec.name in arrays:
            raise Malformed(f"tensor {spec.name!r} comes twice")
        arrays[spec.name] = read_tensor(spec, tensor, raws[index] if raws else None)
    return arrays


def _infer(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> Ask[bytes]:
    with refusing():
        asked = parsed(_kind("ModelInferRequest"), request.body)
    served = models.find(plane, asked.model_name, asked.model_version)
    with refusing():
        wanted = _wanted(served.signature, asked.outputs)
        strings = served.raw is not None and any(tensor.datatype == "BYTES" for tensor in asked.inputs)
        specs = read_as(served, strings=strings).inputs
        inputs = _tensors(specs, asked.inputs, asked.raw_input_contents)
    return ask(served, inputs, lambda outputs: _answer(served, asked.id, wanted, outputs))


def _wanted(signature: Signature, requested: Any) -> tuple[TensorSpec, ...]:
    if len(requested) > len(signature.outputs):
        raise Malformed(f"{len(requested)} outputs are requested, the model has {len(signature.outputs)}")
    wanted = tuple(spec_named(signature.outputs, output.name) for output in requested) or signature.outputs
    if len(set(wanted)) != len(wanted):
        raise Malformed("an output is requested twice")
    for output in requested:
        if "classification" in output.parameters:
            raise Malformed("the classification extension is not supported")
    for spec in wanted:
        datatype_of(spec.name, spec.dtype)
    return wanted


def _answer(served: Served, id_: str, wanted: tuple[TensorSpec, ...], outputs: Tensors) -> bytes:
    answer = _kind("ModelInferResponse")(model_name=served.name, model_version=str(served.version), id=id_)
    for spec in wanted:
        array = outputs[spec.name]
        answer.outputs.add(name=spec.name, datatype=datatype_of(spec.name, spec.dtype), shape=array.shape)
        # Raw whatever form the request had, as Triton answers.
        answer.raw_output_contents.append(write_raw(array))
    return bytes(answer.SerializeToString())


def _metadata(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes:
    with refusing():
        asked = parsed(_kind("ModelMetadataRequest"), request.body)
    found = models.find(plane, asked.name, asked.version)
    return bytes(
        _kind("ModelMetadataResponse")(
            **models.metadata_json(plane, found, pinned=bool(asked.version))
        ).SerializeToString()
    )


def _model_ready(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes:
    with refusing():
        asked = parsed(_kind("ModelReadyRequest"), request.body)
    try:
        models.find(plane, asked.name, asked.version)
        ready = True
    except Refused as refused:
        if refused.code != "NOT_FOUND":
            raise
        ready = False
    return bytes(_kind("ModelReadyResponse")(ready=ready).SerializeToString())


def _live(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes:
    return bytes(_kind("ServerLiveResponse")(live=True).SerializeToString())


def _ready(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes:
    return bytes(_kind("ServerReadyResponse")(ready=True).SerializeToString())


def _server(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes:
    return bytes(_kind("ServerMetadataResponse")(**models.server_json()).SerializeToString())


HANDLERS: Mapping[str, Handler[RpcRequest, bytes]] = {
    f"{_SERVICE}ModelInfer": _infer,
    f"{_SERVICE}ModelMetadata": _metadata,
    f"{_SERVICE}ModelReady": _model_ready,
    f"{_SERVICE}ServerLive": _live,
    f"{_SERVICE}ServerReady": _ready,
    f"{_SERVICE}ServerMetadata": _server,
}
