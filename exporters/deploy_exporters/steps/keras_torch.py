"""The steps from a .keras file to TorchScript and .pt2, by Keras on its torch backend."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

import keras
import torch

from deploy_core.errors import DeployError, ExportError, reason
from deploy_exporters import jit, keras_torch_recurrent, pt2
from deploy_exporters.deploy_handler import to_tensor
from deploy_exporters.formats import torchscript
from deploy_exporters.sources import keras_file, user_code
from deploy_exporters.sources.keras import KerasSource
from deploy_exporters.sources.torch import TorchSource
from deploy_exporters.steps.job import Job
from deploy_exporters.torch_flat import flat

_UNREADABLE = "Keras on its torch backend cannot read the model"


class _Named(torch.nn.Module):
    """Calls a Keras model with torch tensors by name; its weights are this module's only if they are `registered`."""

    def __init__(self, source: KerasSource, *, registered: bool) -> None:
        super().__init__()
        if registered:
            self.model = source.model
        self._source = source

    def forward(self, **tensors: torch.Tensor) -> list[torch.Tensor]:
        """Answer one batch. Raises ExportError for code that calls TensorFlow."""
        try:
            with keras_torch_recurrent.whole():
                values = list(self._source.call(tensors))
        except Exception as error:
            if _calls_tensorflow(error):
                raise _of_tensorflow(reason(error)) from error
            raise
        for value in values:
            if not isinstance(value, torch.Tensor):
                raise _of_tensorflow(f"it answers a {type(value).__name__}")
        return values


def torchscript_from_keras(job: Job) -> str:
    """Trace the model on the torch backend; TensorFlow is not imported."""
    module = flat(_named(job, registered=True), [spec.name for spec in job.signature.inputs]).eval()
    jit.save(jit.trace(module, _example(job)), job.writes, job.signature)
    job.prove(torchscript.load(job.writes, job.signature), "the traced file")
    return "trace"


def pt2_from_keras(job: Job) -> str:
    """Write a torch.export program of the model on the torch backend."""
    # Keras gives its weights to torch.export as constants: registered ones would lie in the file a second time.
    module = _named(job, registered=False).eval()
    pt2.save(pt2.program(TorchSource(module, job.signature, job.proofs[0][0])), job.writes, job.signature)
    return ""


def _named(job: Job, *, registered: bool) -> _Named:
    if keras.backend.backend() != "torch":
        raise ExportError(f"Keras runs on {keras.backend.backend()} here, wanted is torch")
    return _Named(KerasSource(_load(job), job.signature, {}), registered=registered)


def _load(job: Job) -> Any:
    try:
        return keras_file.read(job.read, trust=job.trust, code=_code(job))
    except keras_file.MissingCodeError as error:
        raise ExportError(
            f"{_UNREADABLE}: {error}; {keras_file.REGISTERED}",
            hint="export it to onnx, savedmodel or tflite, or register the class",
        ) from error
    except DeployError as error:
        raise ExportError(
            f"{_UNREADABLE}: {error}",
            hint="torch takes models of Keras' own layers and functions, their names without a dot",
        ) from error


def _code(job: Job) -> dict[str, Any]:
    """Import what defines the user's classes, which is how registered ones become known; give those handed over."""
    if job.source is None or not keras_file.is_own(job.read):
        return {}
    try:
        if job.source.attribute:
            user_code.imported(job.source)
            return {}
        return keras_file.classes_beside(job.source)
    except Exception as error:
        raise ExportError(
            f"the module of the model does not import under the torch backend: {error}; {keras_file.REGISTERED}",
            hint="import TensorFlow only where it is used, and write layers with keras.ops",
        ) from error


def _of_tensorflow(reason: str) -> ExportError:
    return ExportError(
        f"the model's own code calls TensorFlow, which knows no torch tensors: {reason}",
        hint="write its layers with keras.ops, or export to onnx, savedmodel or tflite",
    )


def _calls_tensorflow(error: Exception) -> bool:
    return any("/tensorflow/" in frame.filename for frame in traceback.extract_tb(error.__traceback__))


def _example(job: Job) -> Sequence[torch.Tensor]:
    arrays, _ = job.proofs[0]
    return [to_tensor(arrays[spec.name]) for spec in job.signature.inputs]
