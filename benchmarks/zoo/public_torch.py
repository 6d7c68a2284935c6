"""The public routes from torch, called as their documentation says, with what is dynamic declared."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.zoo.judge import Judge
from benchmarks.zoo.model import ROOT, Model
from benchmarks.zoo.public import Maker, other_python


def _example(judge: Judge) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in judge.source.example.items()}


def _dynamic(judge: Judge) -> dict[str, dict[int, Any]]:
    free = torch.export.Dim.DYNAMIC
    specs = judge.source.signature.inputs
    return {spec.name: {axis: free for axis, dim in enumerate(spec.shape) if isinstance(dim, str)} for spec in specs}


def onnx(model: Model, judge: Judge, folder: Path) -> tuple[str, Path]:
    """Write ONNX by torch's exporter."""
    path = folder / "public.onnx"
    program = torch.onnx.export(
        judge.source.model, kwargs=_example(judge), dynamo=True, dynamic_shapes=_dynamic(judge), verbose=False
    )
    assert program is not None
    program.save(str(path))
    return "torch.onnx.export", path


def pt2(model: Model, judge: Judge, folder: Path) -> tuple[str, Path]:
    """Write a program by torch.export."""
    path = folder / "public.pt2"
    program = torch.export.export(judge.source.model, (), _example(judge), dynamic_shapes=_dynamic(judge))
    torch.export.save(program, str(path))
    return "torch.export.export", path


def torchscript(model: Model, judge: Judge, folder: Path) -> tuple[str, Path]:
    """Write TorchScript by a trace."""
    path = folder / "public.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(judge.source.model, example_kwarg_inputs=_example(judge), strict=False)
        torch.jit.save(traced, str(path))
    return "torch.jit.trace", path


def tflite(model: Model, judge: Judge, folder: Path) -> tuple[str, Path]:
    """Write TFLite by litert-torch, in the other Python: it pulls jax and more."""
    return _litert(model, folder / "public.tflite")


def _litert(model: Model, path: Path) -> tuple[str, Path]:
    command = [other_python(), "-m", "benchmarks.zoo.litert", model.location, str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode or not path.exists():
        lines = [line for line in ended.stderr.splitlines() if line.strip()]
        raise RuntimeError(lines[-1] if lines else f"litert-torch ended with {ended.returncode}")
    return "litert_torch.convert", path


MAKERS: Mapping[str, Maker] = {"onnx": onnx, "pt2": pt2, "torchscript": torchscript, "tflite": tflite}
