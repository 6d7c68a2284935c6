"""The second of the two bare processes: ONNX → SavedModel → TFLite by TensorFlow, with nothing around; argv: the folder."""

from __future__ import annotations

import sys
from pathlib import Path

import tensorflow as tf

from deploy_core.signature import Signature, TensorSpec
from deploy_exporters.translation import savedmodel_from_onnx

SIGNATURE = Signature(
    (TensorSpec("image", "float32", ("batch", 3, 32, 32)),), (TensorSpec("output", "float32", ("batch", 10)),)
)


def main(folder: Path) -> None:
    """Write the two files."""
    savedmodel_from_onnx(folder / "model.onnx", folder / "savedmodel", SIGNATURE)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "savedmodel"))
    (folder / "model.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
