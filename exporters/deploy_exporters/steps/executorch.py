"""The step from a torch.export program to ExecuTorch, for CPUs (XNNPACK)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS, gemm_configs, generic_node_configs
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.exir.passes.constant_prop_pass import constant_prop_pass
from executorch.runtime import Runtime
from torch.export import ExportedProgram

from deploy_core.errors import ExportError
from deploy_core.signature import BATCH
from deploy_exporters import bounds
from deploy_exporters.formats import executorch, pt2
from deploy_exporters.steps import bounded
from deploy_exporters.steps.executorch_operators import operators
from deploy_exporters.steps.job import Job, Written
from deploy_exporters.steps.ways import first_proved

_gemm, _generic = gemm_configs, generic_node_configs


class _Convolution2d(_gemm.ConvolutionConfig):  # type: ignore[misc, name-defined]
    def check_constraints(self, node: Any, program: ExportedProgram) -> bool:
        return node.args[0].meta["val"].dim() == 4 and bool(super().check_constraints(node, program))


# What changes shapes: XNNPACK does it for one dynamic dimension, and some of it only where a program is made.
_SHAPING = {
    _generic.AvgPoolingConfig, _generic.CatConfig, _generic.ConstantPadConfig, _generic.MaxPool2dConfig,
    _generic.MeanDimConfig, _generic.PermuteConfig, _generic.SliceCopyConfig, _generic.UnsqueezeCopyConfig,
    _generic.UpsampleBilinear2dConfig, _generic.ViewCopyConfig, _gemm.ConvolutionConfig,
}  # fmt: skip
_KEEPING = [each for each in ALL_PARTITIONER_CONFIGS if each not in _SHAPING]


def executorch_from_pt2(job: Job) -> Written:
    """Write a .pte that tells its own signature; its memory is planned for the largest sizes."""
    sizes = bounds.greatest(job)
    ways = {
        "": lambda: _write(job, sizes, [XnnpackPartitioner()]),
        "XNNPACK for what keeps shapes": lambda: _write(job, sizes, [XnnpackPartitioner([*_KEEPING, _Convolution2d])]),
        "without XNNPACK": lambda: _write(job, sizes, []),
    }
    how = first_proved(ways, lambda name: _prove(job, sizes), "ExecuTorch", hint="leave executorch out")
    return Written(how, remarks=(f"{bounds.remark(sizes)}; memory is planned for the largest",))


def _write(job: Job, sizes: Mapping[str, int], partitioners: Sequence[Any]) -> None:
    program = bounded.program(job, sizes, operators(sizes.get(BATCH, 1)))  # anew: lowering changes it
    plain = _unasserted(program.run_decompositions({}))
    lowered = to_edge_transform_and_lower(
        constant_prop_pass(plain),  # XNNPACK wants constants as weights; first no in-place
        partitioner=partitioners,
        constant_methods={executorch.SIGNATURE: json.dumps(job.signature.to_json())},
        # Its check of the operators' dtypes computes with symbolic sizes, and so fixes some of them.
        compile_config=EdgeCompileConfig(_check_ir_validity=False),
    ).to_executorch()
    _require_kernels(lowered)
    job.writes.write_bytes(lowered.buffer)


def _unasserted(program: ExportedProgram) -> ExportedProgram:
    """Leave out assertions of dtypes: what they look at stays in the file, weights that nothing else needs any more."""
    for node in program.graph.find_nodes(op="call_function", target=torch.ops.aten._assert_tensor_metadata.default):
        program.graph.erase_node(node)
    return program


def _require_kernels(lowered: Any) -> None:
    (plan,) = (plan for plan in lowered.executorch_program.execution_plan if plan.name == "forward")
    wanted = {f"{each.name}.{each.overload}" if each.overload else each.name for each in plan.operators}
    lacking = sorted(wanted - set(Runtime.get().operator_registry.operator_names))
    if lacking:
        raise ExportError(f"ExecuTorch's runtime has no kernel for {', '.join(lacking)}")


def _prove(job: Job, sizes: Mapping[str, int]) -> None:
    predictor = executorch.load(job.writes, job.signature)
    job.prove(predictor, "the program")
    if BATCH in sizes:
        program = pt2.load(job.read, job.signature)
        several = [job.signature.sized(job.proofs[0][0], {BATCH: rows}) for rows in (1, sizes[BATCH])]
        ends = tuple((inputs, program.predict(inputs)) for inputs in several)
        replace(job, proofs=ends).prove(predictor, "the program")
