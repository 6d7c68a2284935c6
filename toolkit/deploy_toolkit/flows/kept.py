"""What variants with coarser numbers answered when they were published: kept with a version, and held against them."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deploy_agreement import Check, as_published
from deploy_agreement.results.report import SKIPPED
from deploy_agreement.variants.as_published import NAME
from deploy_core.artifact import Artifact
from deploy_core.errors import DeployError, first_line
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors
from deploy_model_store import Golden, Version
from deploy_toolkit.flows import degradation

_RUNTIMES = {"tflite": "ai-edge-litert", "onnx": "onnxruntime"}


def with_answers(golden: Golden, asked: Iterable[tuple[Artifact, Tensors | None]]) -> Golden:
    """Give golden data with what these artifacts just answered to them; what others of their names did is forgotten."""
    answers, by = dict(golden.answers), dict(golden.answered_by)
    for artifact, outputs in asked:
        answers.pop(artifact.name, None)
        by.pop(artifact.name, None)
        if outputs is not None:
            answers[artifact.name], by[artifact.name] = outputs, kernels(artifact)
    return replace(golden, answers=answers, answered_by=by)


def answer(artifact: Artifact, predictor: Predictor, golden: Golden) -> Tensors | None:
    """Ask a variant for the golden inputs as one batch; None of a float file, and of one that cannot take the batch."""
    if not degradation.is_coarse(artifact):
        return None
    try:
        return predictor.predict(golden.inputs)
    except DeployError:  # this batch size is among the row's problems
        return None


def held(stored: Version, artifact: Artifact, predictor: Predictor, *, ours: bool) -> Check | None:
    """Compare a variant with what it answered when it was published; None if it is none. `ours` is a file in a worker."""
    if not degradation.is_coarse(artifact):
        return None
    golden = stored.golden
    if artifact.name not in golden.answers:
        return Check(NAME, SKIPPED, "stored before a variant's own answers were kept: its errors are compared alone")
    alike = ours and golden.answered_by.get(artifact.name, "") == kernels(artifact) != ""
    if not alike and not degradation.is_int8(artifact):
        return Check(NAME, SKIPPED, "another runtime or processor computes float16 otherwise")
    try:
        got = predictor.predict(golden.inputs)
    except DeployError as error:
        return Check(NAME, SKIPPED, f"it does not answer: {first_line(error)}")
    return as_published(got, golden.answers[artifact.name], golden.outputs, alike=alike)


def kernels(artifact: Artifact) -> str:
    """Say which runtime runs it on which processor: where both are the same, so is every bit. Empty if not known."""
    runtime = _RUNTIMES.get(artifact.format)
    try:
        return f"{runtime} {version(runtime)} on {_cores()} × {_processor()}" if runtime else ""
    except PackageNotFoundError:
        return ""


def _cores() -> int:
    """Count the cores that may be used: ONNX Runtime gives each its rows, and a dynamic scale is that of such rows."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """Name the processor and, by a digest, what it can do: kernels are chosen by that."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.system()} {platform.machine()} {platform.processor()}".strip()
    told = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in reversed(lines)}
    flags = hashlib.sha256(" ".join(sorted(told.get("flags", told.get("Features", "")).split())).encode()).hexdigest()
    return f"{platform.machine()} {told.get('model name', '')} ({flags[:8]})"
