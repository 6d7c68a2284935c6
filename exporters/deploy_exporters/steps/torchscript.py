"""Steps that read an opened TorchScript program."""

from __future__ import annotations

import torch

from deploy_exporters import exact_constants, jit, pt2
from deploy_exporters.formats import onnx as onnx_format
from deploy_exporters.formats import pt2 as pt2_format
from deploy_exporters.formats import torchscript
from deploy_exporters.sources.torchscript import TorchScriptSource
from deploy_exporters.steps import onnx_file
from deploy_exporters.steps.job import Job
from deploy_exporters.steps.torch import OPSET
from deploy_exporters.steps.ways import first_proved


def torchscript_from_torchscript(source: TorchScriptSource, job: Job) -> str:
    """Write the program with its signature inside."""
    jit.save(source.script, job.writes, job.signature)
    job.prove(torchscript.load(job.writes, job.signature), "the file")
    return "adopted"


def onnx_from_torchscript(source: TorchScriptSource, job: Job) -> str:
    """Write ONNX: torch.export refuses ScriptModules, so by torch's private converter, else by the old exporter."""
    opset = onnx_file.opset_of(job.options, onnx_format.FROM_TORCH, OPSET)
    onnx_file.check_names(job.signature)
    ways = {"TS2EP": lambda: _by_program(source, job, opset), "legacy": lambda: _by_legacy(source, job, opset)}

    def prove(way: str) -> None:
        onnx_file.finish(job.writes, job.signature, external=onnx_file.wants_external(job.options))
        job.prove(onnx_format.load(job.writes, job.signature), f"the file written by {way}")

    return first_proved(ways, prove, "ONNX", hint="export it to torchscript or mar, or export the model itself")


def pt2_from_torchscript(source: TorchScriptSource, job: Job) -> str:
    """Write a torch.export program by torch's private converter, and prove it."""
    ways = {"TS2EP": lambda: pt2.save(jit.program(source.script, source.tensors(2)), job.writes, job.signature)}
    return first_proved(
        ways,
        lambda way: job.prove(pt2_format.load(job.writes, job.signature), f"the file written by {way}"),
        "pt2",
        hint="export it to torchscript or mar, or export the model itself",
    )


def _by_program(source: TorchScriptSource, job: Job, opset: int) -> None:
    with exact_constants.kept() as simplify:
        torch.onnx.export(
            jit.program(source.script, source.tensors(2)),
            (),
            str(job.writes),
            dynamo=True,
            optimize=simplify,
            input_names=[spec.name for spec in job.signature.inputs],
            output_names=[spec.name for spec in job.signature.outputs],
            opset_version=opset,
            external_data=onnx_file.is_large(source.bytes),
            verbose=False,
        )


def _by_legacy(source: TorchScriptSource, job: Job, opset: int) -> None:
    jit.onnx(jit.copied(source.script), source.tensors(2), job.writes, job.signature, opset)
