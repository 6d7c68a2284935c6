"""The public routes from Keras, called as their documentation says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from benchmarks.zoo.judge import Judge
from benchmarks.zoo.model import Model
from benchmarks.zoo.public import Maker


def onnx(model: Model, judge: Judge, folder: Path) -> tuple[str, Path]:
    """Write ONNX by Keras, which calls tf2onnx."""
    path = folder / "public.onnx"
    judge.source.model.export(str(path), format="onnx", verbose=False)
    return "model.export", path


def savedmodel(model: Model, judge: Judge, folder: Path) -> tuple[str, Path]:
    """Write a SavedModel by Keras."""
    path = folder / "public_savedmodel"
    judge.source.model.export(str(path), verbose=False)
    return "model.export", path


def tflite(model: Model, judge: Judge, folder: Path) -> tuple[str, Path]:
    """Write TFLite by TensorFlow's converter."""
    path = folder / "public.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(judge.source.model).convert())
    return "TFLiteConverter.from_keras_model", path


MAKERS: Mapping[str, Maker] = {"onnx": onnx, "savedmodel": savedmodel, "tflite": tflite}
