"""Steps that read an opened torch model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from deploy_exporters import exact_constants, jit, pt2, torch_whole
from deploy_exporters.formats import torchscript
from deploy_exporters.formats.onnx import FROM_TORCH
from deploy_exporters.sources.torch import TorchSource
from deploy_exporters.steps import onnx_file
from deploy_exporters.steps.job import Job
from deploy_exporters.steps.ways import first_proved

OPSET = 20


def torchscript_from_torch(source: TorchSource, job: Job) -> str:
    """Write TorchScript by script, else by trace, else by torch.export: the first that is proved to predict what the source does."""
    wanted = job.options.get("method", "")
    ways = {name: partial(_save, method, source, job) for name, method in _METHODS.items() if wanted in ("", name)}
    return first_proved(
        ways,
        lambda way: job.prove(torchscript.load(job.writes, job.signature), f"the file by {way}"),
        "TorchScript",
        hint="export to onnx instead",
    )


def onnx_from_torch(source: TorchSource, job: Job) -> str:
    """Write ONNX by torch.export."""
    opset = onnx_file.opset_of(job.options, FROM_TORCH, OPSET)
    onnx_file.check_names(job.signature)
    # Attention in the form that ONNX gets: another one lays out its answer otherwise, and what views it would break.
    with torch_whole.kept_whole(source.flat), sdpa_kernel(SDPBackend.MATH), exact_constants.kept() as simplify:
        torch.onnx.export(
            source.flat,
            source.tensors(2),
            str(job.writes),
            dynamo=True,
            optimize=simplify,
            input_names=[spec.name for spec in job.signature.inputs],
            output_names=[spec.name for spec in job.signature.outputs],
            dynamic_shapes=pt2.dynamic_axes(job.signature),
            opset_version=opset,
            external_data=onnx_file.is_large(source.bytes),
            verbose=False,
            custom_translation_table=torch_whole.translations(),
        )
    onnx_file.finish(job.writes, job.signature, external=onnx_file.wants_external(job.options))
    return ""


def pt2_from_torch(source: TorchSource, job: Job) -> str:
    """Write a torch.export program."""
    pt2.save(pt2.program(source), job.writes, job.signature)
    return ""


def _save(method: Callable[[TorchSource], object], source: TorchSource, job: Job) -> None:
    jit.save(method(source), job.writes, job.signature)


def _trace(source: TorchSource) -> object:
    return jit.trace(source.flat, source.tensors(2))


def _export(source: TorchSource) -> object:
    return jit.script(pt2.plain(pt2.program(source)))


# A trace makes Python numbers constant, such as a length that a program was asked for; torch.export keeps them.
_METHODS = {"script": lambda source: jit.script(source.model), "trace": _trace, "export": _export}
