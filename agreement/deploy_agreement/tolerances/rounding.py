"""How much each element of each output moves by float32 rounding alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from deploy_agreement.figures import deviation, eps, magnitude, nan_count
from deploy_agreement.rows import GOLDEN, Rows, batch_symbol, rows_of, take
from deploy_agreement.tolerances.nudges import by_part, movable, nudged
from deploy_agreement.tolerances.pooling import Moved, fit, moved, pooled
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import DeployError, ExportError
from deploy_core.predictor import HasFloat64, Predictor
from deploy_core.signature import Array, Signature, Tensors

FLOAT64 = "|float32 − float64| and sums in another order"
BATCHES = "spread over batch sizes and inputs one ULP away"
INTEGERS = "spread over batch sizes, at least 4 × eps of a value"
_SIZES = (1, 2, 7)
_NUDGES = 4
_ASSUMED = 4.0  # eps of a value that answers to integers are taken to move by, where nothing can measure it
_ROUNDING = 4.0  # how often what an output moves with the batch may exceed what float64 shows, and still be rounding
Amounts = Mapping[str, Array | float]


@dataclass(frozen=True)
class Noise:
    """`values` by output name, in the output's own unit; `origin` says how they were measured.

    A value is one number for all elements, or an array of one for each, which broadcasts: its axes of rows, and of
    dimensions that can have other sizes, are 1 long.
    """

    values: Amounts
    origin: str

    def greatest(self) -> dict[str, float]:
        """Give the noise of each output as one number, that of its noisiest element."""
        return {name: float(np.max(value, initial=0.0)) for name, value in self.values.items()}

    def times(self, factors: Mapping[str, float], instead: Mapping[str, float]) -> Noise:
        """Give the noise of outputs that move so many times as much; `instead` is by name for one without any noise."""
        values = {
            name: value * factors.get(name, 1.0) if np.any(value) else instead.get(name, 0.0)
            for name, value in self.values.items()
        }
        return Noise(values, self.origin)


def noise(predictor: Predictor, *batches: Tensors, nan_agrees: bool = False) -> Noise:
    """Measure the noise of each element of each output; 0 for non-floats.

    It is the greatest over all rows, of three differences: from float64 where the predictor can; between batch sizes (of the
    first 64 rows, since each row is asked for thrice), which shows sums in another order where the runtime makes them; and
    from inputs moved at random to the next float, which shows how a rounding at the entrance grows on its way: of halves
    that go into float32 as much less as its steps are smaller. Where there is float64, half of the last is taken, and what
    moves far more with the size of the batch is no rounding, and is left to be found. Where there is neither that nor an
    input that could be moved, some eps of each value are assumed. `pooled` says what becomes of elements that few rows move.
    Raises ExportError for a model whose own output is NaN, unless `nan_agrees`: then NaN has no noise.
    """
    found, told = _joined(predictor, batches, nan_agrees)
    return Noise({name: pooled(one) for name, one in found.items()}, told)


def times_more(
    measured: Noise, predictor: Predictor, inputs: Tensors, *, nan_agrees: bool = False
) -> tuple[dict[str, float], dict[str, float]]:
    """Give how many times as much each output moves for other inputs, at least once, and by how much at most.

    This is for inputs that are too few to measure noise by, at another size than the golden ones: see `Noise.times`. The
    factor is that of the element where it is greatest. Raises as `noise` does.
    """
    found, _ = _joined(predictor, [inputs], nan_agrees)
    most = {name: _most(one.greatest) for name, one in found.items()}
    return {name: _factor(measured.values.get(name, 0.0), one.greatest) for name, one in found.items()}, most


def _factor(measured: Array | float, own: Array) -> float:
    known = np.asarray(measured, np.float64)
    if not fit(known.shape, own.shape):
        known, own = known.max(keepdims=False), own.max()
    more = np.divide(own, known, out=np.zeros(np.broadcast_shapes(own.shape, known.shape)), where=known > 0)
    return max(1.0, float(more.max(initial=0.0)))


def require_numbers(outputs: Tensors) -> None:
    """Raise ExportError if an output holds NaN: nothing can ever agree with it."""
    for name, array in outputs.items():
        if count := nan_count(array):
            raise ExportError(
                f"the model's own output {name!r} is NaN in {count} of {array.size} values",
                hint="give an example from the data it was trained on, or train it again",
            )


def _joined(predictor: Predictor, batches: Sequence[Tensors], nan_agrees: bool) -> tuple[dict[str, Moved], str]:
    measured = [_measured(predictor, inputs, nan_agrees) for inputs in batches]
    count = sum(rows for _, _, rows in measured)
    first, (origin, why), _ = measured[0]
    joined = {name: reduce(Moved.with_rows, (found[name] for found, _, _ in measured)) for name in first}
    return joined, f"{origin}, {count} rows{why}"


def _measured(predictor: Predictor, inputs: Tensors, nan_agrees: bool) -> tuple[dict[str, Moved], tuple[str, str], int]:
    outputs = predictor.predict(inputs)
    if not nan_agrees:
        require_numbers(outputs)
    rows = rows_of(predictor.signature, inputs, outputs)
    apart, why = _apart_of(predictor, inputs, outputs, rows)
    found = {
        name: moved(array, apart[name], _axes(predictor.signature, name, rows, array))
        for name, array in outputs.items()
    }
    return found, why, rows.count


def _axes(signature: Signature, name: str, rows: Rows, array: Array) -> tuple[int, ...]:
    """Give the axes of an output along which places mean nothing: of the rows, and of dimensions that have no fixed size."""
    shape = next((spec.shape for spec in signature.outputs if spec.name == name), ())
    free = {axis for axis, size in enumerate(shape) if isinstance(size, str)} if len(shape) == array.ndim else set()
    return tuple(sorted(free | ({rows.outputs[name]} if name in rows.outputs else set())))


def _apart_of(
    predictor: Predictor, inputs: Tensors, outputs: Tensors, rows: Rows
) -> tuple[dict[str, Array], tuple[str, str]]:
    """Give how far each value lies from what else it could be, and how that was measured."""
    why = ""
    if isinstance(predictor, HasFloat64):
        try:
            exact = predictor.predict_float64(inputs)
            return _with_orders(predictor, inputs, outputs, rows, exact), (FLOAT64, "")
        except DeployError as error:
            why = f" (no float64: {error})"
    batches = _over_batches(predictor, inputs, outputs, rows)
    if not any(map(movable, inputs.values())):
        return _greater(batches, {name: _assumed(array) for name, array in outputs.items()}), (INTEGERS, why)
    return _greater(batches, _nudged_apart(predictor, inputs, outputs)), (BATCHES, why)


def _assumed(want: Array) -> Array:
    kind = dtype_name(want.dtype)
    size = magnitude(want) if is_float(kind) else np.zeros(want.shape)
    return _ASSUMED * eps(kind) * np.where(np.isfinite(size), size, 0.0)


def _with_orders(
    predictor: Predictor, inputs: Tensors, outputs: Tensors, rows: Rows, exact: Tensors
) -> dict[str, Array]:
    # Beside float64, which is sure, inputs are as if they were rounded: half as far away.
    halves = {name: array / 2 for name, array in _nudged_apart(predictor, inputs, outputs).items()}
    found = _greater(_all_apart(exact, outputs), halves)
    batches = _over_batches(predictor, inputs, outputs, rows)
    rounding = {name for name, apart in batches.items() if _most(apart) <= _ROUNDING * _most(found[name])}
    return _greater(found, {name: batches[name] for name in rounding})


def _nudged_apart(predictor: Predictor, inputs: Tensors, outputs: Tensors) -> dict[str, Array]:
    found = {name: np.zeros(array.shape) for name, array in outputs.items()}
    random = np.random.default_rng(0)
    narrow = all(array.dtype not in (np.float64, np.complex128) for array in outputs.values())
    for part, names in by_part(inputs, outputs).items():
        for _ in range(_NUDGES):
            beside = {name: nudged(inputs[name], random, narrow=narrow) for name in names}
            apart = _all_apart(predictor.predict({**inputs, **beside}), outputs)
            found = _greater(found, {name: part * array for name, array in apart.items()})
    return found


def _over_batches(predictor: Predictor, inputs: Tensors, outputs: Tensors, rows: Rows) -> dict[str, Array]:
    found = {name: np.zeros(array.shape) for name, array in outputs.items()}
    free = batch_symbol(predictor.signature.inputs) is not None
    most = min(rows.count, GOLDEN)
    for size in (s for s in _SIZES if s < rows.count and free):
        for start in range(0, most, size):
            _widen(found, predictor, inputs, outputs, rows, np.arange(start, min(start + size, most)))
    return found


def _widen(
    found: dict[str, Array], predictor: Predictor, inputs: Tensors, outputs: Tensors, rows: Rows, index: Array
) -> None:
    got = predictor.predict(take(inputs, rows.inputs, index))
    want = take({name: outputs[name] for name in rows.outputs}, rows.outputs, index)
    for name, array in want.items():
        place = (slice(None),) * rows.outputs[name] + (index,)
        found[name][place] = np.maximum(found[name][place], _apart(got[name], array))


def _all_apart(got: Tensors, want: Tensors) -> dict[str, Array]:
    return {name: _apart(got[name], array) for name, array in want.items()}


def _apart(got: Array, want: Array) -> Array:
    if not is_float(dtype_name(want.dtype)):
        return np.zeros(want.shape)
    wide = got.astype(np.complex128 if want.dtype.kind == "c" else np.float64)
    apart = deviation(wide, want)
    return np.where(np.isfinite(apart), apart, 0.0)


def _greater(left: Mapping[str, Array], right: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.maximum(array, right[name]) if name in right else array for name, array in left.items()}


def _most(apart: Array) -> float:
    return float(apart.max(initial=0.0))
