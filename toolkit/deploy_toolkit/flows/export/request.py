"""What `deploy export` is asked, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_agreement import Report
from deploy_core import state
from deploy_core.artifact import Artifact, size_of
from deploy_core.ranges import Ranges
from deploy_core.signature import Tensors, TensorSpec
from deploy_exporters import sources
from deploy_exporters.export import Order
from deploy_exporters.routes import quantized
from deploy_exporters.worker import Workers
from deploy_model_store import Version
from deploy_toolkit.flows import raw


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
