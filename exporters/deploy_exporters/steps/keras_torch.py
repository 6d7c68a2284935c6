"""The steps from a .keras file to TorchScript and .pt2, by Keras on its torch backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import torch

from deploy_core.errors import DeployError, ExportError
from deploy_exporters import jit, keras_file, pt2
from deploy_exporters.deploy_handler import to_tensor
from deploy_exporters.formats import torchscript
from deploy_exporters.keras_source import KerasSource
from deploy_exporters.steps.job import Job
from deploy_exporters.torch_flat import flat
from deploy_exporters.torch_source import TorchSource


class _Named(torch.nn.Module):
    """Calls a Keras model with torch tensors by name."""

    def __init__(self, source: KerasSource) -> None:
        super().__init__()
        self.model = source.model
        self._source = source

    def forward(self, **tensors: torch.Tensor) -> list[torch.Tensor]:
        """Answer one batch."""
        return list(self._source.call(tensors))


def torchscript_from_keras(job: Job) -> str:
    """Trace the model on the torch backend; TensorFlow is not imported."""
    module = flat(_named(job), [spec.name for spec in job.signature.inputs]).eval()
    jit.save(jit.trace(module, _example(job)), job.writes, job.signature)
    job.prove(torchscript.load(job.writes, job.signature), "the traced file")
    return "trace"


def pt2_from_keras(job: Job) -> str:
    """Write a torch.export program of the model on the torch backend."""
    pt2.save(pt2.program(TorchSource(_named(job).eval(), job.signature, job.proofs[0][0])), job.writes, job.signature)
    return ""


def _named(job: Job) -> _Named:
    if keras.backend.backend() != "torch":
        raise ExportError(f"Keras runs on {keras.backend.backend()} here, wanted is torch")
    return _Named(KerasSource(_load(job), job.signature, {}))


def _load(job: Job) -> Any:
    try:
        return keras_file.read(job.read)
    except DeployError as error:
        raise ExportError(
            f"Keras on its torch backend cannot read the model: {error}",
            hint="torch takes models of Keras' own layers and functions, their names without a dot",
        ) from error


def _example(job: Job) -> Sequence[torch.Tensor]:
    arrays, _ = job.proofs[0]
    return [to_tensor(arrays[spec.name]) for spec in job.signature.inputs]
