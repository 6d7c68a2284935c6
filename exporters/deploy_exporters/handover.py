"""Hand a torch model in memory to the worker: as a torch.export program where that works, else by cloudpickle."""

from __future__ import annotations

import copy
import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch

from deploy_exporters import examples, pt2, sources
from deploy_exporters.torch_source import named_example, open_torch


def torch_model(model: Any, folder: Path, example: object | None) -> sources.Source:
    """Write a torch model to `folder`; the caller's model is left as it is."""
    what = f"{type(model).__module__}.{type(model).__qualname__}"
    path = folder / "model.pt2"
    if isinstance(model, torch.export.ExportedProgram):
        torch.export.save(model, str(path))
        return sources.Source(what, folder, path=path, note="handed over as .pt2", example=example)
    if example is None:
        return sources.pickled(model, folder, example)
    own = copy.deepcopy(model).cpu().eval()
    named = examples.at_least_two_rows(named_example(own, example))
    try:
        source = open_torch(own, named, (), ())
        with redirect_stderr(io.StringIO()):  # torch prints the whole graph of a model that it cannot take
            program = pt2.program(source)
    except Exception as error:
        return sources.pickled(model, folder, named, why=f"torch.export: {type(error).__name__}")
    pt2.save(program, path, source.signature)
    return sources.Source(what, folder, path=path, note="handed over as .pt2", example=named)
