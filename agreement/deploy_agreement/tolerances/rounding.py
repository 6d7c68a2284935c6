"""How much each element of each output moves by float32 rounding alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from deploy_agreement.blocks import blocks
from deploy_agreement.figures import deviation, eps, magnitude, nan_count
from deploy_agreement.rows import GOLDEN, Rows, batch_symbol, rows_of, take
from deploy_agreement.scales import wide
from deploy_agreement.tolerances.nudges import by_part, movable, nudged
from deploy_agreement.tolerances.pooling import Moved, fit, moved, pooled
from deploy_agreement.tolerances.running import by_one
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
Apart = dict[str, Array]  # how far each value lies from what else it could be


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
    input that could be moved, some eps of each value are assumed. A running sum is added up one by one, too
    (`running.by_one`). `pooled` says what becomes of elements that few rows move.
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
    for name, each in by_one(predictor, inputs, outputs, rows):
        _raise(apart[name], each)
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


def _apart_of(predictor: Predictor, inputs: Tensors, outputs: Tensors, rows: Rows) -> tuple[Apart, tuple[str, str]]:
    """Give how far each value lies from what else it could be, and how that was measured."""
    why = ""
    if isinstance(predictor, HasFloat64):
        try:
            found = _all_apart(predictor.predict_float64(inputs), outputs)
            _add_orders(found, predictor, inputs, outputs, rows)
            return found, (FLOAT64, "")
        except DeployError as error:
            why = f" (no float64: {error})"
    found = _over_batches(predictor, inputs, outputs, rows)
    if not any(map(movable, inputs.values())):
        _add_assumed(found, outputs)
        return found, (INTEGERS, why)
    _add_nudged(found, predictor, inputs, outputs)
    return found, (BATCHES, why)


def _add_assumed(found: Apart, outputs: Tensors) -> None:
    for name, want in outputs.items():
        factor = _ASSUMED * eps(dtype_name(want.dtype))
        for block in blocks(want.shape) if factor else ():
            size = magnitude(want[block])
            _raise(found[name][block], factor * np.where(np.isfinite(size), size, 0.0))


def _add_orders(found: Apart, predictor: Predictor, inputs: Tensors, outputs: Tensors, rows: Rows) -> None:
    # Beside float64, which is sure, inputs are as if they were rounded: half as far away.
    _add_nudged(found, predictor, inputs, outputs, times=0.5)
    for name, apart in _over_batches(predictor, inputs, outputs, rows).items():
        if _most(apart) <= _ROUNDING * _most(found[name]):
            _raise(found[name], apart)


def _add_nudged(found: Apart, predictor: Predictor, inputs: Tensors, outputs: Tensors, *, times: float = 1.0) -> None:
    random = np.random.default_rng(0)
    narrow = all(array.dtype not in (np.float64, np.complex128) for array in outputs.values())
    for part, names in by_part(inputs, outputs).items():
        for _ in range(_NUDGES):
            beside = {name: nudged(inputs[name], random, narrow=narrow) for name in names}
            got = predictor.predict({**inputs, **beside})
            for name, want in outputs.items():
                _add(found[name], got[name], want, times * part)


def _over_batches(predictor: Predictor, inputs: Tensors, outputs: Tensors, rows: Rows) -> Apart:
    found = _nothing(outputs)
    free = batch_symbol(predictor.signature.inputs) is not None
    most = min(rows.count, GOLDEN)
    for size in (s for s in _SIZES if s < rows.count and free):
        for start in range(0, most, size):
            part = slice(start, min(start + size, most))
            got = predictor.predict(take(inputs, rows.inputs, np.arange(part.start, part.stop)))
            for name, axis in rows.outputs.items():
                place = (*(slice(None),) * axis, part)
                _add(found[name][place], got[name], outputs[name][place])
    return found


def _all_apart(got: Tensors, want: Tensors) -> Apart:
    found = _nothing(want)
    for name, array in want.items():
        _add(found[name], got[name], array)
    return found


def _nothing(outputs: Tensors) -> Apart:
    return {name: np.zeros(array.shape) for name, array in outputs.items()}


def _add(found: Array, got: Array, want: Array, times: float = 1.0) -> None:
    """Let no element be less than so many times how far `got` lies from what is wanted there."""
    for block in blocks(want.shape) if is_float(dtype_name(want.dtype)) else ():
        if (got[block] == want[block]).all():
            continue
        apart = deviation(wide(got[block]), want[block])
        apart[~np.isfinite(apart)] = 0.0
        _raise(found[block], times * apart)


def _raise(found: Array, apart: Array) -> None:
    np.maximum(found, apart, out=found)


def _most(apart: Array) -> float:
    return float(apart.max(initial=0.0))
