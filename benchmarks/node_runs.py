"""One node test through the real thing: an ONNX file, a SavedModel on disk, a TFLite file, each run by its runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.node_cases import NodeCase
from deploy_core.dtypes import dtype_name
from deploy_core.errors import DeployError
from deploy_core.signature import Array, Signature, Tensors, TensorSpec

PASS, FAIL, REFUSED = "pass", "fail", "refused"
CONSTANT, FED, TFLITE = "savedmodel", "savedmodel_fed", "tflite"
WAYS = (CONSTANT, FED, TFLITE)


@dataclass(frozen=True)
class Outcome:
    """What became of a case on one way, and why."""

    state: str
    reason: str = ""


def run(case: NodeCase, ways: tuple[str, ...] = WAYS) -> dict[str, Outcome]:
    """Run a case on each way; `savedmodel` and `tflite` have the shape-like inputs as initialisers."""
    with tempfile.TemporaryDirectory() as folder:
        constant, found = Path(folder, "constant"), {}
        found[CONSTANT] = _outcome(lambda: _through_savedmodel(case, constant, case.shape_like))
        if FED in ways:
            same = not case.shape_like
            fed = Path(folder, "fed")
            found[FED] = found[CONSTANT] if same else _outcome(lambda: _through_savedmodel(case, fed, frozenset()))
        if TFLITE in ways:
            found[TFLITE] = _outcome(lambda: _through_tflite(case, constant))
        return found


def _outcome(work: Callable[[], Outcome]) -> Outcome:
    try:
        return work()
    except DeployError as error:
        return Outcome(REFUSED if "TFLite has no operators" in str(error) else FAIL, _one_line(error))
    except Exception as error:  # a measurement: whatever a runtime raises is this case's result
        return Outcome(FAIL, f"{type(error).__name__}: {_one_line(error)}")


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]


def _through_savedmodel(case: NodeCase, folder: Path, fixed: frozenset[str]) -> Outcome:
    from deploy_exporters.formats import savedmodel
    from deploy_exporters.translation import savedmodel_from_onnx, unsupported

    model = onnx.ModelProto.FromString(case.model)
    if names := unsupported(model):
        return Outcome(REFUSED, f"no translation of {', '.join(names)}")
    folder.mkdir()
    signature = _prepared(case, model, fixed)
    onnx.save(model, folder / "model.onnx")
    savedmodel_from_onnx(folder / "model.onnx", folder / "savedmodel", signature)
    return _verdict(case, savedmodel.load(folder / "savedmodel", signature), signature)


def _through_tflite(case: NodeCase, folder: Path) -> Outcome:
    from deploy_exporters.formats import tflite
    from deploy_exporters.steps.job import Job
    from deploy_exporters.steps.tensorflow import tflite_from_savedmodel

    if not (folder / "savedmodel").exists():
        return Outcome(FAIL, "there is no SavedModel")
    signature = _prepared(case, onnx.ModelProto.FromString(case.model), case.shape_like)
    tflite_from_savedmodel(Job(folder / "savedmodel", folder / "model.tflite", signature, (), case.name))
    return _verdict(case, tflite.load(folder / "model.tflite", signature), signature)


def _prepared(case: NodeCase, model: onnx.ModelProto, fixed: frozenset[str]) -> Signature:
    """Put the fixed inputs into the model as initialisers and give the signature of the rest."""
    for value in [value for value in model.graph.input if value.name in fixed]:
        model.graph.initializer.append(numpy_helper.from_array(case.inputs[value.name], value.name))
        model.graph.input.remove(value)
    inputs = (TensorSpec(n, dtype_name(a.dtype), a.shape) for n, a in case.inputs.items() if n not in fixed)
    return Signature(tuple(inputs), tuple(map(_spec, model.graph.output)))


def _spec(value: Any) -> TensorSpec:
    kind = value.type.tensor_type
    sizes = tuple(
        int(dim.dim_value) if dim.HasField("dim_value") else f"{value.name}_{i}" for i, dim in enumerate(kind.shape.dim)
    )
    return TensorSpec(value.name, dtype_name(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))), sizes)


def _verdict(case: NodeCase, predictor: Any, signature: Signature) -> Outcome:
    inputs = {spec.name: case.inputs[spec.name] for spec in signature.inputs}
    try:
        got: Tensors = predictor.predict(inputs)
        problem = "; ".join(filter(None, (_difference(case, name, got[name]) for name in case.outputs)))
    finally:
        predictor.close()
    return Outcome(FAIL, problem) if problem else Outcome(PASS)


def _difference(case: NodeCase, name: str, got: Array) -> str:
    """Say how an output differs from what the standard wants, compared as its own test runner does."""
    want = case.outputs[name]
    if (got.dtype, got.shape) != (want.dtype, want.shape):
        return f"{name} is {got.dtype}{list(got.shape)}, wanted is {want.dtype}{list(want.shape)}"
    try:
        np.testing.assert_allclose(got, want, rtol=case.rtol, atol=case.atol)
    except AssertionError as error:
        return f"{name}: {_one_line(error)}"
    return ""


def to_json(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, str]]:
    """Give plain data for a JSON document."""
    return {way: {"state": o.state, "reason": o.reason} for way, o in outcomes.items()}
