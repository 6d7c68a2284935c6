"""Which steps lead from a kind of source to a format, and what each step needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy_core.errors import UsageError
from deploy_core.table import Row
from deploy_exporters.formats import FORMATS, PUBLIC

KINDS = ("torch", "keras")


@dataclass(frozen=True)
class Step:
    """One function that reads one form of a model and writes another; `reads` is a format, "" for the opened source.

    `packages` are what the step's result depends on; the first letters of a route in the manifest are these names.
    """

    worker: str
    function: str
    reads: str
    writes: str
    packages: tuple[str, ...]
    needs: tuple[str, ...]
    extra: str


_STEPS = "deploy_exporters.steps"
_TORCH = (("torch",), ("torch",), "torch")
_TENSORFLOW = (("tensorflow", "keras"), ("tensorflow",), "tensorflow")
STEPS: Mapping[str, Step] = {
    "torchscript_from_torch": Step("source", f"{_STEPS}.torch:torchscript_from_torch", "", "torchscript", *_TORCH),
    "pt2_from_torch": Step("source", f"{_STEPS}.torch:pt2_from_torch", "", "pt2", *_TORCH),
    "onnx_from_torch": Step(
        "source", f"{_STEPS}.torch:onnx_from_torch", "", "onnx",
        ("torch", "onnx", "onnxscript"), ("torch", "onnx", "onnxscript"), "torch",
    ),
    "savedmodel_from_onnx": Step(
        "tensorflow", f"{_STEPS}.tensorflow:savedmodel_from_onnx", "onnx", "savedmodel",
        ("tensorflow", "onnx"), ("tensorflow", "onnx"), "tensorflow",
    ),
    "tflite_from_savedmodel": Step(
        "tensorflow", f"{_STEPS}.tensorflow:tflite_from_savedmodel", "savedmodel", "tflite", *_TENSORFLOW
    ),
    "onnx_from_savedmodel": Step(
        "tensorflow", f"{_STEPS}.tf2onnx:onnx_from_savedmodel", "savedmodel", "onnx",
        ("tensorflow", "tf2onnx", "onnx"), ("tensorflow", "tf2onnx", "onnx"), "tensorflow",
    ),
    "keras_from_keras": Step("source", f"{_STEPS}.keras:keras_from_keras", "", "keras", *_TENSORFLOW),
    "savedmodel_from_keras": Step("source", f"{_STEPS}.keras:savedmodel_from_keras", "", "savedmodel", *_TENSORFLOW),
    "torchscript_from_keras": Step(
        "keras_torch", f"{_STEPS}.keras_torch:torchscript_from_keras", "keras", "torchscript",
        ("torch", "keras"), ("torch", "keras"), "torch",
    ),
    "mar_from_torchscript": Step("source", f"{_STEPS}.mar:mar_from_torchscript", "torchscript", "mar", (), (), "torch"),
}  # fmt: skip
ROUTES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("torch", "torchscript"): ("torchscript_from_torch",),
    ("torch", "mar"): ("torchscript_from_torch", "mar_from_torchscript"),
    ("torch", "onnx"): ("onnx_from_torch",),
    ("torch", "savedmodel"): ("onnx_from_torch", "savedmodel_from_onnx"),
    ("torch", "tflite"): ("onnx_from_torch", "savedmodel_from_onnx", "tflite_from_savedmodel"),
    ("torch", "pt2"): ("pt2_from_torch",),
    ("keras", "torchscript"): ("keras_from_keras", "torchscript_from_keras"),
    ("keras", "mar"): ("keras_from_keras", "torchscript_from_keras", "mar_from_torchscript"),
    ("keras", "onnx"): ("savedmodel_from_keras", "onnx_from_savedmodel"),
    ("keras", "savedmodel"): ("savedmodel_from_keras",),
    ("keras", "tflite"): ("savedmodel_from_keras", "tflite_from_savedmodel"),
    ("keras", "keras"): ("keras_from_keras",),
}


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix of `deploy formats`: the route, and what is not installed for it."""

    kind: str
    format: str
    route: tuple[str, ...]
    missing: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


def matrix() -> tuple[Cell, ...]:
    """Give what converts to what here, and what is missing; nothing is imported to find out."""
    return tuple(_cell(kind, name) for kind in KINDS for name in PUBLIC)


def route(kind: str, name: str) -> tuple[str, ...]:
    """Give the steps of a route. Raises UsageError for an unknown format and for a pair without one."""
    FORMATS[name]  # an unknown format is another mistake than a missing route
    try:
        return ROUTES[kind, name]
    except KeyError:
        known = ", ".join(have for from_kind, have in ROUTES if from_kind == kind)
        raise UsageError(f"there is no route from {kind} to {name}", hint=f"{kind} converts to {known}") from None


def requirements(kind: str, name: str) -> tuple[Row, ...]:
    """Give what the steps of a route and the runtime of its format need."""
    steps = tuple(Row(step.function, step.needs, step.extra) for step in (STEPS[s] for s in route(kind, name)))
    return (*steps, FORMATS[name])


def _cell(kind: str, name: str) -> Cell:
    rows = requirements(kind, name)
    lacking = [row for row in rows if row.missing]
    missing = tuple(dict.fromkeys(module for row in lacking for module in row.missing))
    return Cell(kind, name, route(kind, name), missing, tuple(dict.fromkeys(row.extra for row in lacking)))
