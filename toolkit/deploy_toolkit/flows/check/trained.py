"""The trained model itself as what gives the right answers, where nothing is stored yet."""

from __future__ import annotations

from functools import partial

from deploy_agreement import batches_for
from deploy_core.endpoint import Endpoint
from deploy_exporters import sources
from deploy_exporters.export import open_source
from deploy_exporters.worker import Workers
from deploy_model_store import Store
from deploy_toolkit.flows import golden as golden_data
from deploy_toolkit.flows import subjects
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.wanted import Wanted


def source_of(against: str | sources.Source | None, shelf: Store) -> sources.Source | None:
    """Give the source that is meant: one that was handed over, or `module:attribute` and `file.py:attribute`."""
    if not isinstance(against, str):
        return against
    if ":" not in against or Endpoint.looks_like(against) or subjects.stored(against, shelf):
        return None
    return sources.find(against)


def answers_of(source: sources.Source, request: Request, workers: Workers) -> Wanted:
    """Ask a source model for its golden data, as an export does, and store nothing. Raises as an export does."""
    opened = open_source(workers, source, example=request.example)
    golden = golden_data.asked(opened, None)
    return Wanted(
        source.location,
        golden.inputs,
        golden.outputs,
        golden_data.noise_of(golden),
        batches=batches_for(opened.signature),
        reference=partial(open_source, workers, source, example=request.example),
    )
