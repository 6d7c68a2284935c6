"""Messages over gRPC that must be refused with the right code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deploy_dialects.messages import message
from deploy_dialects.wire import Refused, RpcRequest

PREDICT = "/tensorflow.serving.PredictionService/Predict"
TFS_METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
INFER = "/inference.GRPCInferenceService/ModelInfer"
PREDICTIONS = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
Call = Callable[..., bytes]


@pytest.fixture
def call(dialects: Any) -> Call:
    """Call a method on a model `x:DTYPE[batch,2] -> y` that echoes."""

    def send(dialect: str, method: str, body: Any, dtype: str = "float32") -> bytes:
        plane = dialects.plane_of(f"x:{dtype}[batch,2]", f"y:{dtype}[batch,2]", labels=("stable",))
        raw = body if isinstance(body, bytes) else body.SerializeToString()
        module = dialects.Road(dialect, "grpc").module
        return bytes(dialects.run(module, plane, RpcRequest(method, raw), lambda got: {"y": got["x"]}))

    return send


def refused(call: Call, *arguments: Any, code: str = "INVALID_ARGUMENT") -> str:
    """Assert that a call is refused with the code; give the text."""
    with pytest.raises(Refused) as caught:
        call(*arguments)
    assert caught.value.code == code
    assert 0 < len(caught.value.message) < 1000
    return caught.value.message


def tfs(name: str, **fields: Any) -> Any:
    return message("tfserving", f"tensorflow.serving.{name}")(**fields)


def predict(**spec: Any) -> Any:
    request = tfs("PredictRequest", model_spec={"name": "m", **spec})
    tensor = request.inputs["x"]
    tensor.dtype = 1
    for size in (1, 2):
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.extend([1.0, 2.0])
    return request


def infer(**tensor: Any) -> Any:
    request = message("oip", "inference.ModelInferRequest")(model_name="m", id="7")
    fields = {"name": "x", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32_contents": [1.0, 2.0]}, **tensor}
    request.inputs.add(**{name: value for name, value in fields.items() if value is not None})
    return request


def test_honest_messages_are_answered(call: Call) -> None:
    answer = tfs("PredictResponse").FromString(call("tfserving", PREDICT, predict()))
    assert list(answer.outputs["y"].float_val) == [1.0, 2.0]
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("m", 2)
    assert answer.model_spec.signature_name == "serving_default"
    answer = message("oip", "inference.ModelInferResponse").FromString(call("oip", INFER, infer()))
    assert (answer.id, answer.model_name, answer.model_version) == ("7", "m", "2")
    assert answer.raw_output_contents[0] == np.array([1, 2], "<f4").tobytes()


@pytest.mark.parametrize(
    ("dialect", "method"), [("tfserving", PREDICT), ("tfserving", STATUS), ("oip", INFER), ("torchserve", PREDICTIONS)]
)
def test_bytes_that_are_no_message(call: Call, dialect: str, method: str) -> None:
    refused(call, dialect, method, b"\xff\xff\xff")
    refused(call, dialect, method, b"\x0a\x7f")


def test_models_that_are_not_there(call: Call) -> None:
    gone = {"name": "z"}
    assert "Servable" in refused(call, "tfserving", PREDICT, predict(**gone), code="NOT_FOUND")
    for version in (0, 9, -1, 2**63 - 1):
        text = refused(call, "tfserving", PREDICT, predict(version={"value": version}), code="NOT_FOUND")
        assert f"Specific(m, {version})" in text
    refused(call, "tfserving", PREDICT, predict(version_label="canary"))
    refused(call, "tfserving", STATUS, tfs("GetModelStatusRequest", model_spec=gone), code="NOT_FOUND")
    for changes in ({"model_name": "z"}, {"model_version": "9"}, {"model_version": "x"}, {"model_name": "\0" * 5000}):
        request = infer()
        for name, value in changes.items():
            setattr(request, name, value)
        refused(call, "oip", INFER, request, code="NOT_FOUND")
    request = message("torchserve", "org.pytorch.serve.grpc.inference.PredictionsRequest")(model_name="z")
    refused(call, "torchserve", PREDICTIONS, request, code="NOT_FOUND")


def test_versions_and_labels_are_found(call: Call) -> None:
    for spec, version in (({"version": {"value": 1}}, 1), ({"version_label": "stable"}, 2), ({}, 2)):
        answer = tfs("PredictResponse").FromString(call("tfserving", PREDICT, predict(**spec)))
        assert answer.model_spec.version.value == version


def test_signature_names(call: Call) -> None:
    call("tfserving", PREDICT, predict(signature_name="serving_default"))
    text = refused(call, "tfserving", PREDICT, predict(signature_name="other"), code="FAILED_PRECONDITION")
    assert text == 'Serving signature key "other" not found.'


def test_inputs_that_are_not_the_models(call: Call) -> None:
    request = predict()
    request.inputs["z"].CopyFrom(request.inputs["x"])
    del request.inputs["x"]
    text = refused(call, "tfserving", PREDICT, request)
    assert text == ("input size does not match signature: 1!=1 len({x}). Sent extra: {z}. Missing but required: {x}.")


@pytest.mark.parametrize("outputs", [["z"], ["y", "y"], ["y"] * 100_000])
def test_outputs_that_are_not_the_models(call: Call, outputs: list[str]) -> None:
    request = predict()
    request.output_filter.extend(outputs)
    refused(call, "tfserving", PREDICT, request)
    other = infer()
    for name in outputs:
        other.outputs.add(name=name)
    refused(call, "oip", INFER, other)


def test_only_the_outputs_asked_for_are_answered(dialects: Any) -> None:
    plane = dialects.plane_of("x:float32[batch,2]", "y:float32[batch,2] z:float32[batch]")
    answer = {"y": np.zeros((1, 2), np.float32), "z": np.zeros(1, np.float32)}
    request, other = predict(), infer()
    request.output_filter.append("z")
    other.outputs.add(name="z")
    for dialect, method, asked, kind in (
        ("tfserving", PREDICT, request, tfs("PredictResponse")),
        ("oip", INFER, other, message("oip", "inference.ModelInferResponse")()),
    ):
        module = dialects.Road(dialect, "grpc").module
        kind.ParseFromString(
            dialects.run(module, plane, RpcRequest(method, asked.SerializeToString()), lambda got: answer)
        )
        names = list(kind.outputs) if dialect == "tfserving" else [output.name for output in kind.outputs]
        assert names == ["z"]


@pytest.mark.parametrize("field", [[], ["other"], ["signature_def", "other"]])
def test_metadata_fields(call: Call, field: list[str]) -> None:
    refused(
        call, "tfserving", TFS_METADATA, tfs("GetModelMetadataRequest", model_spec={"name": "m"}, metadata_field=field)
    )


@pytest.mark.parametrize("method", ["Classify", "Regress", "MultiInference"])
def test_what_the_models_have_no_signature_for(call: Call, method: str) -> None:
    refused(call, "tfserving", f"/tensorflow.serving.PredictionService/{method}", b"", code="UNIMPLEMENTED")


def test_states(call: Call) -> None:
    request = tfs("GetModelStatusRequest", model_spec={"name": "m"})
    answer = tfs("GetModelStatusResponse").FromString(call("tfserving", STATUS, request))
    assert [(state.version, state.state) for state in answer.model_version_status] == [(2, 30), (1, 30)]


def test_wrong_dtype_and_shape(call: Call) -> None:
    request = predict()
    request.inputs["x"].dtype = 2
    refused(call, "tfserving", PREDICT, request)
    request = predict()
    request.inputs["x"].tensor_shape.dim[1].size = 1
    refused(call, "tfserving", PREDICT, request)


@pytest.mark.parametrize(
    "tensor",
    [
        {"name": "z"},
        {"datatype": "FP64"},
        {"datatype": "FLOAT"},
        {"datatype": ""},
        {"shape": []},
        {"shape": [2]},
        {"shape": [-1, 2]},
        {"shape": [2**40, 2**40]},
        {"shape": [2**4, 2**60 + 2]},
        {"shape": [2**40, 2**40, 0]},
        {"shape": [1] * 1000},
        {"shape": [1, 1]},
        {"shape": [1, 2**40]},
        {"contents": None},
        {"contents": {"fp32_contents": [1.0]}},
        {"contents": {"fp32_contents": [1.0, 2.0, 3.0]}},
        {"contents": {"fp64_contents": [1.0, 2.0]}},
        {"contents": {"fp32_contents": [1.0, 2.0], "int_contents": [1]}},
    ],
    ids=str,
)
def test_oip_tensors(call: Call, tensor: dict[str, Any]) -> None:
    refused(call, "oip", INFER, infer(**tensor))


@pytest.mark.parametrize(
    ("dtype", "datatype", "field", "value"),
    [
        ("int8", "INT8", "int_contents", 300),
        ("int8", "INT8", "int_contents", -129),
        ("int16", "INT16", "int_contents", 2**15),
        ("uint8", "UINT8", "uint_contents", 256),
        ("uint16", "UINT16", "uint_contents", 2**16),
        ("uint8", "UINT8", "int_contents", 1),
    ],
)
def test_contents_never_wrap(call: Call, dtype: str, datatype: str, field: str, value: int) -> None:
    refused(call, "oip", INFER, infer(datatype=datatype, contents={field: [0, value]}), dtype)


@pytest.mark.parametrize("raws", [[b""], [bytes(7)], [bytes(9)], [bytes(8), bytes(8)]])
def test_raw_contents(call: Call, raws: list[bytes]) -> None:
    request = infer(contents=None)
    request.raw_input_contents.extend(raws)
    refused(call, "oip", INFER, request)


def test_raw_and_typed_contents_together(call: Call) -> None:
    request = infer()
    request.raw_input_contents.append(bytes(8))
    refused(call, "oip", INFER, request)


def test_contents_without_values_beside_raw_ones_say_nothing(call: Call) -> None:
    """MLServer sends such answers."""
    request = infer(contents={})
    assert request.inputs[0].HasField("contents")
    request.raw_input_contents.append(np.array([1, 2], "<f4").tobytes())
    answer = message("oip", "inference.ModelInferResponse").FromString(call("oip", INFER, request))
    assert answer.raw_output_contents[0] == request.raw_input_contents[0]


def test_one_input_twice(call: Call) -> None:
    request = infer()
    request.inputs.append(request.inputs[0])
    refused(call, "oip", INFER, request)


def test_no_inputs(call: Call) -> None:
    request = infer()
    del request.inputs[:]
    refused(call, "oip", INFER, request)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_floats_have_no_contents(call: Call, dtype: str) -> None:
    datatype = {"float16": "FP16", "bfloat16": "BF16"}[dtype]
    refused(call, "oip", INFER, infer(datatype=datatype), dtype)
    request = infer(datatype=datatype, contents=None)
    request.raw_input_contents.append(bytes(4))
    assert call("oip", INFER, request, dtype)


def test_readiness_of_an_unknown_model_is_an_answer(call: Call) -> None:
    request = message("oip", "inference.ModelReadyRequest")(name="z")
    answer = call("oip", "/inference.GRPCInferenceService/ModelReady", request)
    assert not message("oip", "inference.ModelReadyResponse").FromString(answer).ready
    request.name = "m"
    answer = call("oip", "/inference.GRPCInferenceService/ModelReady", request)
    assert message("oip", "inference.ModelReadyResponse").FromString(answer).ready


@pytest.mark.parametrize(
    "entries",
    [{}, {"data": b"{}"}, {"body": b"{}", "data": b""}, {"body": b""}, {"body": b"\xff" * 64}, {"body": b"{}"}],
)
def test_torchserve_inputs(call: Call, entries: dict[str, bytes]) -> None:
    kind = message("torchserve", "org.pytorch.serve.grpc.inference.PredictionsRequest")
    refused(call, "torchserve", PREDICTIONS, kind(model_name="m", input=entries))


def test_health_and_server_metadata(call: Call) -> None:
    def answer(method: str) -> Any:
        kind = message("oip", f"inference.{method}Response")
        return kind.FromString(call("oip", f"/inference.GRPCInferenceService/{method}", b""))

    assert answer("ServerLive").live
    assert answer("ServerReady").ready
    assert list(answer("ServerMetadata").extensions) == ["binary_tensor_data"]
    raw = call("torchserve", "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Ping", b"")
    health = message("torchserve", "org.pytorch.serve.grpc.inference.TorchServeHealthResponse").FromString(raw)
    assert json.loads(health.health) == {"status": "Healthy"}


def test_reloading_the_configuration_is_not_there(call: Call) -> None:
    method = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
    assert "publish" in refused(call, "tfserving", method, b"", code="UNIMPLEMENTED")
