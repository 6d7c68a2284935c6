"""TorchScript, in one place: torch 2.13 deprecates every call here, and each still works."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from deploy_core.signature import Signature

LEGACY_OPSET = 20  # the newest that the exporter before torch.export knows


def script(model: torch.nn.Module) -> Any:
    """Compile a model, its control flow included. Raises whatever TorchScript cannot take."""
    with _quiet():
        return torch.jit.script(model).eval()


def trace(model: torch.nn.Module, example: Sequence[torch.Tensor]) -> Any:
    """Record what a model does with an example; the argument names of its `forward` are kept."""
    with _quiet(), torch.no_grad():
        return torch.jit.freeze(_traced(model.eval(), example).eval())


def _traced(model: torch.nn.Module, example: Sequence[torch.Tensor]) -> Any:
    return torch.jit.trace(model, tuple(example), check_trace=False)  # type: ignore[no-untyped-call]


def save(model: Any, path: Path, signature: Signature | None) -> None:
    """Write a TorchScript file; one that tells its own signature if that is known."""
    extra = {} if signature is None else {"signature.json": json.dumps(signature.to_json())}
    with _quiet():
        torch.jit.save(model, str(path), _extra_files=extra)


def copied(script: Any) -> Any:
    """Give a copy of a program, as a file of it would be read."""
    written = io.BytesIO()
    with _quiet():
        torch.jit.save(script, written)
        written.seek(0)
        return torch.jit.load(written, map_location="cpu").eval()  # type: ignore[no-untyped-call]


def program(script: Any, example: Sequence[torch.Tensor]) -> ExportedProgram:
    """Make a torch.export program of a TorchScript program: what torch has for it is private, and often refuses."""
    from torch._export.converter import TS2EPConverter

    # Of a copy: a program that was never in a file has attributes that the converter stumbles over.
    with _quiet(), torch.no_grad():
        converted: ExportedProgram = TS2EPConverter(copied(script), tuple(example), {}).convert()
    return converted


def onnx(script: Any, example: Sequence[torch.Tensor], path: Path, signature: Signature, opset: int) -> None:
    """Write ONNX by the exporter that torch had before torch.export; it knows TorchScript."""
    specs = (*signature.inputs, *signature.outputs)
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            script,
            tuple(example),
            str(path),
            dynamo=False,
            input_names=[spec.name for spec in signature.inputs],
            output_names=[spec.name for spec in signature.outputs],
            dynamic_axes={
                s.name: {axis: dim for axis, dim in enumerate(s.shape) if isinstance(dim, str)} for s in specs
            },
            opset_version=min(opset, LEGACY_OPSET),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # A trace warns of every Python value that it makes a constant; the proof that follows shows whether it matters.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.")
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield
