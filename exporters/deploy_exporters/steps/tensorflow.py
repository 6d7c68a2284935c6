"""Steps between files that need TensorFlow."""

from __future__ import annotations

import tensorflow as tf

from deploy_exporters import translation
from deploy_exporters.formats.savedmodel import SIGNATURE
from deploy_exporters.steps.job import Job


def savedmodel_from_onnx(job: Job) -> str:
    """Write a SavedModel by our own translation, which keeps names, layout and the dynamic batch."""
    translation.savedmodel_from_onnx(job.read, job.writes, job.signature)
    return ""


def tflite_from_savedmodel(job: Job) -> str:
    """Write a .tflite."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(job.read), signature_keys=[SIGNATURE])
    job.writes.write_bytes(converter.convert())
    return ""
