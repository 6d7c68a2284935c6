"""Golden inputs: the user's example, topped up with seeded values that look like it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from deploy_agreement.rows import GOLDEN, batch_symbol, rows_of, take
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import InputError
from deploy_core.signature import Array, Signature, Tensors

BLOCK = 64  # rows that are drawn at a time


def golden_inputs(signature: Signature, example: Tensors, *, rows: int = GOLDEN, seed: int = 0) -> dict[str, Array]:
    """Give `rows` rows: the example's own first, then values in its range and distribution.

    Floats are drawn around the mean of each feature with its standard deviation (of the whole tensor if the example
    has one row) and kept in the example's range; integers evenly between the least and the greatest; booleans and
    strings from those seen. An input without the batch dimension stays as it is. Raises InputError for an example that
    does not fit the signature or holds NaN or infinity.
    """
    arrays = signature.conform(example)
    for name, array in arrays.items():
        _require_finite(name, array)
    return _with_rows(signature, arrays, rows, seed)


def _with_rows(signature: Signature, arrays: Tensors, rows: int, seed: int) -> dict[str, Array]:
    symbol = batch_symbol(signature.inputs)
    rng = np.random.default_rng(seed)
    golden = {}
    for spec in signature.inputs:
        array = arrays[spec.name]
        if symbol is None or symbol not in spec.shape:
            golden[spec.name] = array
            continue
        axis = spec.shape.index(symbol)
        topped = _topped_up(spec.name, np.moveaxis(array, axis, 0), rows, rng)
        golden[spec.name] = np.ascontiguousarray(np.moveaxis(topped, 0, axis))
    return golden


def batches_like(signature: Signature, inputs: Tensors, *, rows: int = GOLDEN, seed: int = 1) -> list[Tensors]:
    """Give these inputs, and as many more of the same shapes as make that many rows: for a batch that cannot grow."""
    have = rows_of(signature, inputs, {})
    times = -(-rows // max(1, have.count))
    rng = np.random.default_rng(seed)
    drawn = dict(inputs)
    for name, axis in have.inputs.items():
        topped = _topped_up(name, np.moveaxis(inputs[name], axis, 0), times * have.count, rng)
        drawn[name] = np.moveaxis(topped, 0, axis)
    return [take(drawn, have.inputs, start * have.count + np.arange(have.count)) for start in range(times)]


def drawn_inputs(signature: Signature, golden: Tensors, rows: int, *, seed: int = 0) -> dict[str, Array]:
    """Give so many further rows like the golden ones: the same ones for a seed, and a longer draw begins with a shorter one's.

    Raises InputError for golden inputs without rows.
    """
    axes = rows_of(signature, golden, {}).inputs
    drawn = dict(golden)
    for number, (name, axis) in enumerate(axes.items()):
        array = np.moveaxis(golden[name], axis, 0)
        few = [
            _topped_up(name, array, len(array) + BLOCK, np.random.default_rng((seed, number, block)))[len(array) :]
            for block in range(-(-rows // BLOCK))
        ]
        drawn[name] = np.ascontiguousarray(np.moveaxis(np.concatenate(few)[:rows], 0, axis))
    return drawn


def enough_rows(signature: Signature, inputs: Tensors, *, rows: int = GOLDEN) -> Tensors:
    """Give inputs that show how much outputs move by rounding: these, topped up as golden inputs are if they are few.

    They may hold NaN and infinities. Raises InputError for inputs that have no rows or do not fit the signature.
    """
    symbol = batch_symbol(signature.inputs)
    sizes = [inputs[spec.name].shape[spec.shape.index(symbol)] for spec in signature.inputs if symbol in spec.shape]
    few = min(sizes, default=rows) < rows
    return _with_rows(signature, signature.conform(inputs), rows, 0) if few else inputs


def _topped_up(name: str, array: Array, rows: int, rng: np.random.Generator) -> Array:
    if len(array) == 0:
        raise InputError(f"the example for input {name!r} has no rows", hint="give at least one")
    missing = rows - len(array)
    if missing <= 0:
        return array[:rows]
    drawn = _draw(_of_numbers(array), (missing, *array.shape[1:]), rng)
    return np.concatenate([array, drawn.astype(array.dtype)])


def _of_numbers(array: Array) -> Array:
    """Give the rows without NaN and infinities; all if there are none, as of a mask that adds minus infinity."""
    if not is_float(dtype_name(array.dtype)):
        return array
    numbers = _are_finite(array).reshape(len(array), -1).all(axis=1)
    return array[numbers] if numbers.any() else array


def _draw(array: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    kind = dtype_name(array.dtype)
    if array.size == 0:
        return np.empty(shape, array.dtype)
    if kind in ("string", "bool") or (is_float(kind) and not _are_finite(array).all()):
        return _resampled(array, shape, rng)
    if kind.startswith("complex"):
        wide = array.astype(np.complex128)
        return np.asarray(_floats(wide.real, shape, rng) + 1j * _floats(wide.imag, shape, rng))
    if is_float(kind):
        return _floats(array.astype(np.float64), shape, rng)
    axis = 0 if len(array) > 1 else None
    return rng.integers(array.min(axis=axis), array.max(axis=axis), size=shape, dtype=array.dtype, endpoint=True)


def _floats(array: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    low, high = array.min(), array.max()
    axis = 0 if len(array) > 1 else None
    if low == high or (axis == 0 and not array.std(axis=0).any()):
        axis = None
    if low == high:  # zeros or ones, as examples often are: rows that differ find more
        return np.asarray(low + rng.uniform(-0.5, 0.5, shape) * max(abs(low), 1.0))
    drawn = rng.normal(array.mean(axis=axis), array.std(axis=axis), shape)
    # A model that takes a logarithm or looks up a table admits no value outside of the range seen.
    return np.clip(drawn, low, high)


def _resampled(array: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if len(array) == 1:
        return rng.choice(array.ravel(), shape)
    return np.take_along_axis(array, rng.integers(0, len(array), shape), axis=0)


def _require_finite(name: str, array: Array) -> None:
    if is_float(dtype_name(array.dtype)) and not _are_finite(array).all():
        raise InputError(f"the example for input {name!r} holds NaN or infinity", hint="give finite values")


def _are_finite(array: Array) -> Array:
    return np.asarray(np.isfinite(array.astype(np.complex128)))


def same_inputs(left: Mapping[str, Array], right: Mapping[str, Array]) -> bool:
    """Tell whether two sets of inputs are the same, bit for bit, so that their outputs may be compared."""
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype and np.array_equal(left[name], right[name]) for name in left
    )
