"""Which steps lead from a kind of source to a format, and what each step needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy_core.errors import UsageError
from deploy_core.table import Row
from deploy_exporters.formats import FORMATS, PUBLIC, split

KINDS = ("torch", "torchscript", "keras", "onnx", "savedmodel", "tflite", "mar")


@dataclass(frozen=True)
class Step:
    """One function that reads one form of a model and writes another: artifacts' names, "" for the opened source.

    A step that reads the opened source has the kind of source at the end of its name. `packages` are what its result
    depends on.
    `calibrated` says that it cannot do without rows of real inputs.
    """

    worker: str
    function: str
    reads: str
    writes: str
    packages: tuple[str, ...]
    needs: tuple[str, ...]
    extra: str
    calibrated: bool = False


_STEPS = "deploy_exporters.steps"
_TORCH = (("torch",), ("torch",), "torch")
_TENSORFLOW = (("tensorflow", "keras"), ("tensorflow",), "tensorflow")
_QUANTIZE = (("onnxruntime", "onnx"), ("onnxruntime", "onnx"), "onnx")
STEPS: Mapping[str, Step] = {
    "torchscript_from_torch": Step("source", f"{_STEPS}.torch:torchscript_from_torch", "", "torchscript", *_TORCH),
    "pt2_from_torch": Step("source", f"{_STEPS}.torch:pt2_from_torch", "", "pt2", *_TORCH),
    "onnx_from_torch": Step(
        "source", f"{_STEPS}.torch:onnx_from_torch", "", "onnx",
        ("torch", "onnx", "onnxscript"), ("torch", "onnx", "onnxscript"), "torch",
    ),
    "torchscript_from_torchscript": Step(
        "source", f"{_STEPS}.torchscript:torchscript_from_torchscript", "", "torchscript", *_TORCH
    ),
    "pt2_from_torchscript": Step("source", f"{_STEPS}.torchscript:pt2_from_torchscript", "", "pt2", *_TORCH),
    "onnx_from_torchscript": Step(
        "source", f"{_STEPS}.torchscript:onnx_from_torchscript", "", "onnx",
        ("torch", "onnx", "onnxscript"), ("torch", "onnx", "onnxscript", "onnxruntime"), "torch",
    ),
    "onnx_from_onnx": Step("source", f"{_STEPS}.adopted:onnx_from_onnx", "", "onnx", ("onnx",), ("onnx",), "onnx"),
    "savedmodel_from_savedmodel": Step(
        "source", f"{_STEPS}.savedmodel:savedmodel_from_savedmodel", "", "savedmodel", *_TENSORFLOW
    ),
    "tflite_from_tflite": Step("source", f"{_STEPS}.adopted:tflite_from_tflite", "", "tflite", (), (), "tflite"),
    "mar_from_mar": Step("source", f"{_STEPS}.adopted:mar_from_mar", "", "mar", (), (), "torch"),
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
    "mar_from_onnx": Step("source", f"{_STEPS}.mar:mar_from_onnx", "onnx", "mar", (), ("onnxruntime",), "onnx"),
    "pt2_from_keras": Step(
        "keras_torch", f"{_STEPS}.keras_torch:pt2_from_keras", "keras", "pt2",
        ("torch", "keras"), ("torch", "keras"), "torch",
    ),
    "openvino_from_onnx": Step(
        "source", f"{_STEPS}.openvino:openvino_from_onnx", "onnx", "openvino", ("openvino",), ("openvino",), "openvino"
    ),
    "executorch_from_pt2": Step(
        "torch", f"{_STEPS}.executorch:executorch_from_pt2", "pt2", "executorch",
        ("executorch", "torch"), ("executorch", "torch"), "executorch",
    ),
    "coreml_from_pt2": Step(
        "torch", f"{_STEPS}.coreml:coreml_from_pt2", "pt2", "coreml",
        ("coremltools", "torch"), ("coremltools", "torch"), "coreml",
    ),
    "tflite_float16_from_savedmodel": Step(
        "tensorflow", f"{_STEPS}.quantize:tflite_float16_from_savedmodel", "savedmodel", "tflite-float16", *_TENSORFLOW
    ),
    "tflite_dynamic_int8_from_savedmodel": Step(
        "tensorflow", f"{_STEPS}.quantize:tflite_dynamic_int8_from_savedmodel", "savedmodel", "tflite-dynamic-int8",
        *_TENSORFLOW,
    ),
    "tflite_int8_from_savedmodel": Step(
        "tensorflow", f"{_STEPS}.quantize:tflite_int8_from_savedmodel", "savedmodel", "tflite-int8", *_TENSORFLOW,
        calibrated=True,
    ),
    "onnx_float16_from_onnx": Step(
        "source", f"{_STEPS}.onnx_quantize:onnx_float16_from_onnx", "onnx", "onnx-float16", *_QUANTIZE
    ),
    "onnx_dynamic_int8_from_onnx": Step(
        "source", f"{_STEPS}.onnx_quantize:onnx_dynamic_int8_from_onnx", "onnx", "onnx-dynamic-int8", *_QUANTIZE
    ),
}  # fmt: skip


def _routes(kind: str) -> dict[str, tuple[str, ...]]:
    """Give the shortest way to everything that steps lead to; of two ways, the one whose last step stands first."""
    begins = {name: step for name, step in STEPS.items() if not step.reads and name.endswith(f"_from_{kind}")}
    found: dict[str, tuple[str, ...]] = {step.writes: (name,) for name, step in begins.items()}
    further = found
    while further:
        further = {}
        for name, step in STEPS.items():
            if step.reads in found and step.writes not in found:
                further.setdefault(step.writes, (*found[step.reads], name))
        found |= further
    return {name: found[name] for name in sorted(found, key=_place)}


def _place(name: str) -> tuple[bool, int]:
    format_, variant = split(name)
    return bool(variant), list(FORMATS).index(format_)


ROUTES: Mapping[tuple[str, str], tuple[str, ...]] = {
    (kind, name): steps for kind in KINDS for name, steps in _routes(kind).items()
}


# Pairs that have no route, and what to do instead: the hint of the refusal.
_ONNX_IN_MAR = "a mar holds the ONNX file and an ONNX Runtime handler"
_NO_PROGRAM = "it is made from a torch.export program, and nothing makes one of such a file; export the model itself"
_VARIANTS = tuple(dict.fromkeys(name for _, name in ROUTES if split(name)[1]))
_ADOPTED = "such a file is kept as it is; export the model that it was made of"
REFUSED: Mapping[tuple[str, str], str] = {
    **{(kind, "torchscript"): _ONNX_IN_MAR for kind in ("onnx", "savedmodel")},
    **{(kind, name): _NO_PROGRAM for kind in ("onnx", "savedmodel") for name in ("pt2", "executorch", "coreml")},
    **{(kind, name): _ADOPTED for kind in ("tflite", "mar") for name in (*FORMATS, *_VARIANTS) if name != kind},
}


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix of `deploy formats`: the route, what is not installed for it, or why there is none."""

    kind: str
    format: str
    route: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    reason: str = ""


