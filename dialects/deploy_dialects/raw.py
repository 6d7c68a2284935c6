"""Tensors as raw bytes: little-endian, row-major, bool one byte; strings, as OIP has them, each with its length as uint32 before it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from deploy_core.dtypes import numpy_dtype
from deploy_core.signature import Array
from deploy_core.strings import pack_strings, string_array, unpack_strings
from deploy_dialects.malformed import Malformed, shown
from deploy_dialects.shapes import check_count


def write_raw(array: Array) -> bytes:
    """Give the bytes of an array of any dtype."""
    if array.dtype.kind == "O":
        return pack_strings(array.ravel())
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def read_raw(name: str, dtype: str, shape: Sequence[int], data: bytes | memoryview) -> Array:
    """Read the bytes of a tensor, without copying them if they lie aligned. Raises Malformed unless they fill the shape."""
    if dtype == "string":
        return _read_strings(name, shape, data)
    want = numpy_dtype(dtype).newbyteorder("<")
    if len(data) != prod(shape) * want.itemsize:
        raise Malformed(
            f"tensor {shown(name)} of {dtype} {list(shape)} needs {prod(shape) * want.itemsize} bytes, got {len(data)}"
        )
    if dtype == "bool" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise Malformed(f"tensor {shown(name)} holds a byte that is neither 0 nor 1, which is no bool")
    array = np.frombuffer(data, want).astype(numpy_dtype(dtype), copy=False)
    # Behind a JSON head tensors begin anywhere, and runtimes read through plain pointers.
    return (array if array.flags.aligned else array.copy()).reshape(shape)


def _read_strings(name: str, shape: Sequence[int], data: bytes | memoryview) -> Array:
    try:
        elements = unpack_strings(data)
    except ValueError as error:
        raise Malformed(f"tensor {shown(name)}: {error}") from None
    check_count(name, shape, len(elements))
    return string_array(elements, shape)
