"""Representative data: rows of real inputs that show a quantiser which values occur."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import InputError
from deploy_core.signature import BATCH, Array, Signature, Tensors, TensorSpec

ENOUGH = 16  # rows; TFLite's own guide asks for about a hundred


def checked(signature: Signature, given: Tensors) -> dict[str, Array]:
    """Give the rows as the signature wants them. Raises InputError for other names, dtypes, shapes, for none and for NaN."""
    try:
        arrays = signature.conform(given)
    except InputError as error:
        raise InputError(f"the calibration data do not fit: {error}", hint=error.hint) from error
    require_values(arrays)
    return arrays


def require_values(given: Tensors) -> None:
    """Raise InputError for what can calibrate no model at all: nothing, arrays without rows, NaN and infinity."""
    if not given:
        raise InputError("the calibration data hold no array", hint="give a hundred rows of real inputs by name")
    for name, array in given.items():
        if not isinstance(array, np.ndarray):
            continue  # lists, which are arrays only when their dtype is known
        if array.size == 0:
            raise InputError(
                f"the calibration data for {name!r} have no rows: their shape is {list(array.shape)}",
                hint="give a hundred rows of real inputs",
            )
        if is_float(dtype_name(array.dtype)) and not np.isfinite(array.astype(np.complex128)).all():
            raise InputError(f"the calibration data for {name!r} hold NaN or infinity", hint="give finite values")


def joined(batches: Iterable[object]) -> dict[str, Array]:
    """Give batches `{name: array}`, whose first axis holds the rows, as one. Raises InputError for anything else."""
    given = list(batches)
    found = [batch for batch in given if isinstance(batch, Mapping)]
    if not given:
        raise InputError("the calibration data hold no batch", hint="give at least one {name: array}")
    if len(found) < len(given) or any(batch.keys() != found[0].keys() for batch in found):
        raise InputError("not every batch of the calibration data has the same inputs", hint="give {name: array} each")
    return {name: np.concatenate([np.asarray(batch[name]) for batch in found]) for name in found[0]}


def count(signature: Signature, arrays: Tensors) -> int:
    """Give the number of rows."""
    sizes = [arrays[spec.name].shape[_axis(spec)] for spec in signature.inputs if BATCH in spec.shape]
    return int(sizes[0]) if sizes else 1


def rows(signature: Signature, arrays: Tensors) -> Iterator[dict[str, Array]]:
    """Give one batch of one row after the other."""
    for row in range(count(signature, arrays)):
        yield {spec.name: _row(spec, arrays[spec.name], row) for spec in signature.inputs}


def remarks(signature: Signature, arrays: Tensors) -> tuple[str, ...]:
    """Say what makes the data a doubtful measure of the values that will occur."""
    found = []
    number = count(signature, arrays)
    if number < ENOUGH:
        found.append(f"calibrated by {number} rows only; about a hundred real ones show what occurs")
    alike = [spec.name for spec in signature.inputs if _is_alike(arrays[spec.name])]
    if alike:
        found.append(f"the calibration data for {', '.join(alike)} hold one value only")
    return tuple(found)


def _row(spec: TensorSpec, array: Array, row: int) -> Array:
    return array.take([row], axis=_axis(spec)) if BATCH in spec.shape else array


def _axis(spec: TensorSpec) -> int:
    return spec.shape.index(BATCH)


def _is_alike(array: Array) -> bool:
    return is_float(dtype_name(array.dtype)) and array.size > 1 and bool((array == array.flat[0]).all())
