"""What is ordered, written and proved."""

from __future__ import annotations

from dataclasses import replace

from deploy_agreement import Report, promise
from deploy_exporters.export import Export, OpenedSource, Order
from deploy_exporters.export import export as write
from deploy_exporters.worker import Workers
from deploy_model_store import Golden
from deploy_toolkit.flows import degradation
from deploy_toolkit.flows.golden import noise_of
from deploy_toolkit.flows.proof import prove
from deploy_toolkit.output import OnEvent


def make(
    workers: Workers, opened: OpenedSource, order: Order, golden: Golden, on_event: OnEvent, *, limit: float | None
) -> tuple[Export, Report, Golden]:
    """Write what is ordered, prove it at every size that the source takes, and hold variants to a limit, if there is one.

    The golden data come back with what the variants answered.
    """
    measured = noise_of(golden)
    promised = promise(opened, golden.inputs, measured, ranges=order.ranges)
    order = replace(order, proofs=[(one.inputs, one.outputs) for one in promised.sized])
    written = write(workers, opened, order, on_step=lambda step: on_event(f"writing {step}"))
    report, golden = prove(workers, opened, written, golden, measured, promised, on_event)
    report = degradation.with_sizes(report, (*order.known, *written.artifacts))
    degradation.require(report, limit)
    return written, report, golden
