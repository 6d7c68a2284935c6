"""The step that reads an opened SavedModel."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from deploy_exporters.exact_names import rename_inputs, tensor_spec
from deploy_exporters.formats.savedmodel import SIGNATURE
from deploy_exporters.sources.savedmodel import SavedModelSource
from deploy_exporters.steps.job import Job


def savedmodel_from_savedmodel(source: SavedModelSource, job: Job) -> str:
    """Copy a SavedModel that is as we would write it, else write one whose only signature has our names."""
    if source.is_ours:
        shutil.copytree(source.function.path, job.writes, dirs_exist_ok=True)
        return "adopted"
    module = tf.Module()
    module.model = source.function.model  # its variables, tables and assets go along
    specs = [tensor_spec(spec) for spec in job.signature.inputs]
    serve = tf.function(_serving(source, job), input_signature=specs)
    tf.saved_model.save(module, str(job.writes), signatures={SIGNATURE: serve})
    rename_inputs(job.writes, job.signature.inputs)
    return f"signature {source.function.name}"


def _serving(source: SavedModelSource, job: Job) -> Callable[..., dict[str, Any]]:
    names = [spec.name for spec in job.signature.inputs]

    def serve(*tensors: Any) -> dict[str, Any]:
        answer = source.function(dict(zip(names, tensors, strict=True)))
        # An identity of its own: two outputs that are one tensor would become one.
        return {name: tf.identity(answer[own]) for name, own in source.own_outputs.items()}

    return serve
