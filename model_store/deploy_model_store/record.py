"""What the manifest of a version holds besides the table of its files and its golden data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from deploy_core.artifact import Artifact, digest_of
from deploy_core.errors import TamperedError, UsageError
from deploy_core.signature import Signature

SCHEMA = 1


def now() -> str:
    """Give the time of this moment, UTC in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Record:
    """One training result: where it came from, what was exported from it and how that was proved.

    `training_id` stays the same when formats are added and a further version is published. `source` and
    `agreement` are plain JSON data of whoever wrote them, and so are `preprocessing` (how raw bytes become the input) and
    `labels` (what the last axis of an output means). `license` is reserved.
    """

    training_id: str
    signature: Signature
    source: Mapping[str, Any]
    artifacts: tuple[Artifact, ...]
    reference: Artifact | None = None
    agreement: Mapping[str, Any] = field(default_factory=dict)
    created: str = field(default_factory=now)
    schema: int = SCHEMA
    preprocessing: Any = None
    labels: Any = None
    license: Any = None

    def to_json(self, root: Path) -> dict[str, Any]:
        """Give plain data; the artifacts' paths become relative to `root`. Raises UsageError if one lies outside."""
        return {
            "schema": self.schema,
            "training_id": self.training_id,
            "signature": self.signature.to_json(),
            "source": dict(self.source),
            "reference": _artifact_to_json(self.reference, root) if self.reference else None,
            "artifacts": [_artifact_to_json(artifact, root) for artifact in self.artifacts],
            "agreement": dict(self.agreement),
            "created": self.created,
            "preprocessing": self.preprocessing,
            "labels": self.labels,
            "license": self.license,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], root: Path) -> Record:
        """Read what `to_json` wrote; paths become absolute. Raises TamperedError if one leads out of `root`."""
        return cls(
            training_id=data["training_id"],
            signature=Signature.from_json(data["signature"]),
            source=data["source"],
            artifacts=tuple(_artifact_from_json(artifact, root) for artifact in data["artifacts"]),
            reference=_artifact_from_json(data["reference"], root) if data["reference"] else None,
            agreement=data["agreement"],
            created=data["created"],
            schema=data["schema"],
            preprocessing=data["preprocessing"],
            labels=data["labels"],
            license=data["license"],
        )

    def sealed(self, root: Path) -> Record:
        """Give the record with every artifact's digest. Raises TamperedError if a file is not what it was before."""
        reference = _sealed(self.reference, root) if self.reference else None
        return replace(self, artifacts=tuple(_sealed(a, root) for a in self.artifacts), reference=reference)


def _sealed(artifact: Artifact, root: Path) -> Artifact:
    _inside(artifact.path, root)
    if not artifact.path.exists():
        raise UsageError(
            f"{artifact.name}: {artifact.path} does not exist", hint="write the artifact before publishing"
        )
    digest = digest_of(artifact.path)
    if artifact.digest and artifact.digest != digest:
        raise TamperedError(
            f"{artifact.name}: {artifact.path.name} has changed since it was exported", hint="export it again"
        )
    return replace(artifact, digest=digest)


def _inside(path: Path, root: Path) -> PurePosixPath:
    try:
        relative = path.resolve().relative_to(root.resolve())
    except ValueError:
        raise UsageError(f"{path} lies outside of {root}", hint="write artifacts into the staging folder") from None
    if not relative.parts:
        raise UsageError(f"an artifact cannot be all of {root}", hint="give each artifact a folder or file of its own")
    return PurePosixPath(relative)


def _artifact_to_json(artifact: Artifact, root: Path) -> dict[str, Any]:
    return {**artifact.to_json(), "path": str(_inside(artifact.path, root))}


def _artifact_from_json(data: Mapping[str, Any], root: Path) -> Artifact:
    relative = PurePosixPath(data["path"])
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise TamperedError(f"a manifest names the path {data['path']!r}", hint="do not use this version")
    return Artifact.from_json(data, root / relative)
