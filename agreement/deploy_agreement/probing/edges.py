"""Inputs at the edges: the values of each dtype at which runtimes, wires and clients go wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ml_dtypes
import numpy as np

from deploy_agreement.probing.probes import Probe, answered, are_flags, refused
from deploy_agreement.rows import rows_of, take
from deploy_agreement.tolerances.rounding import Noise
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import DeployError, first_line
from deploy_core.predictor import Predictor
from deploy_core.signature import Array, Signature, Tensors

_WIDE = 2**60 + 85  # and so are its neighbours: float64 holds every 256th number there
_BELOW, _ABOVE, _UNHELD = _BEYOND = (
    "an integer below the first",
    "an integer above the last",
    "integers that no float64 holds",
)
_AT_LEAST = 5  # as many as count of inputs that are all floats
_FAR = 4  # times as far as golden inputs: a limit just beyond them shows there
_HOLDS_WIDE = (np.int64, np.uint64)


@dataclass(frozen=True)
class Edge:
    """Golden inputs with the values that `label` names.

    `own` says that runtimes are known to have a way of their own there. A `wide` value is one that not every file has a
    dtype for, which may refuse it, and of which a model could make a size: ask for it only where the reference does.
    """

    label: str
    inputs: Tensors
    own: bool = False
    wide: bool = False


def edges(signature: Signature, golden: Tensors, rows: int = 1) -> Iterator[Edge]:
    """Give inputs of so many rows for every edge that an input of this signature has.

    Floats are zeros, ones, negative zeros, denormals, four times the golden values, the largest and the lowest number in
    all places; NaN and infinities in one place of golden values. Integers are the first and the last of the golden range and one beyond on either side:
    no more, since an integer may be a size, too; but for one that no float64 holds. What is always 0 or 1 in golden
    inputs, as a mask is, is a flag, and only that. What an edge does not concern is golden.
    """
    axes = rows_of(signature, golden, {})
    few = take(golden, axes.inputs, np.arange(rows) % max(1, axes.count))
    for label, change, own in _EDGES:
        made = {name: change(array, golden[name]) for name, array in few.items()}
        if any(array is not None for array in made.values()):
            filled = {name: few[name] if array is None else array for name, array in made.items()}
            yield Edge(label, filled, own)
    wide = {name: np.full_like(array, _WIDE) for name, array in few.items() if _may_be_wide(golden[name])}
    if wide:
        yield Edge(_UNHELD, {**few, **wide}, wide=True)


def edge_probes(
    reference: Predictor,
    golden: Tensors,
    measured: Noise,
    rows: int = 1,
    *,
    beyond: bool = True,
    seconds: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Probe]:
    """Have the reference answer, or refuse, what lies at the edges; without `beyond` no integers out of the golden range.

    Where it answers NaN or infinity, as by dividing zeros, runtimes may have a way of their own, too. It is asked for so many
    seconds, but for five edges at any rate, and first for those that may count. The others are given without answers: nobody
    is to be asked for what the reference might refuse.
    """
    scales = {name: _size(array) for name, array in golden.items()}
    end = clock() + seconds
    found = (edge for edge in edges(reference.signature, golden, rows) if beyond or edge.label not in _BEYOND)
    for number, edge in enumerate(sorted(found, key=lambda edge: edge.own)):
        if number < _AT_LEAST or clock() < end:
            yield from _probed(reference, edge, measured, scales)
        else:
            yield Probe("edges", edge.inputs, {}, measured, counts=False, label=edge.label)


def _probed(reference: Predictor, edge: Edge, measured: Noise, scales: Mapping[str, float]) -> Iterator[Probe]:
    try:
        found = answered(
            reference, "edges", edge.inputs, measured, label=edge.label, refusable=edge.wide, scales=scales
        )
        yield replace(found, counts=not edge.own and all(_is_finite(array) for array in found.outputs.values()))
    except DeployError as error:
        if not edge.wide:
            yield refused("edges", edge.inputs, first_line(error), label=edge.label)


Change = Callable[[Array, Array], Array | None]


def _everywhere(value: Callable[[np.dtype[Any]], float]) -> Change:
    def change(array: Array, golden: Array) -> Array | None:
        return np.full_like(array, value(array.dtype)) if _is_real(array) and not are_flags(golden) else None

    return change


def _times(factor: float) -> Change:
    def change(array: Array, golden: Array) -> Array | None:
        return (array * factor).astype(array.dtype) if _is_real(array) and not are_flags(golden) else None

    return change


def _somewhere(value: float) -> Change:
    def change(array: Array, golden: Array) -> Array | None:
        if not _is_real(array) or not array.size:
            return None
        made = array.copy()
        made.flat[array.size // 2] = value
        return made

    return change


def _beside(step: int, end: Callable[[Array], int]) -> Change:
    """The end of the golden range, or `step` beyond it."""

    def change(array: Array, golden: Array) -> Array | None:
        if golden.dtype.kind not in "iu" or not golden.size or are_flags(golden):
            return None
        bounds, value = np.iinfo(golden.dtype), end(golden) + step
        return np.full_like(array, value) if bounds.min <= value <= bounds.max else None

    return change


def _flags(value: bool) -> Change:
    def change(array: Array, golden: Array) -> Array | None:
        return np.full_like(array, value) if are_flags(golden) else None

    return change


def _texts(value: bytes) -> Change:
    def change(array: Array, golden: Array) -> Array | None:
        if dtype_name(array.dtype) != "string":
            return None
        made = np.empty(array.shape, object)
        made.fill(value)
        return made

    return change


def _may_be_wide(golden: Array) -> bool:
    return golden.dtype in _HOLDS_WIDE and not are_flags(golden)


def _is_finite(array: Array) -> bool:
    return not is_float(dtype_name(array.dtype)) or bool(np.isfinite(array.astype(np.complex128)).all())


def _size(golden: Array) -> float:
    """Give how large golden values are; 0 for what nobody moves a little, as a flag."""
    if not _is_real(golden) or are_flags(golden):
        return 0.0
    size = np.abs(golden.astype(np.float64))
    return float(size[np.isfinite(size)].max(initial=0.0))


def _is_real(array: Array) -> bool:
    return is_float(dtype_name(array.dtype)) and array.dtype.kind != "c"


def _info(dtype: np.dtype[Any]) -> Any:
    return np.finfo(dtype) if dtype.kind == "f" else ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]


# Label, what it does to an input, and whether honest runtimes are known to differ there: clamps of NaN, flushed denormals,
# sums that overflow in one order and not in another, ids that are clamped, wrapped or refused.
_EDGES: tuple[tuple[str, Change, bool], ...] = (
    ("zeros", _everywhere(lambda dtype: 0.0), False),
    ("ones", _everywhere(lambda dtype: 1.0), False),
    ("negative zeros", _everywhere(lambda dtype: -0.0), False),
    ("denormals", _everywhere(lambda dtype: float(_info(dtype).smallest_subnormal)), False),
    (f"{_FAR} times the golden values", _times(_FAR), False),
    ("the largest number", _everywhere(lambda dtype: float(_info(dtype).max)), True),
    ("the lowest number", _everywhere(lambda dtype: float(_info(dtype).min)), True),
    ("NaN in one place", _somewhere(float("nan")), True),
    ("infinity in one place", _somewhere(float("inf")), True),
    ("minus infinity in one place", _somewhere(float("-inf")), True),
    ("the first integer", _beside(0, lambda golden: int(golden.min())), False),
    ("the last integer", _beside(0, lambda golden: int(golden.max())), False),
    (_BELOW, _beside(-1, lambda golden: int(golden.min())), True),
    (_ABOVE, _beside(1, lambda golden: int(golden.max())), True),
    ("only true", _flags(True), False),
    ("only false", _flags(False), True),
    ("empty text", _texts(b""), False),
    ("text beyond ASCII, with a NUL", _texts("é\x00漢".encode()), False),
)
