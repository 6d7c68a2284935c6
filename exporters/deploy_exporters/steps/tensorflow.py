"""Steps between files that need TensorFlow."""

from __future__ import annotations

import re
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from deploy_core.errors import ExportError
from deploy_exporters import translation
from deploy_exporters.formats.savedmodel import SIGNATURE
from deploy_exporters.steps import border
from deploy_exporters.steps.job import Job, Written

_OPERATOR = re.compile(r"\btf\.([A-Z]\w+)")


def savedmodel_from_onnx(job: Job) -> str:
    """Write a SavedModel by our own translation, which keeps names, layout and the dynamic batch."""
    translation.savedmodel_from_onnx(job.read, job.writes, job.signature)
    return ""


def tflite_from_savedmodel(job: Job) -> Written:
    """Write a .tflite."""
    job.writes.write_bytes(converted(converter(job)))
    return Written(changes=border.changes(job))


def converter(job: Job) -> Any:
    """Give TensorFlow's converter to TFLite for the job's SavedModel, its tensors in the layout that was asked for."""
    return tf.lite.TFLiteConverter.from_saved_model(str(border.read(job)), signature_keys=[SIGNATURE])


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