def matrix() -> tuple[Cell, ...]:
    """Give what converts to what here, and what is missing; nothing is imported to find out."""
    names = dict.fromkeys((*PUBLIC, *(name for _, name in ROUTES if split(name)[0] in PUBLIC)))
    return tuple(_cell(kind, name) for kind in KINDS for name in names)


def route(kind: str, name: str) -> tuple[str, ...]:
    """Give the steps of a route. Raises UsageError for an unknown format and for a pair without one."""
    FORMATS[split(name)[0]]  # an unknown format is another mistake than a missing route
    if (kind, name) in ROUTES:
        return ROUTES[kind, name]
    known = ", ".join(have for from_kind, have in ROUTES if from_kind == kind and split(have)[0] in PUBLIC)
    hint = REFUSED.get((kind, name), f"{kind} converts to {known}")
    raise UsageError(f"there is no route from {kind} to {name}", hint=hint)


def require_target(name: str) -> None:
    """Raise UsageError for a name that no kind of source is exported to."""
    format_ = split(name)[0]
    FORMATS[format_]  # an unknown format is another mistake than an unknown variant
    targets = dict.fromkeys(target for _, target in ROUTES if split(target)[0] in PUBLIC)
    if name not in targets:
        known = ", ".join(target for target in targets if split(target)[0] == format_) or ", ".join(targets)
        raise UsageError(f"nothing is exported to {name!r}", hint=f"there are {known}")


def quantized(formats: Sequence[str], modes: Sequence[str]) -> tuple[str, ...]:
    """Give the formats, each followed by its variants of these modes. Raises UsageError for a mode that none of them has."""
    variants = dict.fromkeys(name for _, name in ROUTES if split(name)[1])
    for mode in modes:
        if not any(f"{name}-{mode}" in variants for name in formats):
            known = ", ".join(name for name in variants if split(name)[0] in formats) or f"only {', '.join(variants)}"
            raise UsageError(f"none of {', '.join(formats)} can be quantised as {mode!r}", hint=f"there are {known}")
    wanted = ((name, *(f"{name}-{mode}" for mode in modes if f"{name}-{mode}" in variants)) for name in formats)
    return tuple(dict.fromkeys(name for names in wanted for name in names))


def is_calibrated(name: str) -> bool:
    """Tell whether an artifact of that name is made from rows of real inputs."""
    return any(step.writes == name and step.calibrated for step in STEPS.values())


def require_calibration(names: Sequence[str], *, given: bool) -> None:
    """Raise UsageError if an artifact of these names needs calibration data that are not given, or if none needs them."""
    needing = [name for name in names if is_calibrated(name)]
    if needing and not given:
        raise UsageError(
            f"{', '.join(needing)} needs calibration data",
            hint="give a hundred rows of real inputs: --calibration FILE.npz",
        )
    if given and not needing:
        raise UsageError(f"calibration data are given, but {', '.join(names)} needs none", hint="leave them out")


def requirements(kind: str, name: str) -> tuple[Row, ...]:
    """Give what the steps of a route and the runtime of its format need."""
    steps = tuple(Row(step.function, step.needs, step.extra) for step in (STEPS[s] for s in route(kind, name)))
    return (*steps, FORMATS[split(name)[0]])


def _cell(kind: str, name: str) -> Cell:
    if (kind, name) not in ROUTES:
        return Cell(kind, name, reason=REFUSED.get((kind, name), "there is no route"))
    rows = requirements(kind, name)
    lacking = [row for row in rows if row.missing]
    missing = tuple(dict.fromkeys(module for row in lacking for module in row.missing))
    return Cell(kind, name, route(kind, name), missing, tuple(dict.fromkeys(row.extra for row in lacking)))
