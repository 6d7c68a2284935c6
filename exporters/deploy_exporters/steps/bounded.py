"""A stored torch.export program, exported once more with a largest size for every symbol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from deploy_core.signature import BATCH, TensorSpec
from deploy_exporters import pt2, torch_whole
from deploy_exporters.deploy_handler import to_tensor
from deploy_exporters.steps.job import Job
from deploy_exporters.torch_flat import flat


def program(
    job: Job, greatest: Mapping[str, int], operators: Mapping[Any, Callable[..., Any]] | None = None
) -> ExportedProgram:
    """Read the job's .pt2; its arguments get the names of the inputs, as far as Python allows.

    `operators` are functions that stand for operators.
    """
    inputs = job.proofs[0][0]
    fitting = {symbol: min(size, greatest[symbol]) for symbol, size in job.signature.sizes(inputs).items()}
    if BATCH in fitting:  # torch picks a convolution by whether there are 16 rows, and such a guess ends the range
        fitting[BATCH] = greatest[BATCH]
    example = job.signature.sized(inputs, fitting)
    read = pt2.Program(pt2.load(job.read))
    if operators:
        torch_whole.exchange(read, operators)
        read.graph.graph.eliminate_dead_code()  # what nobody asks for needs no stand-in
        read.graph.recompile()
    module = flat(read, [spec.name for spec in job.signature.inputs])
    tensors = tuple(to_tensor(example[spec.name]) for spec in job.signature.inputs)
    shapes = tuple(_dynamic(spec, greatest) for spec in job.signature.inputs)
    with torch.no_grad():
        return torch.export.export(module, tensors, dynamic_shapes=shapes)


def _dynamic(spec: TensorSpec, greatest: Mapping[str, int]) -> dict[int, object]:
    # What is at most 1 is always 1: torch.export knows no dynamic dimension of that kind.
    return {
        axis: Dim.DYNAMIC(max=greatest[dim])
        for axis, dim in enumerate(spec.shape)
        if isinstance(dim, str) and greatest[dim] > 1
    }
