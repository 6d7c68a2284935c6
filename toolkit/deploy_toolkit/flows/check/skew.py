"""`deploy check --raw`: raw bytes through the training side, through the steps that are served, and to the endpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deploy_agreement import Skew, StepSkew
from deploy_agreement.skew.steps import Prepared
from deploy_agreement.skew.steps import skew as compared
from deploy_agreement.tolerances.limits import tolerance
from deploy_core.dtypes import numpy_dtype
from deploy_core.endpoint import Endpoint
from deploy_core.errors import DeployError, EndpointError, UsageError
from deploy_core.preprocessing import Raw
from deploy_core.signature import Array, Tensors
from deploy_exporters.formats import hosted
from deploy_exporters.worker import Workers
from deploy_model_store import Version
from deploy_toolkit.flows import raw as raw_files
from deploy_toolkit.flows.check.raw_answers import answer_to, apart
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.golden import noise_of
from deploy_toolkit.flows.subjects import Subject
from deploy_toolkit.output import OnEvent

_REFUSALS = (400, 404, 405, 415, 422, 501, "INVALID_ARGUMENT", "UNIMPLEMENTED", "NOT_FOUND")


def skew(version: Version, todo: Sequence[Subject], request: Request, workers: Workers, on_event: OnEvent) -> Skew:
    """Compare the two sides, and what endpoints answer to the bytes. Raises UsageError if there is nothing to compare."""
    raw = raw_files.raw_of(version)
    if raw is None:
        raise UsageError(
            f"{version} is stored without steps",
            hint="deploy export … --preprocess steps.toml stores a model with them",
        )
    raw.require()
    on_event("preparing raw bytes")
    trained = _trained(version, request, workers)
    endpoints = [subject.endpoint for subject in todo if subject.endpoint is not None]
    if not trained and not endpoints:
        kept = ", ".join(one.name for one in raw_files.stored(version))
        raise UsageError(
            f"nothing is known of what training makes of these files: {version} keeps {kept or 'none'}",
            hint="name what training used, --preprocess FILE.py:FUNCTION, or an endpoint",
        )
    found = compared(raw, trained)
    files = trained or [Prepared(path.name, raw_files.read_raw(path), ()) for path in request.raw]
    if not endpoints:
        return found
    on_event("sending raw bytes")
    rows = list(_Answers(version, raw, files, request, workers).rows(endpoints))
    if not trained and all(row.off is None and row.ok for row in rows):
        raise UsageError(
            f"none of the endpoints takes raw bytes, and nothing is known of how {version} was trained",
            hint="name what training used, --preprocess FILE.py:FUNCTION",
        )
    return _joined(found, rows, len(files), sided=bool(trained))


def _trained(version: Version, request: Request, workers: Workers) -> list[Prepared]:
    """Give what training makes of the files: by its function, if that is named, else what was kept of these bytes."""
    if request.preprocess:
        training = raw_files.training_of((request.preprocess,), workers)
        assert training is not None
        bodies = raw_files.named_bytes(request.raw) or [(one.name, one.data) for one in raw_files.stored(version)]
        if not bodies:
            raise UsageError(f"--preprocess {request.preprocess} has no files to prepare", hint="name some: --raw FILE")
        return raw_files.asked(training, bodies, workers)
    stored = raw_files.stored(version)
    wanted = {hashlib.sha256(raw_files.read_raw(path)).digest() for path in request.raw}
    return [one for one in stored if not wanted or hashlib.sha256(one.data).digest() in wanted]


def _joined(found: Skew, rows: Sequence[StepSkew], files: int, *, sided: bool) -> Skew:
    """Give the whole: the two sides first, then the endpoints; without a training side they are all there is."""
    said = [found.said] if sided and found.said else []
    said += [] if sided else ["nothing is known of training: the endpoints are held to the declared steps"]
    said += [f"{row.step}: {row.said}" for row in rows if row.off is None and row.said]
    compared = tuple(row for row in rows if row.off is not None or not row.ok)
    first = found.first if sided and not found.ok else next((row.step for row in compared if not row.ok), "")
    steps = (*(found.steps if sided else ()), *compared)
    return replace(found, files=files, steps=steps, first=first, said="; ".join(said))


def of_those_asked(found: Skew, silent: Collection[str]) -> Skew | None:
    """Leave out endpoints that answered nothing else either: what they make of raw bytes is unknown, not wrong."""
    out = {_step(name) for name in silent}
    steps = tuple(row for row in found.steps if row.off is not None or row.step not in out)
    if not steps:
        return None
    first = next((row.step for row in steps if not row.ok), "") if found.first in out else found.first
    return replace(found, steps=steps, first=first)


def _step(endpoint: object) -> str:
    return f"answer of {endpoint}"


@dataclass(frozen=True)
class _Answers:
    """What endpoints answer to raw bytes, beside what the reference answers to the inputs that training makes of them."""

    version: Version
    raw: Raw
    files: Sequence[Prepared]
    request: Request
    workers: Workers

    def rows(self, endpoints: Sequence[Endpoint]) -> Iterator[StepSkew]:
        """Give a row for each endpoint; one that takes no raw bytes has no deviation, and says so."""
        if self.version.reference is None:
            raise UsageError(f"{self.version} keeps no reference", hint="check it without endpoints, or without --raw")
        reference = hosted(self.workers, self.version.reference)
        try:
            served = [reference.predict(self.raw.inputs([file.data])) for file in self.files]
            trained = [
                reference.predict(self._input(file.last)) if file.stages else answer
                for file, answer in zip(self.files, served, strict=True)
            ]
        finally:
            reference.close()
        for endpoint in endpoints:
            yield self._row(endpoint, trained, self._limit(trained, served))

    def _input(self, array: Array) -> Tensors:
        """Give what training made of a file as the model takes it, as one row of a batch."""
        spec = self.version.signature.inputs[0]
        whole = array[None] if array.ndim == len(spec.shape) - 1 else array
        return self.version.signature.conform({spec.name: whole.astype(numpy_dtype(spec.dtype))})

    def _limit(self, trained: Sequence[Tensors], served: Sequence[Tensors]) -> float:
        """Give the tolerance of the outputs, and what the rounding of pixels moves them where the steps agree."""
        golden = self.version.golden
        noise = noise_of(golden).greatest()
        own = max(tolerance(array, noise.get(name, 0.0)).value for name, array in golden.outputs.items())
        moved = max(
            float(np.abs(one[name].astype(np.float64) - other[name]).max(initial=0.0))
            for one, other in zip(trained, served, strict=True)
            for name in one
        )
        return own + (moved if self._agree else 0.0)

    @property
    def _agree(self) -> bool:
        return all(not file.stages for file in self.files) or compared(self.raw, self.files).ok

    def _row(self, endpoint: Endpoint, want: Sequence[Tensors], limit: float) -> StepSkew:
        name = _step(endpoint)
        offs: list[tuple[float | None, float | None]] = []
        for file, outputs in zip(self.files, want, strict=True):
            try:
                got = answer_to(endpoint, self.raw, self.version.signature, file.data, self.request.access)
            except DeployError as error:
                refused = isinstance(error, EndpointError) and error.status in _REFUSALS
                # TorchServe has one form for all: an archive that does not prepare raw bytes was not made for them.
                # One that answered a file before takes them: its refusal of another must not hide what it answered.
                takes_none = not offs and refused and endpoint.dialect != "torchserve"
                told = "takes no raw bytes" if takes_none else str(error)
                return StepSkew(name, None, None, limit, ok=takes_none, said=told)
            offs.append(apart(self.raw, outputs, got))
        if any(off is None for off, _ in offs):
            return StepSkew(name, None, None, limit, ok=False, said="it answers other labels or shapes")
        off = max(off for off, _ in offs if off is not None)
        mean = float(np.mean([mean for _, mean in offs if mean is not None]))
        return StepSkew(name, off, mean, limit, off <= limit)
