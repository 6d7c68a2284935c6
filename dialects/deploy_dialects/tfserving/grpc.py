"""TensorFlow Serving's gRPC API: PredictionService and ModelService, as messages in bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from deploy_core.endpoint import Endpoint
from deploy_core.signature import Signature, Tensors, TensorSpec
from deploy_dialects.answers import checked
from deploy_dialects.malformed import Malformed, ask, doubting, refusing, shown
from deploy_dialects.messages import message, parsed
from deploy_dialects.shapes import symbolic, wire_dims
from deploy_dialects.tfserving import names
from deploy_dialects.tfserving.dtypes import NUMBERS, dtype_of_number
from deploy_dialects.tfserving.tensor_proto import read_tensor, write_tensor
from deploy_dialects.wire import Ask, Description, Handler, Plane, Refused, RpcRequest, Served

_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"
_AVAILABLE = 30


def describe(endpoint: Endpoint) -> RpcRequest:
    """Ask for the signatures of the model."""
    request = _kind("GetModelMetadataRequest")(metadata_field=["signature_def"])
    _fill_spec(request.model_spec, endpoint)
    return RpcRequest(f"{_PREDICTION}GetModelMetadata", request.SerializeToString())


def read_description(endpoint: Endpoint, reply: bytes) -> Description:
    """Read the signatures; a map of messages has no order, so tensors come by name. Raises EndpointError."""
    with doubting(endpoint):
        answer = parsed(_kind("GetModelMetadataResponse"), reply)
        if "signature_def" not in answer.metadata:
            raise Malformed("there is no signature_def in the metadata")
        signatures = parsed(_kind("SignatureDefMap"), answer.metadata["signature_def"].value).signature_def
        if names.SIGNATURE not in signatures:
            raise Malformed(f"there is no signature {names.SIGNATURE!r}, only {shown(sorted(signatures))}")
        chosen = signatures[names.SIGNATURE]
        version = answer.model_spec.version.value if answer.model_spec.HasField("version") else None
        signature = Signature(_specs(chosen.inputs), _specs(chosen.outputs))
        return Description(signature, None if version is None else str(version))


def encode(endpoint: Endpoint, signature: Signature, inputs: Tensors, *, binary: bool) -> RpcRequest:
    """Ask for a prediction; tensors always travel as raw bytes, so `binary` changes nothing."""
    request = _kind("PredictRequest")(output_filter=[spec.name for spec in signature.outputs])
    _fill_spec(request.model_spec, endpoint)
    request.model_spec.signature_name = names.SIGNATURE
    for name, array in inputs.items():
        write_tensor(request.inputs[name], array, typed=False)
    return RpcRequest(f"{_PREDICTION}Predict", request.SerializeToString())


def decode(endpoint: Endpoint, signature: Signature, reply: bytes) -> Tensors:
    """Read the outputs. Raises EndpointError."""
    with doubting(endpoint):
        answer = parsed(_kind("PredictResponse"), reply)
        return checked(signature, {name: read_tensor(name, proto) for name, proto in answer.outputs.items()})


def _kind(name: str) -> Any:
    return message("tfserving", f"tensorflow.serving.{name}")


def _fill_spec(spec: Any, endpoint: Endpoint) -> None:
    spec.name = endpoint.model
    if endpoint.label is not None:
        spec.version_label = endpoint.label
    elif endpoint.version is not None:
        # Beyond int64 there is no version; the largest one is as absent as any.
        digits = endpoint.version.lstrip("0") or "0"
        spec.version.value = min(int(digits[:20]), 2**63 - 1)


def _specs(infos: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(name, infos[name]) for name in sorted(infos))


def _spec(name: str, info: Any) -> TensorSpec:
    if info.tensor_shape.unknown_rank:
        raise Malformed(f"tensor {name!r} has an unknown rank; give connect() the signature")
    return TensorSpec(name, dtype_of_number(info.dtype), symbolic(name, [dim.size for dim in info.tensor_shape.dim]))


def _predict(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> Ask[bytes]:
    with refusing():
        asked = parsed(_kind("PredictRequest"), request.body)
    served = _find(plane, asked.model_spec)
    _check_signature_name(asked.model_spec.signature_name)
    _check_inputs(served, set(asked.inputs))
    wanted = _wanted(served, list(asked.output_filter))
    with refusing():
        inputs = {name: read_tensor(name, proto) for name, proto in asked.inputs.items()}
    return ask(served, inputs, lambda outputs: _answer(served, {name: outputs[name] for name in wanted}))


def _answer(served: Served, outputs: Tensors) -> bytes:
    answer = _kind("PredictResponse")()
    _fill_answer_spec(answer.model_spec, served)
    answer.model_spec.signature_name = names.SIGNATURE
    for name, array in outputs.items():
        # Typed values, as TensorFlow Serving's default is: many clients read float_val and nothing else.
        write_tensor(answer.outputs[name], array, typed=True)
    return bytes(answer.SerializeToString())


def _metadata(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes:
    with refusing():
        asked = parsed(_kind("GetModelMetadataRequest"), request.body)
    if not asked.metadata_field:
        raise Refused("INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field")
    for field in asked.metadata_field:
        if field != "signature_def":
            raise Refused("INVALID_ARGUMENT", f"Metadata field {shown(field)} is not supported")
    served = _find(plane, asked.model_spec)
    answer = _kind("GetModelMetadataResponse")()
    _fill_answer_spec(answer.model_spec, served)
    answer.metadata["signature_def"].Pack(_signatures(served))
    return bytes(answer.SerializeToString())


def _signatures(served: Served) -> Any:
    signatures = _kind("SignatureDefMap")()
    chosen = signatures.signature_def[names.SIGNATURE]
    chosen.method_name = names.METHOD
    for infos, specs in ((chosen.inputs, served.signature.inputs), (chosen.outputs, served.signature.outputs)):
        for spec in specs:
            infos[spec.name].name = f"{spec.name}:0"
            infos[spec.name].dtype = NUMBERS[spec.dtype]
            for size in wire_dims(spec.shape):
                infos[spec.name].tensor_shape.dim.add(size=size)
    return signatures


def _status(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes:
    with refusing():
        asked = parsed(_kind("GetModelStatusRequest"), request.body)
    if asked.model_spec.HasField("version_label"):
        found = [_find(plane, asked.model_spec)]
    else:
        version = str(asked.model_spec.version.value) if asked.model_spec.HasField("version") else None
        found = names.versions(plane, asked.model_spec.name, version)
    answer = _kind("GetModelStatusResponse")()
    for served in found:
        state = answer.model_version_status.add(version=served.version, state=_AVAILABLE)
        state.status.SetInParent()
    return bytes(answer.SerializeToString())


def _unsupported(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes:
    method = request.method.rpartition("/")[2]
    raise Refused("UNIMPLEMENTED", f"{method} is not supported; the models have a signature for Predict only")


def _no_reload(plane: Plane, request: RpcRequest, match: re.Match[str] | None) -> bytes:
    raise Refused("UNIMPLEMENTED", "HandleReloadConfigRequest is not supported; publish a version in the store")


def _find(plane: Plane, spec: Any) -> Served:
    version = str(spec.version.value) if spec.HasField("version") else None
    return names.find(plane, spec.name, version, spec.version_label if spec.HasField("version_label") else None)


def _fill_answer_spec(spec: Any, served: Served) -> None:
    spec.name = served.name
    spec.version.value = served.version


def _check_signature_name(name: str) -> None:
    if name not in ("", names.SIGNATURE):
        raise Refused("FAILED_PRECONDITION", f'Serving signature key "{shown(name)[1:-1]}" not found.')


def _check_inputs(served: Served, sent: set[str]) -> None:
    required = {spec.name for spec in served.signature.inputs}
    if sent != required:
        raise Refused(
            "INVALID_ARGUMENT",
            f"input size does not match signature: {len(sent)}!={len(required)} len({_set(required)}). "
            f"Sent extra: {_set(sent - required)}. Missing but required: {_set(required - sent)}.",
        )


def _wanted(served: Served, asked: list[str]) -> list[str]:
    """Give the names of the outputs to answer with."""
    known = [spec.name for spec in served.signature.outputs]
    for name in asked:
        if name not in known:
            raise Refused("INVALID_ARGUMENT", f"output tensor alias not found in signature: {shown(name)}")
    if len(set(asked)) != len(asked):
        raise Refused("INVALID_ARGUMENT", "duplicate output tensor alias")
    return asked or known


def _set(items: set[str]) -> str:
    return f"{{{','.join(sorted(items))[:200]}}}"


HANDLERS: Mapping[str, Handler[RpcRequest, bytes]] = {
    f"{_PREDICTION}Predict": _predict,
    f"{_PREDICTION}GetModelMetadata": _metadata,
    f"{_PREDICTION}Classify": _unsupported,
    f"{_PREDICTION}Regress": _unsupported,
    f"{_PREDICTION}MultiInference": _unsupported,
    f"{_MODEL}GetModelStatus": _status,
    f"{_MODEL}HandleReloadConfigRequest": _no_reload,
}
