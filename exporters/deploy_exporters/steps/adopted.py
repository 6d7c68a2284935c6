"""Steps that keep a file as it is, to the byte: it was proved by running it, and it is checked before it is kept."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from deploy_core.errors import UsageError
from deploy_exporters import onnx_weights
from deploy_exporters.sources.file import FileSource
from deploy_exporters.steps.job import Job

if TYPE_CHECKING:
    from deploy_exporters.sources.onnx import OnnxSource


def tflite_from_tflite(source: FileSource, job: Job) -> str:
    """Copy a .tflite."""
    return _copied(source, job)


def mar_from_mar(source: FileSource, job: Job) -> str:
    """Copy a .mar."""
    return _copied(source, job)


def onnx_from_onnx(source: OnnxSource, job: Job) -> str:
    """Copy an ONNX file, and the files with its weights, which keep their names beside it."""
    for name, path in source.beside.items():
        target = job.writes.parent / onnx_weights.inside(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return _copied(source, job)


def _copied(source: FileSource, job: Job) -> str:
    _require_no_options(job)
    shutil.copyfile(source.path, job.writes)
    return "adopted"


def _require_no_options(job: Job) -> None:
    if job.options:
        raise UsageError(
            f"{', '.join(job.options)} is set for a file that is kept as it is",
            hint="leave --set out, or export the model",
        )
