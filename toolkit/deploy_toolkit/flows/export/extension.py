"""Further formats for a stored version, made from its reference and published as the next one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy_agreement import Report, compare
from deploy_core.artifact import Artifact
from deploy_core.errors import ExportError, UsageError
from deploy_exporters import sources
from deploy_exporters.export import OpenedSource, open_source
from deploy_exporters.worker import Workers
from deploy_model_store import Store, Version
from deploy_toolkit.flows import promised, raw
from deploy_toolkit.flows.export.beforehand import require_fitting
from deploy_toolkit.flows.export.making import make
from deploy_toolkit.flows.export.request import Exported, Request
from deploy_toolkit.flows.golden import noise_of
from deploy_toolkit.output import OnEvent


def extend(request: Request, version: Version, shelf: Store, on_event: OnEvent) -> Exported:
    """Write, prove and publish as an export does; the old files and the golden data are carried over.

    Raises UsageError, TamperedError for a damaged version, ExportError as `export` does.
    """
    _require_plain(request, version)
    require_fitting(request, version.signature.inputs)
    reference = reference_of(version)
    on_event(f"opening the reference of {version}")
    with shelf.staging(version.name) as staged, request.workers() as workers:
        opened = opened_reference(workers, version, reference, trust=request.trust)
        require_same(opened, version)
        kept = _kept(request, version, workers)
        kept.write(staged)
        order = replace(
            request.order(staged, version.name), reference=reference, known=version.artifacts, raw=kept.document
        )
        limit = request.max_degradation
        written, report, golden = make(workers, opened, order, version.golden, on_event, limit=limit)
        agreement = _joined(version.agreement, report, (artifact.name for artifact in written.artifacts))
        grown = shelf.extend(
            staged, version, written.artifacts, golden=golden, agreement=agreement, replaced=_fields(kept)
        )
    on_event(f"stored {grown} with {', '.join(request.targets)} added to {version}")
    return Exported(grown, report, request.targets)


def _require_plain(request: Request, version: Version) -> None:
    given = {
        "--name": request.name not in (None, version.name),
        "--input": request.inputs,
        "--output": request.outputs,
        "--example": request.example,
        "--signature": request.signature,
        "--static": request.static and version.signature.symbols,
    }
    if wrong := [option for option, value in given.items() if value]:
        raise UsageError(f"{version} has its own inputs, outputs and name", hint=f"leave out {', '.join(wrong)}")


def _kept(request: Request, version: Version, workers: Workers) -> raw.Kept:
    """Give what is stored of preprocessing from now on: what is given, else what the version has."""
    record = version.record
    if not request.raw:
        return raw.Kept(record.preprocessing, record.labels)
    if record.preprocessing and request.raw.preprocess:
        raise UsageError(f"{version} has its preprocessing", hint="export the model itself again to change it")
    if record.labels and request.raw.labels:
        raise UsageError(f"{version} has its labels", hint="export the model itself again to change them")
    given = raw.kept(request.raw, version.signature, workers)
    kept = replace(
        given, preprocessing=given.preprocessing or record.preprocessing, labels=given.labels or record.labels
    )
    archived = any(artifact.format == "mar" for artifact in version.artifacts)
    if kept.document and archived and "mar" not in request.targets:
        raise UsageError(f"the .mar of {version} does not know of it", hint="name mar in --to, too")
    return kept


def _fields(kept: raw.Kept) -> dict[str, Any]:
    return {"preprocessing": kept.preprocessing, "labels": kept.labels}


def reference_of(version: Version) -> Artifact:
    """Give the reference of a version. Raises UsageError if it keeps none, TamperedError if a file of it is damaged."""
    if version.reference is None:
        raise UsageError(f"{version} keeps no reference to make files from", hint="export the model itself again")
    for artifact in (version.reference, *version.artifacts):
        version.require_intact(artifact)
    return version.reference


def opened_reference(workers: Workers, version: Version, reference: Artifact, *, trust: bool) -> OpenedSource:
    """Open the reference of a version as a source, which computes in float64 where it can."""
    path: Path = reference.path
    source = sources.Source(
        f"{version}/reference",
        path.parent,
        path=path,
        note="stored",  # its digest vouches for it
        trust=trust,
        static=not version.signature.symbols,
    )
    names = tuple(spec.name for spec in version.signature.outputs)
    example = version.golden.inputs
    return open_source(workers, source, example=example, inputs=version.signature.inputs, outputs=names)


def require_same(opened: OpenedSource, version: Version) -> None:
    """Raise ExportError unless the reference still answers as it did when the version was published."""
    if opened.signature != version.signature:
        raise ExportError(
            f"the reference of {version} has another signature: {_specs(opened)}",
            hint="a newer library reads it otherwise; export the model itself again",
        )
    golden, batches = version.golden, promised.batches(version)
    row = compare("reference", golden.outputs, opened, golden.inputs, noise=noise_of(golden), batches=batches)
    if not row.ok:
        raise ExportError(
            f"the reference of {version} answers otherwise: {row.why}", hint="export the model itself again"
        )


def _specs(opened: OpenedSource) -> str:
    return ", ".join(map(str, (*opened.signature.inputs, *opened.signature.outputs)))


def _joined(before: Mapping[str, Any], report: Report, new: Iterable[str]) -> dict[str, Any]:
    """Give the proof of the new version: what was found before, for the files that are carried over, and now."""
    now = report.to_json()
    replaced = {*new, *(row["subject"] for row in now["rows"])}
    carried = [row for row in before.get("rows", ()) if row["subject"] not in replaced]
    return {**now, "rows": [*carried, *now["rows"]]}
