"""What an export promised of a stored version: the batches that it takes, and the sizes of its other dimensions."""

from __future__ import annotations

from typing import Any

from deploy_agreement import Probe, again, batches_for
from deploy_core.signature import BATCH
from deploy_exporters.formats import hosted
from deploy_exporters.worker import Workers
from deploy_model_store import Version
from deploy_toolkit.flows.golden import noise_of


def batches(version: Version) -> tuple[int, ...]:
    """Give the batch sizes to compare a version at, beside its golden rows as a whole."""
    within = _promised(version).get("ranges", {}).get(BATCH)
    return batches_for(version.signature, (within[0], within[1]) if within else None)


def sized(version: Version, workers: Workers) -> tuple[Probe, ...]:
    """Ask the reference at every size that was proved. Raises TamperedError if it is not what was published."""
    if not _promised(version).get("sizes") or version.reference is None:
        return ()
    version.require_intact(version.reference)
    measured = noise_of(version.golden)
    reference = hosted(workers, version.reference)
    try:
        return tuple(again(reference, version.golden.inputs, measured, _promised(version)))
    finally:
        reference.close()


def _promised(version: Version) -> dict[str, Any]:
    return dict(version.agreement.get("promised", {}))
