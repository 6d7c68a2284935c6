"""A version's SavedModel, loaded by TensorFlow in this process, and asked its warm-up requests."""

from __future__ import annotations

import logging
from pathlib import Path

from deploy_core.errors import UsageError, reason
from deploy_core.predictor import Predictor
from deploy_dialects.messages import message, parsed
from deploy_dialects.tfserving.grpc import HANDLERS
from deploy_dialects.tfserving.warmup import FILE, read_warmup
from deploy_dialects.wire import Ask, RpcRequest, Served
from deploy_servers.embedded.batching import Runnable
from deploy_servers.embedded.plane import ServedModels
from deploy_servers.embedded.service import Model

log = logging.getLogger("deploy.model_server")

_PREDICT = "/tensorflow.serving.PredictionService/Predict"


def load(name: str, version: int, path: Path, *, threads: int | None = None, warm: bool = True) -> Model:
    """Load a version from its folder. Raises UsageError if it cannot be served, UnsafeError if it would do more than compute."""
    from deploy_exporters.formats import load_file

    predictor = load_file("savedmodel", path, threads=threads)
    served = Served(name, version, predictor.signature, "tensorflow")
    if warm and (path / FILE).exists():
        try:
            _warm_up(served, predictor, (path / FILE).read_bytes())
        except Exception as error:  # whatever TensorFlow raises, this version is not served, and the others are
            predictor.close()
            raise UsageError(f"its warm-up failed: {reason(error)}", hint=f"remove or mend {path / FILE}") from error
    return Model(served, Runnable(predictor))


def _warm_up(served: Served, predictor: Predictor, data: bytes) -> None:
    kind = message("tfserving", "tensorflow.serving.PredictRequest")
    plane = ServedModels([served])
    requests = list(read_warmup(data))
    for body in requests:
        request = parsed(kind, body)
        request.model_spec.name = served.name  # TensorFlow Serving does not ask whom it was recorded for
        request.model_spec.ClearField("version_choice")
        asked = HANDLERS[_PREDICT](plane, RpcRequest(_PREDICT, request.SerializeToString()), None)
        assert isinstance(asked, Ask)
        asked.render(predictor.predict(asked.inputs))
    log.info("{name: %s version: %d} answered %d warm-up requests", served.name, served.version, len(requests))
