"""What an export promised of a stored version: the batches that it takes, and the sizes of its other dimensions."""

from __future__ import annotations

from typing import Any

from deploy_agreement import Probe, again, batches_for
from deploy_core.predictor import Predictor
from deploy_core.signature import BATCH
from deploy_model_store import Version
from deploy_toolkit.flows.golden import noise_of


def batches(version: Version) -> tuple[int, ...]:
    """Give the batch sizes to compare a version at, beside its golden rows as a whole."""
    return batches_for(version.signature, within(version))


def within(version: Version) -> tuple[int, int] | None:
    """Give the range of batch sizes, if one was promised."""
    least_and_most = _promised(version).get("ranges", {}).get(BATCH)
    return (least_and_most[0], least_and_most[1]) if least_and_most else None


def sized(version: Version, reference: Predictor) -> tuple[Probe, ...]:
    """Ask the reference of a version at every size that was proved. Raises what it does."""
    if not _promised(version).get("sizes"):
        return ()
    return tuple(again(reference, version.golden.inputs, noise_of(version.golden), _promised(version)))


def _promised(version: Version) -> dict[str, Any]:
    return dict(version.agreement.get("promised", {}))
