"""JSON text: read strictly and fast, written with the shortest floats that read back the same."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import orjson

from deploy_core.signature import Array
from deploy_dialects.malformed import Malformed, shown

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY


def read_json(body: bytes) -> Any:
    """Read one JSON document; the bare tokens NaN, Infinity and -Infinity are numbers, as servers of all dialects write them.

    Raises Malformed for anything else that is not JSON: duplicate keys, a BOM, invalid UTF-8, text after the
    document, numbers beyond float64, nesting beyond what the readers bear.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # orjson knows no NaN; the standard library does, so only bodies that hold such a token get a second reading.
        if b"NaN" in body or b"Infinity" in body:
            return _read_slowly(body)
        raise Malformed(f"not valid JSON: {error}") from None
    # orjson keeps the last of duplicate keys without a word. As many colons as members: there can be none.
    if body.count(b":") != _members(value):
        _read_slowly(body)
    return value


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON document that must be an object. Raises Malformed."""
    value = read_json(body)
    if not isinstance(value, dict):
        raise Malformed(f"the JSON document is {shown(value)}, not an object")
    return value


def write_json(value: Any) -> bytes:
    """Write JSON; numpy arrays must have gone through `nested`."""
    return orjson.dumps(value, option=_OPTIONS)


def nested(array: Array) -> Any:
    """Give a numeric or bool array in the form in which `write_json` writes it as nested lists of shortest numbers."""
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        array = array.astype(np.float32)  # bfloat16, without loss
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return orjson.Fragment(_non_finite(array))
    return np.ascontiguousarray(array) if array.ndim else array[()]


def _non_finite(array: Array) -> bytes:
    # Through orjson and back for float32's shortest digits; then NaN as the token, where orjson would write null.
    finite = np.isfinite(array)
    text = orjson.dumps(np.where(finite, array, 0).reshape(-1).astype(array.dtype), option=_OPTIONS)
    shortest = np.array(orjson.loads(text), dtype=np.float64).reshape(array.shape)
    return json.dumps(np.where(finite, shortest, array).tolist(), separators=(",", ":")).encode()


def _members(value: Any, depth: int = 16) -> int:
    """Count members of objects, deep enough for honest requests; too few only means a second reading."""
    if depth and type(value) is dict:
        return len(value) + sum(_members(v, depth - 1) for v in value.values())
    if depth and type(value) is list and value and type(value[0]) is dict:
        return sum(_members(v, depth - 1) for v in value)
    return 0


def _read_slowly(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), object_pairs_hook=_unique, parse_float=_finite)
    except RecursionError:
        raise Malformed("not valid JSON: nested too deep") from None
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"not valid JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        keys = [key for key, _ in pairs]
        raise Malformed(f"not valid JSON: duplicate key {shown(next(k for k in members if keys.count(k) > 1))}")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Malformed(f"not valid JSON: {shown(text)} is beyond float64")
    return number
