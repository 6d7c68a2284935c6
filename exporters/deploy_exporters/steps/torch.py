"""Steps that read an opened torch model."""

from __future__ import annotations

import traceback
from collections.abc import Mapping

import torch

from deploy_core.errors import ExportError, UsageError
from deploy_exporters import jit, pt2
from deploy_exporters.formats import torchscript
from deploy_exporters.steps import onnx_file
from deploy_exporters.steps.job import Job
from deploy_exporters.torch_source import TorchSource

OPSETS = range(18, 24)


def torchscript_from_torch(source: TorchSource, job: Job) -> str:
    """Write TorchScript by script, else by trace: the first that is proved to predict what the source does."""
    wanted = job.options.get("method", "")
    if wanted not in ("", *_METHODS):
        raise UsageError(f"torchscript.method is {wanted!r}", hint=f"it is one of {', '.join(_METHODS)}")
    reasons = []
    for method in [wanted] if wanted else list(_METHODS):
        try:
            jit.save(_METHODS[method](source), job.writes, job.signature)
            job.prove(torchscript.load(job.writes, job.signature), f"the {method}d file")
        except Exception as error:
            traceback.print_exc()
            reasons.append(f"{method}: {type(error).__name__}: {str(error).strip().splitlines()[0][:200]}")
        else:
            return method
    raise ExportError(f"no way to TorchScript works: {'; '.join(reasons)}", hint="export to onnx instead")


def onnx_from_torch(source: TorchSource, job: Job) -> str:
    """Write ONNX by torch.export."""
    opset = _opset(job.options)
    onnx_file.check_names(job.signature)
    torch.onnx.export(
        source.flat,
        source.tensors(2),
        str(job.writes),
        dynamo=True,
        input_names=[spec.name for spec in job.signature.inputs],
        output_names=[spec.name for spec in job.signature.outputs],
        dynamic_shapes=pt2.dynamic_axes(job.signature),
        opset_version=opset,
        external_data=False,
        verbose=False,
    )
    onnx_file.finish(job.writes, job.signature)
    return ""


def pt2_from_torch(source: TorchSource, job: Job) -> str:
    """Write a torch.export program."""
    pt2.save(pt2.program(source), job.writes, job.signature)
    return ""


def _opset(options: Mapping[str, str]) -> int:
    value = options.get("opset", "20")
    if not value.isdigit() or int(value) not in OPSETS:
        raise UsageError(f"onnx.opset is {value!r}", hint=f"it is a number from {OPSETS[0]} to {OPSETS[-1]}")
    return int(value)


def _trace(source: TorchSource) -> object:
    return jit.trace(source.flat, source.tensors(2))


_METHODS = {"script": lambda source: jit.script(source.model), "trace": _trace}
