"""How much each output moves by float32 rounding alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deploy_agreement.figures import deviation, nan_count
from deploy_agreement.rows import Rows, batch_symbol, rows_of, take
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import DeployError, ExportError
from deploy_core.predictor import HasFloat64, Predictor
from deploy_core.signature import Array, Tensors

FLOAT64 = "|float32 − float64|"
BATCHES = "spread over batch sizes and inputs one ULP away"
_SIZES = (1, 2, 7)
_NUDGES = 4


@dataclass(frozen=True)
class Noise:
    """`values` by output name, in the output's own unit; `origin` says how they were measured."""

    values: Mapping[str, float]
    origin: str


def noise(predictor: Predictor, *batches: Tensors) -> Noise:
    """Measure the noise of each output; 0 for non-floats.

    Against float64 where the predictor can. Else the greater of two spreads: over batch sizes, which shows sums in
    another order where the runtime makes them, and over inputs moved at random to the next float, which shows how a
    rounding at the entrance grows on its way. Of several batches, the greatest. Raises ExportError for a model whose own
    output is NaN.
    """
    measured = [_measured(predictor, inputs) for inputs in batches]
    count = sum(rows for _, _, rows in measured)
    values, (origin, why), _ = measured[0]
    for other, _, _ in measured[1:]:
        values = {name: max(value, other[name]) for name, value in values.items()}
    return Noise(values, f"{origin}, {count} rows{why}")


def _measured(predictor: Predictor, inputs: Tensors) -> tuple[dict[str, float], tuple[str, str], int]:
    outputs = predictor.predict(inputs)
    require_numbers(outputs)
    count = rows_of(predictor.signature, inputs, outputs).count
    if not isinstance(predictor, HasFloat64):
        return _spread(predictor, inputs, outputs), (BATCHES, ""), count
    try:
        exact = predictor.predict_float64(inputs)
    except DeployError as error:
        return _spread(predictor, inputs, outputs), (BATCHES, f" (no float64: {error})"), count
    return {name: _apart(outputs[name], exact[name]) for name in outputs}, (FLOAT64, ""), count


def require_numbers(outputs: Tensors) -> None:
    """Raise ExportError if an output holds NaN: nothing can ever agree with it."""
    for name, array in outputs.items():
        if count := nan_count(array):
            raise ExportError(
                f"the model's own output {name!r} is NaN in {count} of {array.size} values",
                hint="give an example from the data it was trained on, or train it again",
            )


def _spread(predictor: Predictor, inputs: Tensors, outputs: Tensors) -> dict[str, float]:
    found = _over_batches(predictor, inputs, outputs)
    random = np.random.default_rng(0)
    for _ in range(_NUDGES):
        nudged = predictor.predict({name: _nudged(array, random) for name, array in inputs.items()})
        found = {name: max(value, _apart(nudged[name], outputs[name])) for name, value in found.items()}
    return found


def _nudged(array: Array, random: np.random.Generator) -> Array:
    if array.dtype.kind != "f":
        return array
    away = np.where(random.random(array.shape) < 0.5, -np.inf, np.inf).astype(array.dtype)
    return np.where(np.isfinite(array), np.nextafter(array, away), array)


def _over_batches(predictor: Predictor, inputs: Tensors, outputs: Tensors) -> dict[str, float]:
    rows = rows_of(predictor.signature, inputs, outputs)
    found = dict.fromkeys(outputs, 0.0)
    free = batch_symbol(predictor.signature.inputs) is not None
    for size in (s for s in _SIZES if s < rows.count and free):
        for start in range(0, rows.count, size):
            index = np.arange(start, min(start + size, rows.count))
            _widen(found, predictor, inputs, outputs, rows, index)
    return found


def _widen(
    found: dict[str, float], predictor: Predictor, inputs: Tensors, outputs: Tensors, rows: Rows, index: Array
) -> None:
    got = predictor.predict(take(inputs, rows.inputs, index))
    want = take({name: outputs[name] for name in rows.outputs}, rows.outputs, index)
    for name, array in want.items():
        found[name] = max(found[name], _apart(got[name], array))


def _apart(left: Array, right: Array) -> float:
    if not is_float(dtype_name(left.dtype)):
        return 0.0
    apart = deviation(left.astype(right.dtype), right)
    finite = apart[np.isfinite(apart)]
    return float(finite.max()) if finite.size else 0.0
