"""The input on which a subject is furthest from the reference: looked for, and saved to be asked again."""

from __future__ import annotations

import json
import time
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from deploy_agreement import Worst
from deploy_agreement.rows import rows_of
from deploy_agreement.worst import Bounds, Progress, search
from deploy_core.dtypes import dtype_name
from deploy_core.predictor import Predictor
from deploy_core.signature import Array, Tensors
from deploy_toolkit.flows import degradation
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.naming import slug
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.wanted import Wanted
from deploy_toolkit.flows.subjects import Subject
from deploy_toolkit.output import OnEvent

_OFTEN = 1.0  # seconds between two events


def worst(subject: Subject, predictor: Predictor, inquiry: Inquiry, on_event: OnEvent) -> Worst | None:
    """Search for as long as `request` says, and save what is found; None for the reference itself, and where there is none."""
    wanted, request = inquiry.wanted, inquiry.request
    if wanted.reference is None:
        return None
    if wanted.version and wanted.version.reference and subject.artifact == wanted.version.reference:
        return None
    reference = wanted.reference()
    try:
        found = search(
            reference,
            predictor,
            wanted.inputs,
            _bounds(subject, inquiry, _rows(reference, wanted)),
            seconds=request.search,
            seed=request.seed,
            on_progress=_Telling(subject.name, on_event),
        )
    finally:
        reference.close()
    found = replace(found, subject=subject.name, against=_by(wanted), counts=_counts(subject, request))
    return _saved(found, request.found, on_event)


def saved(inputs: Tensors, path: Path) -> Path:
    """Write inputs as `deploy predict --input` and `deploy check --inputs` read them; give the file.

    It is `.npz`, or `.json` where numpy has no form for a dtype.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if any(dtype_name(array.dtype) == "bfloat16" for array in inputs.values()):
        path = path.with_suffix(".json")
        path.write_text(json.dumps({name: _listed(array) for name, array in inputs.items()}))
        return path
    with zipfile.ZipFile(path, "w") as archive:  # not numpy.savez, to which an input cannot be called `file`
        for name, array in inputs.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, _plain(array), allow_pickle=False)
    return path


def _bounds(subject: Subject, inquiry: Inquiry, rows: int) -> Bounds:
    terms, wanted = inquiry.terms(subject), inquiry.wanted
    least = min(wanted.batches, default=1)
    return Bounds(terms.limits(wanted.outputs, wanted.noise), terms.precision, (least, rows), grows=not terms.asked)


def _rows(reference: Predictor, wanted: Wanted) -> int:
    return max(1, rows_of(reference.signature, wanted.inputs, {}).count)


def _counts(subject: Subject, request: Request) -> bool:
    """Whether more than what is tolerated is a fault: of an int8 variant it is not, but where the user said how much."""
    return request.terms().asked or not degradation.is_int8(subject.artifact)


def _by(wanted: Wanted) -> str:
    return f"{wanted.version}/reference" if wanted.version else wanted.by


def _saved(found: Worst, folder: Path, on_event: OnEvent) -> Worst:
    if found.over <= 0:
        return found  # nothing differs anywhere
    path = saved(found.inputs, folder / f"{slug(found.subject, found.output)}.npz")
    on_event(f"saved the worst input for {found.subject} in {path}")
    return replace(found, file=str(path))


def _plain(array: Array) -> Array:
    return np.array(array.tolist(), dtype="S").reshape(array.shape) if array.dtype.kind == "O" else array


def _listed(array: Array) -> object:
    if array.dtype.kind == "O":
        return np.vectorize(lambda value: value.decode(), otypes=[object])(array).tolist()
    return array.astype(np.float64).tolist() if dtype_name(array.dtype) == "bfloat16" else array.tolist()


@dataclass
class _Telling:
    """Tells of the search now and then: when it began, and when it has found something much worse."""

    subject: str
    on_event: OnEvent
    told: dict[str, float] = field(default_factory=dict)

    def __call__(self, progress: Progress) -> None:
        """Hear how far it has come."""
        now = time.monotonic()
        if self.told and (now - self.told["at"] < _OFTEN or progress.over <= 2 * self.told["over"]):
            return
        self.told = {"at": now, "over": max(progress.over, 0.01)}
        self.on_event(
            f"searching the worst input for {self.subject}: {progress.over:.2g} × what is tolerated"
            f" among {progress.tried:,}"
        )
