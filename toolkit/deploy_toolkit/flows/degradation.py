"""Variants with coarser numbers: on which terms each is judged, what it cost, and when that is too much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from deploy_agreement import (
    COLLAPSED,
    DEGRADED,
    Agreement,
    Noise,
    Problem,
    ProofError,
    Report,
    Terms,
    Tolerance,
    any_numbers,
    compare,
    measured,
    tolerances,
    unlike,
    with_degradation,
)
from deploy_core.artifact import Artifact, size_of
from deploy_core.errors import UsageError
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors
from deploy_exporters.formats import split
from deploy_model_store import Golden, Version

_HALF = "float16"
_ALIKE = 4.0  # times what answers are off by: a variant that is off by more is another
_TOLD = {
    DEGRADED: "is degraded: a layer of it does not fit its coarser numbers",
    COLLAPSED: "has collapsed: its answers hardly follow the inputs any more",
}


def form_terms(artifact: Artifact | None, outputs: Iterable[str]) -> Terms:
    """Give the terms where nothing was measured, as at other sizes than the example's: an int8 variant's form alone."""
    if is_int8(artifact):
        return any_numbers(outputs)
    return Terms(precision=_HALF if artifact is not None and artifact.variant == _HALF else "")


def stored_terms(version: Version | None, artifact: Artifact | None, outputs: Tensors, noise: Noise) -> Terms:
    """Give the terms of a stored artifact: an int8 variant is held to the errors measured when it was published."""
    if version is None or artifact is None or not is_int8(artifact):
        return form_terms(artifact, outputs)
    return Terms(measured=tolerances(outputs, _errors(version.agreement, artifact.name), noise=noise))


def compared(
    artifact: Artifact, subject: str, predictor: Predictor, golden: Golden, noise: Noise, batches: Sequence[int]
) -> Agreement:
    """Judge what was just written by the golden outputs: a float file by its tolerance, a variant on its terms."""
    if is_int8(artifact):
        return measured(subject, golden.outputs, predictor, golden.inputs, noise=noise, batches=batches)
    terms = form_terms(artifact, golden.outputs)
    return compare(subject, golden.outputs, predictor, golden.inputs, noise=noise, terms=terms, batches=batches)


def resembling(version: Version, row: Agreement, outputs: Tensors, noise: Noise) -> tuple[str, ...]:
    """Name the variants of a version that are off by as much as these answers, the nearest first: one may have been asked."""
    known = {one.name: _errors(version.agreement, one.name) for one in version.artifacts if is_coarse(one)}
    off = max((output.max_abs for output in row.outputs if output.max_abs is not None), default=0.0)
    apart = {name: abs(max(errors.values()) - off) for name, errors in known.items() if errors}
    near = [name for name in apart if max(known[name].values()) <= _ALIKE * off]
    fitting = [name for name in near if _is_within(row, tolerances(outputs, known[name], noise=noise))]
    return tuple(sorted(fitting, key=apart.__getitem__))


def with_cost(row: Agreement, artifact: Artifact, predictor: Predictor, inputs: Tensors, outputs: Tensors) -> Agreement:
    """Add to a variant's row what it lost; any other row stays as it is."""
    return with_degradation(row, outputs, predictor, inputs) if is_coarse(artifact) else row


def unlike_published(row: Agreement, version: Version, artifact: Artifact) -> list[Problem]:
    """Say how an int8 variant differs from what was measured when it was published, for the golden inputs."""
    rows = [one for one in version.agreement.get("rows", ()) if one["subject"] == artifact.name]
    told = (rows[0].get("degradation") or {}) if rows and is_int8(artifact) else {}
    errors = {one["name"]: float(one["rms_error"]) for one in told.get("outputs", ()) if one["rms_error"] is not None}
    return unlike(row, errors)


def with_sizes(report: Report, artifacts: Iterable[Artifact]) -> Report:
    """Add to the rows of variants how big they are beside the float file of their format."""
    bytes_of = {artifact.name: size_of(artifact.path) for artifact in artifacts}
    return replace(report, rows=tuple(_with_size(row, bytes_of) for row in report.rows))


def warnings(report: Report) -> list[str]:
    """Name the variants that are degraded or have collapsed, and say by how much."""
    bad = [row for row in report.rows if row.degradation is not None and row.degradation.why]
    return [f"{row.subject} {_TOLD[row.degradation.verdict]} ({row.degradation.why})" for row in bad if row.degradation]


def check_limit(names: Iterable[str], limit: float | None) -> None:
    """Raise UsageError for a limit where there is nothing that it limits."""
    names = tuple(names)
    if limit is not None and not any(split(name)[1] for name in names):
        raise UsageError(
            f"--max-degradation limits variants, and {', '.join(names)} has none", hint="give --quantize MODE, too"
        )


def require(report: Report, limit: float | None) -> None:
    """Raise ProofError if a variant has collapsed or is further off than `limit`, a share; None is no limit."""
    if limit is None:
        return
    beyond = {row.subject: row.degradation.beyond(limit) for row in report.rows if row.degradation is not None}
    told = "; ".join(f"{subject}: {why}" for subject, why in beyond.items() if why)
    if told:
        raise ProofError(
            f"nothing was stored, since a variant is degraded beyond {limit:.2%} ({told})",
            hint="leave the variant out, calibrate it with more rows of real inputs, or allow more",
            report=report,
        )


def _with_size(row: Agreement, bytes_of: Mapping[str, int]) -> Agreement:
    name = row.subject.rpartition("/")[2]
    float_bytes = bytes_of.get(split(name)[0])
    if row.degradation is None or not float_bytes or name not in bytes_of:
        return row
    return replace(row, degradation=replace(row.degradation, size_ratio=bytes_of[name] / float_bytes))


def _is_within(row: Agreement, limits: Mapping[str, Tolerance]) -> bool:
    errors = {output.name: output.max_abs for output in row.outputs if output.max_abs is not None}
    known = errors.keys() == limits.keys() and bool(limits)
    return known and all(error <= limits[name].value for name, error in errors.items())


def is_int8(artifact: Artifact | None) -> bool:
    """Tell whether it is meant to predict something else, by a little."""
    return artifact is not None and artifact.variant.endswith("int8")


def is_dynamic(artifact: Artifact | None) -> bool:
    """Tell whether it finds its scales while it runs, from whatever is in the batch."""
    return artifact is not None and artifact.variant.startswith("dynamic-")


def is_coarse(artifact: Artifact) -> bool:
    """Tell whether it has coarser numbers than its source, int8 or float16."""
    return is_int8(artifact) or artifact.variant == _HALF


def _errors(agreement: Mapping[str, Any], name: str) -> dict[str, float]:
    """The greatest error of each output, as the manifest has it; none of an output that could not be compared."""
    rows = [row for row in agreement.get("rows", ()) if row["subject"] == name]
    outputs = rows[0]["outputs"] if rows else ()
    return {output["name"]: float(output["max_abs"]) for output in outputs if output["max_abs"] is not None}
