"""Stored versions to models that can answer; only files that are what was published are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploy_core.device import CPU, Device
from deploy_core.errors import UnavailableError
from deploy_core.signature import BATCH
from deploy_dialects.wire import Served
from deploy_model_store import Store, Version
from deploy_servers.embedded.batching import MAX_ROWS, Runnable
from deploy_servers.embedded.listing import Listed
from deploy_servers.embedded.runtimes import choose, versions_of
from deploy_servers.embedded.service import Model


def load(
    version: Version,
    *,
    labels: Sequence[str] = (),
    threads: int = 1,
    parallel: int = 1,
    wanted: str = "",
    device: Device = CPU,
) -> Model:
    """Load the best artifact of a version. Raises TamperedError if it is not what was published."""
    from deploy_exporters.formats import load as load_artifact

    artifact, runtime = choose(version, wanted)
    version.require_intact(artifact)
    predictor = load_artifact(artifact, threads=threads, device=device)
    served = Served(version.name, version.number, artifact.signature, runtime.platform, tuple(labels))
    return Model(served, Runnable(predictor, parallel if runtime.parallel else 1, _most_rows(version)))


def _most_rows(version: Version) -> int:
    """Give how many rows may be joined: beyond the range that was promised nothing is proved."""
    _, most = version.agreement.get("promised", {}).get("ranges", {}).get(BATCH, (1, MAX_ROWS))
    return min(int(most), MAX_ROWS)


def load_listed(
    store_root: Path, listed: Listed, *, threads: int, parallel: int, wanted: str = "", device: Device = CPU
) -> Model:
    """Load what the file of a running server lists."""
    version = Store(store_root).version(listed.name, listed.version)
    labels = listed.labels or ()
    return load(version, labels=labels, threads=threads, parallel=parallel, wanted=wanted, device=device)


def load_all(
    store_root: Path,
    references: Sequence[str],
    *,
    threads: int,
    parallel: int,
    wanted: str = "",
    device: Device = CPU,
) -> list[Model]:
    """Load what a server is to serve. Raises UsageError if that is nothing."""
    store = Store(store_root)
    models = []
    for version in versions_of(store, references):
        labels = [label for label, number in store.aliases(version.name).items() if number == version.number]
        models.append(load(version, labels=labels, threads=threads, parallel=parallel, wanted=wanted, device=device))
    if not models:
        raise UnavailableError(
            f"the store {store.root} holds nothing to serve", hint="put a model there by `deploy export`"
        )
    return models
