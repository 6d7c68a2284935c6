"""What goes into a package, whatever device it is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy_core.artifact import Artifact
from deploy_core.signature import Signature, Tensors

SIGNATURE, PROVENANCE, LICENSE = "signature.json", "provenance.json", "LICENSE"


@dataclass(frozen=True)
class Labels:
    """The names of the last axis of one output: a file of one name a line."""

    output: str
    file: str
    content: bytes

    @property
    def names(self) -> list[str]:
        """The labels in their order."""
        return self.content.decode().splitlines()


@dataclass(frozen=True)
class Contents:
    """One version's artifact, made ready: `model` is its file with metadata.

    `inputs` and `outputs` are a few golden rows in the source model's form, `rows` says which axis of a tensor counts
    them and `tolerances` how far an output may be off. `batches` are the sizes to try.
    """

    name: str
    version: int
    created: str
    artifact: Artifact
    model: bytes
    inputs: Tensors
    outputs: Tensors
    rows: Mapping[str, int]
    batches: tuple[int, ...]
    tolerances: Mapping[str, float]
    provenance: Mapping[str, Any]
    labels: Labels | None = None
    license: bytes | None = None
    remarks: tuple[str, ...] = field(default=())

    @property
    def signature(self) -> Signature:
        """What the source model has."""
        return self.artifact.signature

    @property
    def file(self) -> str:
        """The name of the .tflite in the package."""
        return f"{self.name}.tflite"

    def signature_json(self) -> bytes:
        """Give both signatures and what lies between them."""
        changes = [change.to_json() for change in self.artifact.changes]
        return as_json(
            {
                "source": self.signature.to_json(),
                "file": self.artifact.file_signature.to_json(),
                "changes": changes,
                "quantization": {
                    c.tensor: {"scale": c.scale, "zero_point": c.zero_point} for c in self.artifact.changes if c.scale
                },
                "labels": {self.labels.output: self.labels.file} if self.labels else {},
            }
        )

    def papers(self) -> dict[str, bytes]:
        """Give what every package holds beside the model: signature, provenance, and the licence if there is one."""
        told = {**self.provenance, "remarks": list(self.remarks)}
        papers = {SIGNATURE: self.signature_json(), PROVENANCE: as_json(told)}
        return papers | ({LICENSE: self.license} if self.license is not None else {})


def as_json(document: object) -> bytes:
    """Give a document as people read it, with a newline at its end."""
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
