"""Judging a variant with coarser numbers: when it is written, and whenever it is asked again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from deploy_agreement.comparing.comparison import BATCHES, compare
from deploy_agreement.results.outputs import Problem
from deploy_agreement.results.report import Agreement
from deploy_agreement.rows import rows_of
from deploy_agreement.tolerances.limits import ANY, Tolerance, published, tolerance
from deploy_agreement.tolerances.rounding import Noise
from deploy_agreement.tolerances.terms import Terms
from deploy_agreement.variants.degradation import degradation
from deploy_core.dtypes import dtype_name
from deploy_core.errors import DeployError
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors

_ALIKE = 1.1  # times the rms error when it was published
_ROUNDING = 1e-5  # of the spread; a step of int8 is about 4e-3


def any_numbers(outputs: Iterable[str]) -> Terms:
    """Give the terms where nothing was measured: the form of the answers alone is judged."""
    return Terms(measured=dict.fromkeys(outputs, ANY))


def measured(
    subject: str,
    want: Tensors,
    predictor: Predictor,
    inputs: Tensors,
    *,
    noise: Noise,
    batches: Sequence[int] = BATCHES,
) -> Agreement:
    """Compare a variant that was just written: its form is judged, its errors become its tolerance from now on."""
    row = compare(subject, want, predictor, inputs, noise=noise, terms=any_numbers(want), batches=batches)
    errors = {output.name: output.max_abs for output in row.outputs if output.max_abs is not None}
    limits = tolerances(want, errors, noise=noise)
    return replace(row, outputs=tuple(replace(o, tolerance=limits.get(o.name, o.tolerance)) for o in row.outputs))


def tolerances(want: Tensors, errors: Mapping[str, float], *, noise: Noise) -> dict[str, Tolerance]:
    """Give the tolerance of each output of a variant whose greatest errors were measured when it was published."""
    return {
        name: published(
            error,
            tolerance(want[name], noise.values.get(name, 0.0), noise_origin=noise.origin),
            dtype_name(want[name].dtype),
        )
        for name, error in errors.items()
        if name in want
    }


def with_degradation(row: Agreement, want: Tensors, predictor: Predictor, inputs: Tensors) -> Agreement:
    """Add what a variant lost against the source, over all rows at once; a row that could not be asked stays as it is."""
    if row.error or not row.rows:
        return row
    try:
        got = predictor.predict(inputs)
    except DeployError:  # this batch size is among the row's problems
        return row
    axes = rows_of(predictor.signature, inputs, want).outputs
    return replace(row, degradation=degradation(want, got, axes))


def unlike(row: Agreement, errors: Mapping[str, float]) -> list[Problem]:
    """Say which outputs of a variant are further off from the source (rms) than they were when it was published.

    The greatest error may stay what it was where a zero point or a scale is off by one; the mean one does not. Kernels
    with and without a delegate, other batches and threads move it by less than a thousandth.
    """
    now = {one.name: one.rms_error for one in row.degradation.outputs} if row.degradation else {}
    return [
        Problem(
            "unlike-published",
            f"output {name!r} is off by {rms:.2%} of its spread (rms), by {errors[name]:.2%} when it was published:"
            " other int8 numbers than those that were measured",
            name,
        )
        for name, rms in now.items()
        if rms is not None and name in errors and rms > _ALIKE * errors[name] + _ROUNDING
    ]
