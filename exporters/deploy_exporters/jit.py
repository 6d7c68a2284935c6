"""TorchScript, in one place: torch 2.13 deprecates every call here, and each still works."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from deploy_core.signature import Signature


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


def save(model: Any, path: Path, signature: Signature) -> None:
    """Write a TorchScript file that tells its own signature."""
    with _quiet():
        torch.jit.save(model, str(path), _extra_files={"signature.json": json.dumps(signature.to_json())})


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # A trace warns of every Python value that it makes a constant; the proof that follows shows whether it matters.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield
