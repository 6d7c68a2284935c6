"""Steps between files that need TensorFlow."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from deploy_core.errors import ExportError
from deploy_exporters import translation
from deploy_exporters.formats.savedmodel import SIGNATURE
from deploy_exporters.steps import border
from deploy_exporters.steps.job import Job, Written

_FOREIGN = ("keras", "savedmodel")
_LACKING = (b"TensorListReserve", b"MaxPool3D", b"AvgPool3D")
_BY_ONNX = "by ONNX, since TFLite lacks operators of it"
_OPERATOR = re.compile(r"\btf\.([A-Z]\w+)")


def savedmodel_from_onnx(job: Job) -> str:
    """Write a SavedModel by our own translation, which keeps names, layout and the dynamic batch."""
    translation.savedmodel_from_onnx(job.read, job.writes, job.signature)
    return ""


def tflite_from_savedmodel(job: Job) -> Written:
    """Write a .tflite."""
    job.writes.write_bytes(converted(converter(job)))
    return Written(_BY_ONNX if _lacking(job) else "", changes=border.changes(job))


def converter(job: Job) -> Any:
    """Give TensorFlow's converter to TFLite for the job's SavedModel, its tensors in the layout that was asked for.

    A SavedModel of Keras with operators that TFLite lacks is read by way of ONNX and our own translation, which has
    other words for them.
    """
    told = replace(job, reads=_by_onnx(job)) if _lacking(job) else job
    return tf.lite.TFLiteConverter.from_saved_model(str(border.read(told)), signature_keys=[SIGNATURE])


def _lacking(job: Job) -> bool:
    return job.kind in _FOREIGN and any(name in (job.read / "saved_model.pb").read_bytes() for name in _LACKING)


def _by_onnx(job: Job) -> Path:
    from deploy_exporters.steps.tf2onnx import onnx_from_savedmodel

    folder = Path(tempfile.mkdtemp(prefix="by-onnx-"))  # in the worker's own folder, which goes with it
    onnx_from_savedmodel(replace(job, writes=folder / "model.onnx", options={}))
    savedmodel_from_onnx(replace(job, reads=folder / "model.onnx", writes=folder / "savedmodel", options={}))
    return folder / "savedmodel"


def converted(converter: Any) -> bytes:
    """Give the .tflite. Raises ExportError, naming the operators that TFLite does not have."""
    try:
        return bytes(converter.convert())
    except ConverterError as error:
        names = ", ".join(sorted(set(_OPERATOR.findall(str(error))))) or "some"
        raise ExportError(
            f"TFLite has no operators of its own for {names}",
            hint="TFLite wants float32, and recurrent Keras layers with unroll=True; otherwise deploy the SavedModel or ONNX",
        ) from error
