"""A row of the report: one subject, compared with the right answers in every way that was asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from time import monotonic

from deploy_agreement import Agreement, Problem, Report, compare, compare_sizes, failed, same_inputs
from deploy_agreement.rows import SLICES
from deploy_core.errors import DeployError
from deploy_core.predictor import Predictor
from deploy_toolkit.flows import degradation
from deploy_toolkit.flows.check.checks import Asked, checks
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.wanted import GOLDEN, Wanted
from deploy_toolkit.flows.subjects import Subject


def row_of(subject: Subject, inquiry: Inquiry) -> Agreement:
    """Compare one subject; one that cannot be asked has a row, too."""
    wanted = inquiry.wanted
    try:
        predictor = subject.open()
    except DeployError as error:
        return Agreement(subject.name, error=subject.damage) if subject.damage else failed(subject.name, error)
    try:
        began = monotonic()
        row = compare(
            subject.name,
            wanted.outputs,
            predictor,
            wanted.inputs,
            noise=wanted.noise,
            terms=inquiry.terms(subject),
            batches=wanted.batches,
            known=wanted.known,
            labels=wanted.labels,
        )
        each = (monotonic() - began) / (1 + SLICES * len(wanted.batches))
        row = _with_cost(row, subject, predictor, wanted)
        row = compare_sizes(row, predictor, inquiry.probes.sized, inquiry.form(subject))
        found = (*_damaged(subject), *_stale(predictor, wanted), *_like_a_variant(subject, row, wanted))
        found = (*found, *_unlike_published(row, subject, inquiry))
        told = row.error + _of_another(subject, predictor, wanted) if row.error else ""
        row = dataclasses.replace(row, problems=(*found, *row.problems), error=told)
        return row if row.error else _with_checks(Asked(subject, predictor, row, inquiry, each))
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


def _with_cost(row: Agreement, subject: Subject, predictor: Predictor, wanted: Wanted) -> Agreement:
    if subject.version is None or subject.artifact is None:
        return row
    full = degradation.with_cost(row, subject.artifact, predictor, wanted.inputs, wanted.outputs)
    return degradation.with_sizes(Report((full,)), subject.version.artifacts).rows[0]


def _unlike_published(row: Agreement, subject: Subject, inquiry: Inquiry) -> list[Problem]:
    if subject.version is None or subject.artifact is None or inquiry.request.terms().asked:
        return []
    golden, wanted = subject.version.golden, inquiry.wanted  # what was measured was measured by these
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


def _like_a_variant(subject: Subject, row: Agreement, wanted: Wanted) -> Iterator[Problem]:
    """Say which variant an endpoint may serve; it counts as one only if it is named, since a fault may look like it."""
    version = wanted.version
    if row.ok or version is None or subject.endpoint is None or subject.artifact is not None:
        return
    if names := degradation.resembling(version, row, wanted.outputs, wanted.noise):
        yield Problem(
            "variant",
            f"it is off by as much as {' or '.join(names)}: if it is to serve that variant,"
            f" `deploy check {version}/{names[0]} {subject.endpoint}` holds it to that",
        )
