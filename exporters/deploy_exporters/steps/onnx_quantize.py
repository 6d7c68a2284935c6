"""ONNX to ONNX with coarser numbers, by what ONNX Runtime brings for it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import onnx

from deploy_core.errors import ExportError, first_line
from deploy_exporters import onnx_weights
from deploy_exporters.steps import onnx_file
from deploy_exporters.steps.job import Job, Written

_INTEGERS = ("MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv", "DynamicQuantizeLSTM", "DequantizeLinear")


def onnx_dynamic_int8_from_onnx(job: Job) -> Written:
    """Write an ONNX file with weights in int8; activations are quantised while it runs, by the values of a batch."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet(), _told("int8"):
        quantize_dynamic(job.read, job.writes, per_channel=True, weight_type=QuantType.QInt8)
    found = _operators(job.writes)
    told = ", ".join(f"{found[name]} {name}" for name in _INTEGERS if found[name])
    if not told:
        return Written("no operator in int8", remarks=("nothing is in int8: no operator has constant weights",))
    return Written(f"{told}, weights per channel", remarks=_REMARKS)


def onnx_float16_from_onnx(job: Job) -> Written:
    """Write an ONNX file that computes in float16 inside; its inputs and outputs stay what they are."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    with _told("float16"):
        model = convert_float_to_float16(onnx_weights.load(job.read), keep_io_types=True)
        OnnxModel.graph_topological_sort(model.graph)  # it puts the casts of the inputs at the end
        onnx.checker.check_model(model, full_check=True)
        onnx_file.save(model, job.writes)
    return Written("inputs and outputs in float32")


_REMARKS = (
    "activations get their scale from all rows of a batch, so an answer depends a little on the rows beside it",
    "x86 CPUs without VNNI can saturate when they multiply int8 weights: check it on the machine that serves it",
)


def _operators(path: Path) -> Counter[str]:
    model = onnx.load(str(path), load_external_data=False)
    return Counter(node.op_type for node in model.graph.node)


@contextmanager
def _quiet() -> Generator[None]:
    # It advises on the root logger to prepare the file with a tool of its own, at every call.
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


@contextmanager
def _told(dtype: str) -> Generator[None]:
    try:
        yield
    except Exception as error:  # it raises whatever it meets
        raise ExportError(
            f"ONNX Runtime cannot write {dtype}: {first_line(error)}", hint="leave this variant out, or quantise tflite"
        ) from error
