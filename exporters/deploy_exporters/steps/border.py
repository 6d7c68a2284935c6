"""The layout and the integers of a .tflite as phones want them: a SavedModel wrapped before it is converted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_core.changes import Change
from deploy_core.dtypes import is_float
from deploy_core.errors import UsageError
from deploy_core.signature import Array, Tensors, TensorSpec
from deploy_exporters.exact_names import rename_inputs, tensor_spec
from deploy_exporters.formats.savedmodel import SIGNATURE
from deploy_exporters.steps.job import Job

_NHWC = (0, 2, 3, 1)
_CHANNELS_LAST = ("keras",)


def changes(job: Job) -> tuple[Change, ...]:
    """Give what the options `layout` and `integers` change of the model's tensors. Raises UsageError."""
    if "layout" in job.options and job.kind in _CHANNELS_LAST:
        raise UsageError(f"tflite.layout=nhwc: a {job.kind} model has its channels last already", hint="leave it out")
    specs = (*job.signature.inputs, *job.signature.outputs)
    found = (_change(spec, job.options) for spec in specs)
    return tuple(change for change in found if change is not None)


def read(job: Job) -> Path:
    """Give the job's SavedModel; if something changes, a copy of it that takes and gives the tensors as changed."""
    by_name = {change.tensor: change for change in changes(job)}
    if not by_name:
        return job.read
    folder = Path(tempfile.mkdtemp(prefix="border-"))  # in the worker's own folder, which goes with it
    _write(job, by_name, folder)
    return folder


def to_file(job: Job, arrays: Tensors) -> dict[str, Array]:
    """Give the model's inputs as the file takes them."""
    by_name = {change.tensor: change for change in changes(job)}
    return {name: by_name[name].to_file(array) if name in by_name else array for name, array in arrays.items()}


def joined(border: Iterable[Change], scaled: Iterable[Change]) -> tuple[Change, ...]:
    """Give one change for each tensor, from those of this module and those that quantisation made."""
    found = {change.tensor: change for change in border}
    for change in scaled:
        before = found.get(change.tensor)
        why = f"{before.why}; {change.why}" if before else change.why
        found[change.tensor] = replace(change, axes=before.axes if before else (), why=why)
    return tuple(found.values())


def _change(spec: TensorSpec, options: Mapping[str, str]) -> Change | None:
    if "layout" in options and len(spec.shape) == 4 and is_float(spec.dtype):
        return Change(spec.name, spec.dtype, _NHWC, why="channels last was asked for (tflite.layout=nhwc)")
    if "integers" in options and spec.dtype == "int64":
        return Change(spec.name, "int32", why="32-bit integers were asked for (tflite.integers=int32)")
    return None


def _write(job: Job, by_name: Mapping[str, Change], folder: Path) -> None:
    inner = tf.saved_model.load(str(job.read))
    inputs, outputs = job.signature.inputs, job.signature.outputs

    def serve(*tensors: Any) -> dict[str, Any]:
        named = zip(inputs, tensors, strict=True)
        answer = inner.signatures[SIGNATURE](**{spec.name: _from_file(spec, each, by_name) for spec, each in named})
        return {spec.name: _to_file(answer[spec.name], by_name.get(spec.name)) for spec in outputs}

    module = tf.Module()
    module.inner = inner  # its variables
    specs = [tensor_spec(by_name[spec.name].spec(spec) if spec.name in by_name else spec) for spec in inputs]
    function = tf.function(serve, input_signature=specs, autograph=False)
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: function})
    rename_inputs(folder, inputs)


def _from_file(spec: TensorSpec, tensor: Any, by_name: Mapping[str, Change]) -> Any:
    change = by_name.get(spec.name)
    if change is None:
        return tensor
    moved = tf.transpose(tensor, np.argsort(change.axes)) if change.axes else tensor
    return tf.cast(moved, tf.as_dtype(spec.dtype))


def _to_file(tensor: Any, change: Change | None) -> Any:
    if change is None:
        return tf.identity(tensor)
    moved = tf.transpose(tensor, change.axes) if change.axes else tensor
    return tf.cast(moved, tf.as_dtype(change.dtype))
