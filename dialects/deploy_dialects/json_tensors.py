"""Tensors as nested JSON lists, in both directions; nothing is cast with loss, nothing wraps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from deploy_core.dtypes import numpy_dtype
from deploy_core.signature import Array, TensorSpec
from deploy_dialects.json_text import nested
from deploy_dialects.malformed import Malformed, shown
from deploy_dialects.shapes import MAX_RANK, check_count, empty_shape

_KINDS: dict[str, set[type]] = {"b": {bool}, "i": {int}, "u": {int}, "f": {int, float}, "V": {int, float}}


def flatten(name: str, value: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Give the shape of nested lists and their values in row-major order. Raises Malformed for ragged lists."""
    shape: list[int] = []
    level = [value]
    while level and isinstance(level[0], list):
        if set(map(type, level)) != {list} or len(set(map(len, level))) != 1:
            raise Malformed(f"the lists of tensor {shown(name)} are ragged at depth {len(shape)}")
        if len(shape) == MAX_RANK:
            raise Malformed(f"the lists of tensor {shown(name)} are nested deeper than {MAX_RANK}")
        shape.append(len(level[0]))
        level = list(chain.from_iterable(level))
    if list in set(map(type, level)):
        raise Malformed(f"the lists of tensor {shown(name)} are ragged at depth {len(shape)}")
    return tuple(shape), level if 0 not in shape else []


def array_of(
    spec: TensorSpec, value: Any, *, leaf: Callable[[Any], Any] | None = None, overflow_to_inf: bool = False
) -> Array:
    """Read nested lists as the dtype of the spec; the shape is that of the lists. Raises Malformed.

    `leaf` turns what stands in the lists into a value; `overflow_to_inf` reads 1e39 as float32 infinity.
    """
    shape, flat = flatten(spec.name, value)
    shape = empty_shape(shape, spec)
    check_count(spec.name, shape, len(flat))
    values = flat if leaf is None else [leaf(value) for value in flat]
    return flat_array(spec.name, spec.dtype, values, overflow_to_inf=overflow_to_inf).reshape(shape)


def flat_array(name: str, dtype: str, flat: list[Any], *, overflow_to_inf: bool = False) -> Array:
    """Read values as a one-dimensional array of a dtype; strings and bytes become bytes. Raises Malformed."""
    if dtype == "string":
        return _strings(name, flat)
    want = numpy_dtype(dtype)
    if want.kind == "c":
        raise Malformed(f"tensor {shown(name)} is {dtype}, which JSON cannot carry")
    wrong = set(map(type, flat)) - _KINDS[want.kind]
    if wrong:
        first = next(v for v in flat if type(v) in wrong)
        raise Malformed(f"tensor {shown(name)} holds {shown(first)}, which is no {dtype}")
    if want.kind in "iu":
        return _integers(name, want, flat)
    return np.array(flat, want) if want.kind == "b" else _floats(name, want, flat, overflow_to_inf)


def lists_of(array: Array, text: Callable[[bytes], Any]) -> Any:
    """Give an array as `write_json` wants it; the elements of a string tensor go through `text`."""
    if array.dtype.kind != "O":
        return nested(array)
    if not array.ndim:
        return text(array.item())
    elements = np.empty(array.size, dtype=object)
    elements[:] = [text(element) for element in array.ravel()]
    return elements.reshape(array.shape).tolist()


def _integers(name: str, want: np.dtype[Any], flat: list[int]) -> Array:
    bounds = np.iinfo(want)
    for value in (min(flat), max(flat)) if flat else ():
        if not bounds.min <= value <= bounds.max:
            raise Malformed(f"tensor {shown(name)} holds {shown(value)}, which is beyond {want}")
    return np.array(flat, want)


def _floats(name: str, want: np.dtype[Any], flat: list[float], overflow_to_inf: bool) -> Array:
    try:
        wide = np.array(flat, np.float64)
    except OverflowError:
        raise Malformed(f"tensor {shown(name)} holds an integer that is beyond {want}") from None
    with np.errstate(over="ignore", under="ignore"):
        array: Array = wide.astype(want)
    if not overflow_to_inf:
        lost = np.isinf(array.astype(np.float64)) & np.isfinite(wide)
        if lost.any():
            raise Malformed(f"tensor {shown(name)} holds {float(wide[lost][0])!r}, which is beyond {want}")
    return array


def _strings(name: str, flat: list[Any]) -> Array:
    array = np.empty(len(flat), dtype=object)
    for index, value in enumerate(flat):
        if isinstance(value, bytes):
            array[index] = value
        elif isinstance(value, str):
            array[index] = _encoded(name, value)
        else:
            raise Malformed(f"tensor {shown(name)} holds {shown(value)}, which is no string")
    return array


def _encoded(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Malformed(f"tensor {shown(name)} holds {shown(text)}, which has half a surrogate pair") from None
