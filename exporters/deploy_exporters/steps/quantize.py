"""SavedModel to TFLite with coarser numbers: weights in float16, weights in int8, everything in int8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from deploy_core.changes import Change
from deploy_core.dtypes import is_float
from deploy_core.errors import ExportError, UsageError
from deploy_core.signature import Array
from deploy_exporters import calibration
from deploy_exporters.formats.savedmodel import SIGNATURE
from deploy_exporters.steps import border
from deploy_exporters.steps.job import Job, Written
from deploy_exporters.steps.tensorflow import converted, converter
from deploy_exporters.steps.tflite_numbers import Numbers, numbers


def tflite_float16_from_savedmodel(job: Job) -> Written:
    """Write a .tflite that holds its weights in float16; the runtime widens them, or computes in float16."""
    asked = converter(job)
    asked.optimizations = [tf.lite.Optimize.DEFAULT]
    asked.target_spec.supported_types = [tf.float16]
    found = _write(job, asked)
    return Written(_weights(found, "float16"), border.changes(job), _unchanged(found, "float16"))


def tflite_dynamic_int8_from_savedmodel(job: Job) -> Written:
    """Write a .tflite with weights in int8; activations are quantised while it runs, by the values that occur."""
    asked = converter(job)
    asked.optimizations = [tf.lite.Optimize.DEFAULT]
    found = _write(job, asked)
    return Written(_weights(found, "int8"), border.changes(job), _unchanged(found, "int8"))


def tflite_int8_from_savedmodel(job: Job) -> Written:
    """Write a .tflite that computes in int8, its ranges found by running the calibration data.

    With the option `io=int8` its float inputs and outputs are integers, too, whose scales are told as changes.
    Operators that TFLite has in float only stay in float, which is told as a remark.
    """
    rows = job.calibration
    if rows is None:
        raise UsageError("int8 needs calibration data", hint="give rows of real inputs: --calibration FILE.npz")
    found = _write_int8(job, job.options.get("io", "float"), dict(rows))
    told = f"{len(found.computed) - len(found.left)} of {len(found.computed)} operators in integers"
    remarks = (*calibration.remarks(job.signature, rows), *_floats(found))
    return Written(f"{told}{_channels(found)}", border.joined(border.changes(job), _changes(job, found)), remarks)


def _write_int8(job: Job, io: str, rows: dict[str, Array]) -> Numbers:
    try:
        return _write(job, _int8(job, io, rows, tf.lite.OpsSet.TFLITE_BUILTINS_INT8))
    except (ExportError, RuntimeError):
        # Some operator exists in float only; what stays in float is read from the file and told.
        both = (tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS)
        return _write(job, _int8(job, io, rows, *both))


def _int8(job: Job, io: str, rows: dict[str, Array], *operators: Any) -> Any:
    def representative() -> Iterator[tuple[str, dict[str, Array]]]:
        for row in calibration.rows(job.signature, rows):
            yield SIGNATURE, border.to_file(job, row)

    asked = converter(job)
    asked.optimizations = [tf.lite.Optimize.DEFAULT]
    asked.representative_dataset = representative
    asked.target_spec.supported_ops = list(operators)
    if io == "int8":
        asked.inference_input_type = asked.inference_output_type = tf.int8
    return asked


def _write(job: Job, asked: Any) -> Numbers:
    content = converted(asked)
    job.writes.write_bytes(content)
    return numbers(content)


def _weights(found: Numbers, dtype: str) -> str:
    total = sum(found.weights.values())
    return f"{found.weights.get(dtype, 0)} of {total} constants in {dtype}{_channels(found)}"


def _channels(found: Numbers) -> str:
    return ", weights per channel" if found.per_channel else ""


def _unchanged(found: Numbers, dtype: str) -> tuple[str, ...]:
    if found.weights.get(dtype):
        return ()
    return (f"nothing is in {dtype}: the converter leaves weights of fewer than 1,024 elements as they are",)


def _floats(found: Numbers) -> tuple[str, ...]:
    if not found.left:
        return ()
    return (f"computed in float32, since TFLite has no int8 form: {', '.join(sorted(set(found.left)))}",)


def _changes(job: Job, found: Numbers) -> tuple[Change, ...]:
    specs = (*job.signature.inputs, *job.signature.outputs)
    scaled = [(found.scaled[spec.name], spec) for spec in specs if spec.name in found.scaled and is_float(spec.dtype)]
    why = "integers at the borders were asked for (tflite.io=int8)"
    return tuple(
        Change(spec.name, each.dtype, scale=each.scale, zero_point=each.zero_point, why=why) for each, spec in scaled
    )
