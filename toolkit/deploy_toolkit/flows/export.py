"""Source → files → proof → a version in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy_agreement import Report, promise
from deploy_core import state
from deploy_core.artifact import Artifact, size_of
from deploy_core.errors import UsageError
from deploy_core.ranges import Ranges
from deploy_core.signature import BATCH, Tensors, TensorSpec
from deploy_exporters import sources
from deploy_exporters.export import Export, OpenedSource, Order, open_source
from deploy_exporters.export import export as write
from deploy_exporters.routes import quantized
from deploy_exporters.worker import Workers
from deploy_model_store import Golden, Record, Store, Version
from deploy_toolkit.flows import degradation, raw, subjects
from deploy_toolkit.flows import golden as golden_data
from deploy_toolkit.flows.beforehand import require_sound
from deploy_toolkit.flows.proof import prove
from deploy_toolkit.output import OnEvent, silent


@dataclass(frozen=True)
class Request:
    """What to export; `source` is SOURCE as on the command line, or one that was handed over.

    A stored version as source gets further formats: those are made from its reference. `signature` names the one of a
    SavedModel that is meant.

    `quantize` names modes, for which `calibration` holds rows of real inputs; a variant that is further off than
    `max_degradation` (a share of the output's spread, and of top-1 answers) is not stored. `ranges` gives the least and
    the greatest size of a symbol. `static` lets every dimension be fixed, `trust` lets files run code of their own.
    `raw` says how raw bytes become inputs, and what outputs mean. A step may use `step_seconds` of processor time and `step_memory` GB, without which it is most of the machine's.
    """

    source: str | sources.Source
    formats: tuple[str, ...]
    name: str | None = None
    example: Tensors | None = None
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    quantize: tuple[str, ...] = ()
    calibration: Tensors | None = None
    max_degradation: float | None = None
    ranges: Ranges = field(default_factory=dict)
    static: bool = False
    trust: bool = False
    signature: str = ""
    step_seconds: float = 600
    step_memory: float | None = None
    raw: raw.Given = field(default_factory=raw.Given)

    def workers(self) -> Workers:
        """Give the workers of this export, which hold every step to its limits."""
        memory = None if self.step_memory is None else self.step_memory * 2**30
        return Workers(state.logs(), cpu_seconds=self.step_seconds, memory=memory)

    def order(self, folder: Path, name: str) -> Order:
        """Give what is to be written below `folder`, for a model of that name."""
        return Order(self.targets, folder, name, self.options, self.calibration, self.ranges)

    @property
    def targets(self) -> tuple[str, ...]:
        """The names of the artifacts to make: formats and their variants."""
        return quantized(self.formats, self.quantize)


@dataclass(frozen=True)
class Exported:
    """The published version, the comparison that let it be published, and the names of the artifacts that are new in it."""

    version: Version
    report: Report
    added: tuple[str, ...]

    @property
    def notices(self) -> tuple[str, ...]:
        """What was done to the model that its user may not expect."""
        return tuple(self.version.source.get("notices", ()))

    def to_json(self) -> dict[str, Any]:
        """Give the document that `deploy export --json` prints."""
        return {
            "schema": "deploy/export/1",
            "name": self.version.name,
            "version": self.version.number,
            "path": str(self.version.path),
            "added": list(self.added),
            "artifacts": [artifact_json(artifact) for artifact in self.version.artifacts],
            "agreement": self.report.to_json(),
        }

    def __repr__(self) -> str:
        return f"{self.version} in {self.version.path}, new: {', '.join(self.added)}\n{self.report!r}"


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    """Give an artifact with where it lies and its size in bytes."""
    return {**artifact.to_json(), "path": str(artifact.path), "bytes": size_of(artifact.path)}


def export(request: Request, *, store: Path, on_event: OnEvent = silent) -> Exported:
    """Write, prove and publish; nothing is published unless every file agrees with the source model.

    Raises UsageError, ExportError for a conversion that failed, ProofError, whose `report` says where, for a file that
    does not answer as the source does; its exit code is 4 if it disagrees.
    """
    require_sound(request)
    shelf = Store(store)
    if isinstance(request.source, str) and (stored := subjects.stored(request.source, shelf)):
        from deploy_toolkit.flows.extension import extend

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


def make(
    workers: Workers, opened: OpenedSource, order: Order, golden: Golden, on_event: OnEvent, *, limit: float | None
) -> tuple[Export, Report, Golden]:
    """Write what is ordered, prove it at every size that the source takes, and hold variants to a limit, if there is one.

    The golden data come back with what the variants answered.
    """
    measured = golden_data.noise_of(golden)
    promised = promise(opened, golden.inputs, measured, ranges=order.ranges)
    order = replace(order, proofs=[(one.inputs, one.outputs) for one in promised.sized])
    written = write(workers, opened, order, on_step=lambda step: on_event(f"writing {step}"))
    report, golden = prove(workers, opened, written, golden, measured, promised, on_event)
    report = degradation.with_sizes(report, (*order.known, *written.artifacts))
    degradation.require(report, limit)
    return written, report, golden


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
