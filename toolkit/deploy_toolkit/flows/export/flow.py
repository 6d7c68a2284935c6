"""Source → files → proof → a version in the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deploy_agreement import Report
from deploy_core.errors import UsageError
from deploy_core.signature import BATCH
from deploy_exporters import sources
from deploy_exporters.export import Export, OpenedSource, open_source
from deploy_model_store import Record, Store
from deploy_toolkit.flows import golden as golden_data
from deploy_toolkit.flows import raw, subjects
from deploy_toolkit.flows.export.beforehand import require_sound
from deploy_toolkit.flows.export.extension import extend
from deploy_toolkit.flows.export.making import make
from deploy_toolkit.flows.export.request import Exported, Request
from deploy_toolkit.output import OnEvent, silent


def export(request: Request, *, store: Path, on_event: OnEvent = silent) -> Exported:
    """Write, prove and publish; nothing is published unless every file agrees with the source model.

    Raises UsageError, ExportError for a conversion that failed, ProofError, whose `report` says where, for a file that
    does not answer as the source does; its exit code is 4 if it disagrees.
    """
    require_sound(request)
    shelf = Store(store)
    if isinstance(request.source, str) and (stored := subjects.stored(request.source, shelf)):
        _check_signature(request, str(stored), None)
        return extend(request, stored, shelf, on_event)
    source = sources.find(request.source) if isinstance(request.source, str) else request.source
    _check_signature(request, source.location, source.path)
    source = replace(source, trust=request.trust, static=request.static, signature=request.signature)
    name = request.name or _name_of(source)
    on_event(f"opening {source.location}")
    with shelf.staging(name) as staged, request.workers() as workers:
        opened = open_source(workers, source, example=request.example, inputs=request.inputs, outputs=request.outputs)
        kept = raw.kept(request.raw, opened.signature, workers)
        kept.write(staged)
        on_event("asking the source model")
        golden = golden_data.asked(opened, request.ranges.get(BATCH))
        order = replace(request.order(staged, name), raw=kept.document)
        written, report, golden = make(workers, opened, order, golden, on_event, limit=request.max_degradation)
        version = shelf.publish(staged, name, _record(opened, written, report, kept), golden)
    on_event(f"stored {version}")
    return Exported(version, report, request.targets)


def _check_signature(request: Request, location: str, path: Path | None) -> None:
    if request.signature and not (path and path.is_dir()):
        raise UsageError(
            f"--signature {request.signature} is for a SavedModel, which {location} is not", hint="leave it out"
        )


def _record(opened: OpenedSource, written: Export, report: Report, kept: raw.Kept) -> Record:
    return Record(
        training_id=opened.description["training_id"],
        signature=opened.signature,
        source=opened.description,
        reference=written.reference,
        artifacts=written.artifacts,
        agreement=report.to_json(),
        preprocessing=kept.preprocessing,
        labels=kept.labels,
    )


def _name_of(source: sources.Source) -> str:
    if source.path is None:
        raise UsageError(f"{source.location} has no file to be named after", hint="give --name NAME")
    return source.path.stem
