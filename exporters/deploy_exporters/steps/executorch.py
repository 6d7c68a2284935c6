"""The step from a torch.export program to ExecuTorch, for CPUs (XNNPACK)."""

from __future__ import annotations

import json

from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower

from deploy_exporters import bounds
from deploy_exporters.formats.executorch import SIGNATURE
from deploy_exporters.steps import bounded
from deploy_exporters.steps.job import Job, Written


def executorch_from_pt2(job: Job) -> Written:
    """Write a .pte that tells its own signature; its memory is planned for the largest sizes."""
    sizes = bounds.greatest(job)
    lowered = to_edge_transform_and_lower(
        bounded.program(job, sizes),
        partitioner=[XnnpackPartitioner()],
        constant_methods={SIGNATURE: json.dumps(job.signature.to_json())},
    )
    job.writes.write_bytes(lowered.to_executorch().buffer)
    return Written(remarks=(f"{bounds.remark(sizes)}; memory is planned for the largest",))
