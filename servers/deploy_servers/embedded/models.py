"""Stored versions to models that can answer; only files that are what was published are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy_core.device import CPU, Device
from deploy_core.errors import UnavailableError
from deploy_core.preprocessing import raw_of
from deploy_core.signature import BATCH
from deploy_dialects.wire import Served
from deploy_model_store import Store, Version
from deploy_servers.embedded.batching import MAX_ROWS, Runnable
from deploy_servers.embedded.listing import Listed, labelled
from deploy_servers.embedded.runtimes import choose
from deploy_servers.embedded.service import Model


@dataclass(frozen=True)
class Loading:
    """How versions are loaded: threads of one prediction, how many run at the same time, which artifact (empty: the best)."""

    threads: int = 1
    parallel: int = 1
    artifact: str = ""
    device: Device = CPU


def listed(store: Store, references: Sequence[str]) -> tuple[Listed, ...]:
    """List what `NAME[@VERSION|@ALIAS]` mean, or without any the whole store. Raises UsageError, UnavailableError if that is nothing."""
    if references:
        versions = list({str(version): version for version in map(store.resolve, references)}.values())
    else:
        versions = [store.version(name, number) for name in store.names() for number in store.versions(name)]
    if not versions:
        raise UnavailableError(
            f"the store {store.root} holds nothing to serve", hint="put a model there by `deploy export`"
        )
    return labelled(versions, store)


def load(store: Store, listed: Listed, how: Loading) -> Model:
    """Load the best artifact of a version. Raises TamperedError if it is not what was published."""
    from deploy_exporters.formats import load as load_artifact

    version = store.version(listed.name, listed.version)
    artifact, runtime = choose(version, how.artifact)
    version.require_intact(artifact)
    raw = raw_of(version.record.preprocessing, version.record.labels)
    if raw is not None:
        raw.require()
    predictor = load_artifact(artifact, threads=how.threads, device=how.device)
    served = Served(version.name, version.number, artifact.signature, runtime.platform, listed.labels or (), raw)
    return Model(served, Runnable(predictor, how.parallel if runtime.parallel else 1, _most_rows(version)))


def _most_rows(version: Version) -> int:
    """Give how many rows may be joined: beyond the range that was promised nothing is proved."""
    _, most = version.agreement.get("promised", {}).get("ranges", {}).get(BATCH, (1, MAX_ROWS))
    return min(int(most), MAX_ROWS)
