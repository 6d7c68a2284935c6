"""The denominator: which kind of source × which format counts. Fixed beforehand; what is refused counts against us."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.zoo.model import Model

_FILES = ("onnx", "savedmodel", "tflite", "mar", "openvino")
DENOMINATOR: Mapping[str, tuple[str, ...]] = {
    "torch": (*_FILES, "torchscript", "pt2", "executorch"),
    "keras": (*_FILES, "torchscript", "pt2", "executorch"),
    "torchscript": (*_FILES, "torchscript"),
    "onnx": _FILES,
}
# Pairs that do not count, each with its reason: (model, format).
EXCUSED: Mapping[tuple[str, str], str] = {}


def formats(model: Model) -> tuple[str, ...]:
    """Give the formats that count for a model."""
    return tuple(name for name in DENOMINATOR[model.kind] if (model.name, name) not in EXCUSED)
