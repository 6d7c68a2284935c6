"""The steps to a TorchServe archive: our own deterministic zip, our own handler or the user's."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping

from deploy_core import preprocessing
from deploy_core.errors import ExportError
from deploy_exporters.formats.mar import SIGNATURE
from deploy_exporters.plain_zip import entry
from deploy_exporters.safety.mar import HANDLER
from deploy_exporters.steps import mar_files
from deploy_exporters.steps.job import Job, Written

MODEL_FILE = "model.pt"
ONNX_FILE = "model.onnx"


def mar_from_torchscript(job: Job) -> Written:
    """Write a .mar that torch runs; the same model gives the same bytes."""
    return _write(job, {MODEL_FILE: job.read.read_bytes()}, MODEL_FILE)


def mar_from_onnx(job: Job) -> Written:
    """Write a .mar that ONNX Runtime runs, the weights that lie beside the graph included."""
    _require_no_text(job)
    beside = sorted(path for path in job.read.parent.iterdir() if path.is_file() and path != job.read)
    files = {ONNX_FILE: job.read.read_bytes(), **{path.name: path.read_bytes() for path in beside}}
    return _write(job, files, ONNX_FILE, "TorchServe needs onnxruntime beside it")


def manifest(name: str, model: str, handler: str, *, requirements: bool, version: str = "1.0") -> dict[str, object]:
    """Give the manifest that torch-model-archiver would write, but for the time of day."""
    told = {"modelName": name, "handler": handler, "serializedFile": model, "modelVersion": version}
    return {
        "createdOn": "01/01/1980 00:00:00",
        "runtime": "python",
        "model": {**told, **({"requirementsFile": mar_files.REQUIREMENTS} if requirements else {})},
        "archiverVersion": "0.12.0",
    }


def _write(job: Job, model: Mapping[str, bytes], serialized: str, *remarks: str) -> Written:
    ours = {HANDLER.name: HANDLER.read_bytes(), **model, SIGNATURE: _json(job.signature.to_json()), **_raw(job)}
    added = mar_files.added(job.options, ours)
    own = mar_files.own_handler(job.options)
    requirements, version = mar_files.REQUIREMENTS in added, _version({**ours, **added})
    told = manifest(job.name, serialized, own or HANDLER.name, requirements=requirements, version=version)
    with zipfile.ZipFile(job.writes, "w") as archive:
        for name, body in {"MAR-INF/MANIFEST.json": _json(told), **ours, **added}.items():
            archive.writestr(entry(name), body)
    if own:
        remarks += (f"its handler {own} is the user's: it is proved only as far as it answers safetensors bodies",)
    return Written(remarks=remarks)


def _raw(job: Job) -> dict[str, bytes]:
    if job.raw is None:
        return {}
    steps = {name: path.read_bytes() for name, path in preprocessing.MODULES.items()}
    return {**steps, preprocessing.DOCUMENT: _json(job.raw)}


def _require_no_text(job: Job) -> None:
    text = [spec.name for spec in (*job.signature.inputs, *job.signature.outputs) if spec.dtype == "string"]
    if text:
        raise ExportError(
            f"{', '.join(text)} is text, which the bodies of a .mar's handler do not carry", hint="deploy the ONNX file"
        )


def _version(files: Mapping[str, bytes]) -> str:
    """Give a version of the contents' own: TorchServe tells archives of one model apart by it, the store has no number yet."""
    listed = "".join(f"{hashlib.sha256(body).hexdigest()} {name}\n" for name, body in sorted(files.items()))
    return f"sha-{hashlib.sha256(listed.encode()).hexdigest()[:12]}"


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
