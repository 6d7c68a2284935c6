"""Steps that read an opened Keras model, on the TensorFlow backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from deploy_core.errors import ExportError
from deploy_exporters.exact_names import rename_inputs, tensor_spec
from deploy_exporters.formats.savedmodel import SIGNATURE
from deploy_exporters.sources import keras_file
from deploy_exporters.sources.keras import KerasSource
from deploy_exporters.steps.job import Job


def keras_from_keras(source: KerasSource, job: Job) -> str:
    """Write a .keras file."""
    try:
        source.model.save(job.writes)
    except NotImplementedError as error:
        kind = type(source.model).__name__
        raise ExportError(
            f"the class {kind} cannot be written as .keras: {keras_file.REGISTERED}",
            hint="give the class a get_config()",
        ) from error
    return ""


def savedmodel_from_keras(source: KerasSource, job: Job) -> str:
    """Write a SavedModel whose signature has our names; `model.export` would call a single output output_0."""
    archive = keras.export.ExportArchive()
    archive.track(source.model)
    specs = [tensor_spec(spec) for spec in job.signature.inputs]
    archive.add_endpoint(SIGNATURE, _serving(source, job), input_signature=specs)
    archive.write_out(str(job.writes), verbose=False)
    rename_inputs(job.writes, job.signature.inputs)
    return ""


def _serving(source: KerasSource, job: Job) -> Callable[..., dict[str, Any]]:
    names = [spec.name for spec in job.signature.inputs]
    outputs = [spec.name for spec in job.signature.outputs]

    def serve(*tensors: Any) -> dict[str, Any]:
        values = source.call(dict(zip(names, tensors, strict=True)))
        # An identity of its own: two outputs that are one tensor would become one.
        return {name: tf.identity(value) for name, value in zip(outputs, values, strict=True)}

    return serve
