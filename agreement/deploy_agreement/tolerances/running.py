"""Outputs that are running sums: whoever adds one by one in float32 rounds as often as there are terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from deploy_agreement.rows import Rows
from deploy_agreement.tolerances.nudges import movable
from deploy_core.errors import DeployError
from deploy_core.predictor import Predictor
from deploy_core.signature import Array, Tensors

_LONG = 32  # terms: of fewer, other orders of a sum show as much
_SAME = 1e-3  # a term moves all later sums by as much, but for rounding


def by_one(predictor: Predictor, inputs: Tensors, outputs: Tensors, rows: Rows) -> Iterator[tuple[str, Array]]:
    """Give how far each element of an output that is a running sum moves if it is summed one by one in float32.

    A library may add in float64, as torch does, or in blocks, and nothing that it answers shows how much the usual sum
    rounds. One more question is asked for each axis of an input that is as long as one of an output of the kind; where a
    model refuses it, since it lies beyond what it takes, none is known.
    """
    sums = {name: array for name, array in outputs.items() if array.dtype == np.float32}
    for name, axis in _lengths(inputs, rows.inputs):
        size = inputs[name].shape[axis]
        likely = [(key, along) for key, along in _lengths(sums, rows.outputs) if sums[key].shape[along] == size]
        moved = _answer(predictor, {**inputs, name: _with_more(inputs[name], axis, size // 4)}) if likely else {}
        for key, along in likely if moved else ():
            if _is_running(sums[key], moved[key], along, size // 4):
                yield key, _summed(sums[key], along)


def _answer(predictor: Predictor, inputs: Tensors) -> Tensors:
    try:
        return predictor.predict(inputs)
    except DeployError:
        return {}


def _lengths(tensors: Tensors, axes: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    for name, array in tensors.items():
        for axis, size in enumerate(array.shape) if movable(array) else ():
            if size >= _LONG and axis != axes.get(name):
                yield name, axis


def _with_more(array: Array, axis: int, place: int) -> Array:
    """Add to one place of each row about as much as values differ."""
    values = array[np.isfinite(array)].astype(np.float64)
    more = array.copy()
    more[_at(axis, slice(place, place + 1))] += np.asarray(values.std() or 1.0 if values.size else 1.0, array.dtype)
    return more


def _is_running(want: Array, moved: Array, axis: int, place: int) -> bool:
    """Whether a term moves nothing before it, and all sums from it on by as much."""
    if moved.shape != want.shape or not (np.isfinite(want).all() and np.isfinite(moved).all()):
        return False
    if not np.array_equal(want[_at(axis, slice(place))], moved[_at(axis, slice(place))]):
        return False
    apart = (moved.astype(np.float64) - want)[_at(axis, slice(place, None))]
    first = apart[_at(axis, slice(1))]
    return bool((first != 0).any() and (np.abs(apart - first) <= _SAME * np.abs(first).max()).all())


def _summed(want: Array, axis: int) -> Array:
    """Every sum on the way is off by up to half a unit in its last place, and so are all after it."""
    rounded = np.random.default_rng(0).uniform(-0.5, 0.5, want.shape) * np.spacing(np.abs(want))
    return np.abs(np.cumsum(rounded, axis=axis))


def _at(axis: int, part: slice) -> tuple[slice, ...]:
    return (*(slice(None),) * axis, part)
