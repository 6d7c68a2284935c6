"""The step from TorchScript to a TorchServe archive: our own deterministic zip, our own handler."""

from __future__ import annotations

import json
import zipfile

from deploy_exporters.formats.mar import HANDLER
from deploy_exporters.steps.job import Job

MODEL_FILE = "model.pt"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def mar_from_torchscript(job: Job) -> str:
    """Write a .mar; the same model gives the same bytes."""
    files = {
        "MAR-INF/MANIFEST.json": _json(manifest(job.name)),
        HANDLER.name: HANDLER.read_bytes(),
        MODEL_FILE: job.read.read_bytes(),
        "signature.json": _json(job.signature.to_json()),
    }
    with zipfile.ZipFile(job.writes, "w") as archive:
        for name, body in files.items():
            archive.writestr(_entry(name), body)
    return ""


def manifest(name: str) -> dict[str, object]:
    """Give the manifest that torch-model-archiver would write, but for the time of day."""
    return {
        "createdOn": "01/01/1980 00:00:00",
        "runtime": "python",
        "model": {"modelName": name, "handler": HANDLER.name, "serializedFile": MODEL_FILE, "modelVersion": "1.0"},
        "archiverVersion": "0.12.0",
    }


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_STORED  # deflate differs from one zlib to the next
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
