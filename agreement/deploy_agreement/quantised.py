"""Judging a variant with coarser numbers: when it is written, and whenever it is asked again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from deploy_agreement.comparison import BATCHES, compare
from deploy_agreement.degradation import degradation
from deploy_agreement.limits import ANY, Tolerance, published, tolerance
from deploy_agreement.report import Agreement
from deploy_agreement.rounding import Noise
from deploy_agreement.rows import rows_of
from deploy_core.dtypes import dtype_name
from deploy_core.errors import DeployError
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors


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
    row = compare(subject, want, predictor, inputs, noise=noise, batches=batches, tolerances=dict.fromkeys(want, ANY))
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
