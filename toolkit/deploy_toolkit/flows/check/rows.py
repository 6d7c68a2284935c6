"""A row of the report: one subject, compared with the right answers in every way that was asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from deploy_agreement import Agreement, Problem, Report, compare, compare_sizes, failed, same_inputs, tolerance
from deploy_core.errors import DeployError
from deploy_core.predictor import Predictor
from deploy_toolkit.flows import degradation
from deploy_toolkit.flows.check.checks import Asked, checks
from deploy_toolkit.flows.check.mates import Mate
from deploy_toolkit.flows.check.probing import NOTHING, Probes
from deploy_toolkit.flows.check.request import Request
from deploy_toolkit.flows.check.wanted import GOLDEN, Wanted
from deploy_toolkit.flows.subjects import Subject


def row_of(
    subject: Subject, wanted: Wanted, request: Request, probes: Probes = NOTHING, mate: Mate | None = None
) -> Agreement:
    """Compare one subject; one that cannot be asked has a row, too. `mate` is another way to the same server."""
    try:
        predictor = subject.open()
    except DeployError as error:
        return Agreement(subject.name, error=subject.damage) if subject.damage else failed(subject.name, error)
    rule = _rule(subject, wanted)
    try:
        row = compare(
            subject.name,
            wanted.outputs,
            predictor,
            wanted.inputs,
            noise=wanted.noise,
            batches=wanted.batches,
            atol=request.atol,
            rtol=request.rtol,
            precision=rule.precision,
            tolerances=rule.tolerances,
            known=wanted.known,
            labels=wanted.labels,
        )
        row = _with_cost(row, subject, predictor, wanted)
        row = _with_sizes(row, subject, predictor, wanted, probes, request)
        found = (*_damaged(subject), *_stale(predictor, wanted), *_served_variant(predictor, row, wanted))
        found = (*found, *_unlike_published(row, subject, wanted, request))
        told = row.error + _of_another(subject, predictor, wanted) if row.error else ""
        row = dataclasses.replace(row, problems=(*found, *row.problems), error=told)
        return row if row.error else _with_checks(Asked(subject, predictor, row, wanted, probes, request, mate))
    finally:
        predictor.close()


def _with_checks(one: Asked) -> Agreement:
    return dataclasses.replace(one.row, checks=tuple(checks(one)))


def _of_another(subject: Subject, predictor: Predictor, wanted: Wanted) -> str:
    """Say whose inputs it was asked, if it is a model that takes others."""
    theirs = {spec.name for spec in predictor.signature.inputs}
    if theirs == set(wanted.inputs) or wanted.version is None or wanted.by != GOLDEN:
        return ""
    own = subject.version or subject.name
    return f"; the golden inputs are those of {wanted.version}: check {own} by itself"


def _rule(subject: Subject, wanted: Wanted) -> degradation.Rule:
    if subject.version is None or subject.artifact is None:
        return degradation.Rule()
    return degradation.stored_rule(subject.version, subject.artifact, wanted.outputs, wanted.noise)


def _with_sizes(
    row: Agreement, subject: Subject, predictor: Predictor, wanted: Wanted, probes: Probes, request: Request
) -> Agreement:
    rule = degradation.form_rule(subject.artifact, wanted.outputs) if subject.artifact else degradation.Rule()
    tolerances = rule.tolerances
    if request.atol is not None or request.rtol is not None:
        tolerances = {
            name: tolerance(array, 0.0, atol=request.atol, rtol=request.rtol) for name, array in wanted.outputs.items()
        }
    return compare_sizes(row, predictor, probes.sized, precision=rule.precision, tolerances=tolerances)


def _with_cost(row: Agreement, subject: Subject, predictor: Predictor, wanted: Wanted) -> Agreement:
    if subject.version is None or subject.artifact is None:
        return row
    full = degradation.with_cost(row, subject.artifact, predictor, wanted.inputs, wanted.outputs)
    return degradation.with_sizes(Report((full,)), subject.version.artifacts).rows[0]


def _unlike_published(row: Agreement, subject: Subject, wanted: Wanted, request: Request) -> list[Problem]:
    if subject.version is None or subject.artifact is None or request.atol is not None or request.rtol is not None:
        return []
    golden = subject.version.golden  # what was measured was measured by these
    if not (same_inputs(golden.inputs, wanted.inputs) and same_inputs(golden.outputs, wanted.outputs)):
        return []
    return degradation.unlike_published(row, subject.version, subject.artifact)


def _damaged(subject: Subject) -> Iterator[Problem]:
    if subject.damage:
        yield Problem("damaged", subject.damage)


def _stale(predictor: Predictor, wanted: Wanted) -> Iterator[Problem]:
    endpoint, version = getattr(predictor, "endpoint", None), getattr(predictor, "version", None)
    if endpoint is None or wanted.version is None or version is None or endpoint.model != wanted.version.name:
        return
    # An archive made for TorchServe has a version of its own, "1.0", that says nothing of ours.
    if version.isdigit() and int(version) != wanted.version.number:
        yield Problem("stale", f"it serves version {version}, wanted is version {wanted.version.number}")


def _served_variant(predictor: Predictor, row: Agreement, wanted: Wanted) -> Iterator[Problem]:
    if row.ok or wanted.version is None or not hasattr(predictor, "endpoint"):
        return
    if names := degradation.resembling(wanted.version, row, wanted.outputs, wanted.noise):
        yield Problem("variant", f"its errors are those of {' or '.join(names)}: the server may serve that variant")
