"""What a worker keeps between calls: opened sources and loaded files, by number."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import Any

from deploy_core.errors import ExportError, UsageError
from deploy_core.predictor import HasIntermediates, Intermediate
from deploy_core.signature import Signature, Tensors
from deploy_exporters.hosted import ABLE
from deploy_exporters.sources import Given, Source
from deploy_exporters.sources.opening import Opened
from deploy_exporters.steps.job import Job, Written

_kept: dict[int, Any] = {}
_numbers = count(1)


def open_source(source: Source, given: Given) -> tuple[int, str, Signature, Tensors, dict[str, Any]]:
    """Open a source and keep it; give its number and what is to be known of it."""
    from deploy_exporters.sources import opening

    trusted = opening.require_safe_source(source)
    found: Opened = opening.open_source(source, given)
    description = {"kind": found.kind, "location": source.location, "note": source.note, **found.describe()}
    if told := getattr(found, "notices", ()):
        description["notices"] = list(told)
    if trusted:
        description["trusted"] = list(trusted)
    return _keep(found), found.kind, found.signature, dict(found.example), description


def prepare(modules: Sequence[str]) -> None:
    """Import modules that later calls will need."""
    for module in modules:
        import_module(module)


def load(name: str, path: Path, signature: Signature | None, trust: bool) -> tuple[int, Signature, tuple[str, ...]]:
    """Load a file of that format and keep its Predictor; tell what else it can do, as `hosted.ABLE` has it."""
    from deploy_exporters.formats import load_file

    predictor = load_file(name, path, signature, trust=trust)
    return _keep(predictor), predictor.signature, tuple(name for name in ABLE if hasattr(predictor, name))


def predict(number: int, inputs: Tensors) -> dict[str, Any]:
    """Answer one batch."""
    return dict(_kept[number].predict(inputs))


def predict_float64(number: int, inputs: Tensors) -> dict[str, Any]:
    """Answer one batch in double precision."""
    return dict(_kept[number].predict_float64(inputs))


def intermediates(number: int, inputs: Tensors) -> list[Intermediate]:
    """Give the tensors inside for one batch. Raises UsageError for a source that cannot be looked into."""
    kept = _kept[number]
    if not isinstance(kept, HasIntermediates):
        raise UsageError(f"a source of kind {kept.kind} cannot be looked into", hint="look into a file made from it")
    return list(kept.intermediates(inputs))


def gradient(number: int, inputs: Tensors, weights: Tensors) -> dict[str, Any]:
    """Give the derivative of the weighted sum of the outputs by every float input."""
    return dict(_kept[number].gradient(inputs, weights))


def close(number: int) -> None:
    """Let go of a source or a file."""
    kept = _kept.pop(number, None)
    if kept is not None:
        kept.close()


def run_step(function: str, number: int | None, job: Job, packages: Sequence[str]) -> tuple[Written, Mapping[str, str]]:
    """Run one step of a route; give what it tells of its file, and the versions of its tools."""
    module, _, name = function.partition(":")
    step = getattr(import_module(module), name)
    try:
        told = step(*(() if number is None else (_kept[number],)), job)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _full(name, job.writes.parent) from error
    written = told if isinstance(told, Written) else Written(how=told or "")
    return written, {package: _version(package) for package in packages}


def _full(step: str, folder: Path) -> ExportError:
    # The system does not say which disk; converters write to the temporary folder, too.
    there = dict.fromkeys((folder, Path(tempfile.gettempdir())))
    free = ", ".join(f"{shutil.disk_usage(each).free / 1e6:,.0f} MB are free in {each}" for each in there)
    hint = "make room there, or name other folders: --store, and TMPDIR for temporary files"
    return ExportError(f"{step} found no space left on the disk: {free}", hint=hint)


def _keep(thing: Any) -> int:
    number = next(_numbers)
    _kept[number] = thing
    return number


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return str(getattr(import_module(package), "__version__", "unknown"))
