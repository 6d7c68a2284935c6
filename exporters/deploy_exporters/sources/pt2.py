"""A torch.export program as a source: it knows its inputs, and our own files know their outputs, too."""

from __future__ import annotations

from dataclasses import replace

from torch.export import ExportedProgram

from deploy_core.errors import UsageError, first_line
from deploy_exporters import pt2
from deploy_exporters.sources import Given, Source, dimensions
from deploy_exporters.sources.torch import TorchSource, open_torch


def read(source: Source) -> ExportedProgram:
    """Read a .pt2 file. Raises UsageError."""
    try:
        return pt2.load(source.file)
    except Exception as error:
        raise UsageError(
            f"{source.file} cannot be read as a torch.export program: {first_line(error)}",
            hint="it may be truncated; write it again",
        ) from error


def open_pt2(model: ExportedProgram, given: Given) -> TorchSource:
    """Open a program as the torch model that it is. Raises UsageError, ExportError."""
    told = pt2.told(model)
    specs = given.inputs or told.inputs
    hint = "export it with dynamic_shapes=({0: torch.export.Dim.DYNAMIC}, …)"
    dimensions.require_free_batch(specs, "the torch.export program", hint=hint, static=given.static)
    names = given.outputs or tuple(spec.name for spec in told.outputs)
    return open_torch(pt2.Program(model), replace(given, inputs=specs, outputs=names))
