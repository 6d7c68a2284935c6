"""A version's TFLite file → one archive for a device, proved before it appears."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version as version_of
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from deploy_agreement import Agreement, Noise, Report, compare, tolerance
from deploy_agreement.rows import Rows, batch_symbol, rows_of, take
from deploy_core import state
from deploy_core.artifact import Artifact
from deploy_core.errors import ExportError, UsageError
from deploy_core.predictor import Predictor
from deploy_core.scratch import Scratch
from deploy_exporters.formats import hosted, split
from deploy_exporters.packaging import TARGETS, Contents
from deploy_exporters.packaging.archive import archive, write
from deploy_exporters.packaging.describing import described_model
from deploy_exporters.packaging.labels import read_labels
from deploy_exporters.packaging.operators import operators, require_builtin
from deploy_exporters.routes import is_calibrated
from deploy_exporters.worker import Workers
from deploy_model_store import Store, Version
from deploy_toolkit.output import OnEvent, silent

ROWS = 8
BATCHES = (1, 2, 7)


@dataclass(frozen=True)
class Request:
    """What to package, for which target; `labels` is FILE or OUTPUT=FILE, `out` a file or an existing folder."""

    name: str
    target: str
    artifact: str = "tflite"
    labels: str | None = None
    license: Path | None = None
    out: Path | None = None


@dataclass(frozen=True)
class Packaged:
    """The archive, and the comparison of the file in it with the stored one."""

    version: Version
    target: str
    artifact: Artifact
    path: Path
    digest: str
    bytes: int
    files: tuple[str, ...]
    remarks: tuple[str, ...]
    report: Report

    def to_json(self) -> dict[str, Any]:
        """Give the document that `deploy package --json` prints."""
        return {
            "schema": "deploy/package/1",
            "name": self.version.name,
            "version": self.version.number,
            "target": self.target,
            "artifact": self.artifact.name,
            "path": str(self.path),
            "sha256": self.digest,
            "bytes": self.bytes,
            "files": list(self.files),
            "remarks": list(self.remarks),
            "agreement": self.report.to_json(),
        }

    def __repr__(self) -> str:
        return f"{self.path}, {self.bytes:,} bytes, sha256 {self.digest}\n{self.report!r}"


def package(request: Request, *, store: Path, on_event: OnEvent = silent) -> Packaged:
    """Describe the file, prove that it answers as before, and write the archive; an older one stays until then.

    Raises UsageError, TamperedError if a stored file is not what was published, ExportError for what a device cannot run.
    """
    module = TARGETS.load(request.target)
    version = Store(store).resolve(request.name)
    artifact = _artifact(version, request.artifact)
    version.require_intact(artifact)
    top = _top(version, artifact, request.target)
    path = _path(request.out or Path(), top)
    contents = _contents(request, version, artifact, module)
    for remark in contents.remarks:
        on_event(remark)
    report = _prove(version, contents, on_event)
    files = module.files(contents)
    body = archive(top, files)
    on_event(f"writing {path}")
    write(path, body)
    digest = hashlib.sha256(body).hexdigest()
    names = tuple(sorted(files))
    return Packaged(version, request.target, artifact, path, digest, len(body), names, contents.remarks, report)


def _artifact(version: Version, name: str) -> Artifact:
    if split(name)[0] != "tflite":
        raise UsageError(f"{name} files are not packaged", hint="--artifact takes tflite or a variant of it")
    found = [artifact for artifact in version.artifacts if artifact.name == name]
    if not found:
        have = ", ".join(artifact.name for artifact in version.artifacts)
        how = " --calibration FILE.npz" if is_calibrated(name) else ""
        raise UsageError(
            f"{version} has no {name} file, only {have or 'none'}",
            hint=f"deploy export {version.name} --to {name}{how} adds one",
        )
    return found[0]


def _top(version: Version, artifact: Artifact, target: str) -> str:
    variant = f"-{artifact.variant}" if artifact.variant else ""
    return f"{version.name}-{version.number}{variant}-{target}"


def _path(out: Path, top: str) -> Path:
    path = out / f"{top}.zip" if out.is_dir() else out
    if path.suffix != ".zip" or not path.parent.is_dir():
        raise UsageError(
            f"--out {out} is neither an existing folder nor a .zip in one", hint=f"for example --out {top}.zip"
        )
    return path


def _contents(request: Request, version: Version, artifact: Artifact, module: ModuleType) -> Contents:
    model = artifact.path.read_bytes()
    used = operators(model)
    require_builtin(used)
    golden = version.golden
    rows, batches = _batches(version, artifact)
    few = np.arange(min(ROWS, rows.count))
    contents = Contents(
        name=version.name,
        version=version.number,
        created=version.created,
        artifact=artifact,
        model=model,
        inputs=take(golden.inputs, rows.inputs, few) if batches else golden.inputs,
        outputs=take(golden.outputs, rows.outputs, few) if batches else golden.outputs,
        rows={**rows.inputs, **rows.outputs} if batches else {},
        batches=(len(few), *(size for size in BATCHES if size < len(few))) if batches else (rows.count,),
        tolerances=_tolerances(version, artifact),
        provenance=_provenance(version, artifact, request),
        labels=read_labels(request.labels, artifact.signature) if request.labels else None,
        license=_license(request.license),
        remarks=tuple(module.remarks(used)),
    )
    return replace(contents, model=described_model(contents, golden.inputs, golden.outputs))


def _batches(version: Version, artifact: Artifact) -> tuple[Rows, tuple[int, ...]]:
    """Give where the rows of the golden data lie, and the sizes to try beside all of them: none if the batch is fixed."""
    rows = rows_of(artifact.signature, version.golden.inputs, version.golden.outputs)
    return rows, BATCHES if batch_symbol(artifact.file_signature.inputs) else ()


def _tolerances(version: Version, artifact: Artifact) -> dict[str, float]:
    """Give how far each output may be off: what the artifact was published with, else the rule for float files."""
    golden = version.golden
    proved: dict[str, float] = {}
    for row in version.agreement.get("rows", ()):
        if row["subject"] == artifact.name:
            proved = {o["name"]: o["tolerance"] for o in row["outputs"] if isinstance(o["tolerance"], float | int)}
    return {
        name: float(proved[name]) if name in proved else tolerance(want, golden.noise.get(name, 0.0)).value
        for name, want in golden.outputs.items()
    }


def _provenance(version: Version, artifact: Artifact, request: Request) -> dict[str, Any]:
    # Not the source's location: a path on the machine where it was trained is nobody's business on a device.
    source = {key: version.source[key] for key in ("kind", "class", "parameters") if key in version.source}
    return {
        "model": str(version),
        "training_id": version.training_id,
        "created": version.created,
        "source": source,
        "artifact": artifact.name,
        "sha256": artifact.digest,
        "route": list(artifact.route),
        "options": dict(artifact.options),
        "tools": dict(artifact.tools),
        "packaged_by": {"deploy-toolkit": version_of("deploy-toolkit"), "ai-edge-litert": version_of("ai-edge-litert")},
        "license": "not stated" if request.license is None else "LICENSE",
        "noise": version.golden.noise_origin,
    }


def _license(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", hint="--license takes the text of a licence"
        ) from error


def _prove(version: Version, contents: Contents, on_event: OnEvent) -> Report:
    """Run the stored file and the one in the package; raise ExportError unless they answer alike."""
    artifact = contents.artifact
    on_event(f"comparing the file in the package with {version}/{artifact.name}")
    with Scratch() as folder, Workers(state.logs()) as workers:
        path = folder / contents.file
        path.write_bytes(contents.model)
        stored, packaged = (hosted(workers, one) for one in (artifact, replace(artifact, path=path)))
        report = Report(tuple(_rows(version, artifact, stored, packaged)))
    if not report.ok:
        raise ExportError(
            f"the file in the package predicts another thing than the stored one: {report.rows[0].why}",
            hint="nothing was written; tell us",
        )
    return report


def _rows(version: Version, artifact: Artifact, stored: Predictor, packaged: Predictor) -> Iterator[Agreement]:
    # Each batch with itself: the same weights in the same runtime have no reason to differ by rounding.
    golden = version.golden
    exact = Noise(dict.fromkeys(golden.outputs, 0.0), "the same weights in the same runtime")
    rows, sizes = _batches(version, artifact)
    for size in (rows.count, *sizes):
        inputs = take(golden.inputs, rows.inputs, np.arange(size)) if sizes else golden.inputs
        subject = f"{artifact.name} in the package, batch of {size}"
        yield compare(subject, stored.predict(inputs), packaged, inputs, noise=exact, batches=())
