"""One exported model in one format and variant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_core.changes import Change, changed
from deploy_core.signature import Signature


@dataclass(frozen=True)
class Artifact:
    """The files of one exported model; `path` is a file, or the folder of a SavedModel.

    `name` is the format with its variant, e.g. `onnx` or `tflite-int8`. `signature` is the source model's; `changes`
    say what of it the file could not keep, `remarks` what a reader of the manifest must know besides. `digest` is
    `digest_of(path)`.
    """

    format: str
    path: Path
    signature: Signature
    variant: str = ""
    route: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""
    changes: tuple[Change, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def file_signature(self) -> Signature:
        """The signature that the file itself has."""
        return changed(self.signature, self.changes)

    @property
    def name(self) -> str:
        """The format and its variant."""
        return f"{self.format}-{self.variant}" if self.variant else self.format

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document; the path is left to the caller, who knows what it is relative to."""
        return {
            "name": self.name,
            "format": self.format,
            "variant": self.variant,
            "signature": self.signature.to_json(),
            "route": list(self.route),
            "options": dict(self.options),
            "tools": dict(self.tools),
            "digest": self.digest,
            "changes": [change.to_json() for change in self.changes],
            "remarks": list(self.remarks),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> Artifact:
        """Read what `to_json` wrote."""
        return cls(
            format=data["format"],
            path=path,
            signature=Signature.from_json(data["signature"]),
            variant=data["variant"],
            route=tuple(data["route"]),
            options=data["options"],
            tools=data["tools"],
            digest=data["digest"],
            changes=tuple(map(Change.from_json, data.get("changes", ()))),
            remarks=tuple(data.get("remarks", ())),
        )


def files_of(path: Path) -> Iterator[Path]:
    """Give the file, or every file below the folder in a fixed order."""
    if path.is_dir():
        yield from sorted(p for p in path.rglob("*") if p.is_file())
    else:
        yield path


def digest_of(path: Path) -> str:
    """Give sha256 of a file as hex; of a folder, sha256 over its files' relative names and digests."""
    if not path.is_dir():
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    whole = hashlib.sha256()
    for file in files_of(path):
        whole.update(f"{file.relative_to(path).as_posix()}\0{digest_of(file)}\n".encode())
    return whole.hexdigest()


def size_of(path: Path) -> int:
    """Give the bytes of a file, or of all files below a folder."""
    return sum(file.stat().st_size for file in files_of(path))
