"""The requests that TensorFlow Serving asks a model before it serves it: a TFRecord of PredictionLog messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deploy_core.signature import Tensors
from deploy_dialects.messages import message, parsed
from deploy_dialects.tfserving import names
from deploy_dialects.tfserving.records import read_records, write_records
from deploy_dialects.tfserving.tensor_proto import write_tensor

FILE = "assets.extra/tf_serving_warmup_requests"  # inside a version's SavedModel


def write_warmup(model: str, asked: Iterable[Tensors]) -> bytes:
    """Give the file that asks a model for these predictions; the same inputs give the same bytes."""
    return write_records(_log(_request(model, inputs)) for inputs in asked)


def read_warmup(data: bytes) -> Iterator[bytes]:
    """Give the PredictRequests of such a file; what logs another method is left out. Raises Malformed."""
    for record in read_records(data):
        log = parsed(message("tfserving_files", "tensorflow.serving.PredictionLog"), record)
        if log.HasField("predict_log"):
            yield log.predict_log.request


def _request(model: str, inputs: Tensors) -> bytes:
    request = message("tfserving", "tensorflow.serving.PredictRequest")()
    request.model_spec.name = model
    request.model_spec.signature_name = names.SIGNATURE
    for name, array in inputs.items():
        write_tensor(request.inputs[name], array, typed=False)
    return bytes(request.SerializeToString(deterministic=True))


def _log(request: bytes) -> bytes:
    log = message("tfserving_files", "tensorflow.serving.PredictionLog")()
    log.predict_log.request = request
    return bytes(log.SerializeToString(deterministic=True))
