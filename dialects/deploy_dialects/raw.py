"""Tensors as raw bytes: little-endian, row-major, bool one byte; strings, as OIP has them, each with its length as uint32 before it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import prod

import numpy as np

from deploy_core.dtypes import numpy_dtype
from deploy_core.signature import Array
from deploy_dialects.malformed import Malformed, shown

_LENGTH = struct.Struct("<I")


def write_raw(array: Array) -> bytes:
    """Give the bytes of an array of any dtype."""
    if array.dtype.kind == "O":
        return b"".join(_LENGTH.pack(len(element)) + element for element in array.ravel())
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def read_raw(name: str, dtype: str, shape: Sequence[int], data: bytes | memoryview) -> Array:
    """Read the bytes of a tensor, without copying them if they lie aligned. Raises Malformed unless they fill the shape."""
    if dtype == "string":
        return _read_bytes(name, shape, data)
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


def _read_bytes(name: str, shape: Sequence[int], data: bytes | memoryview) -> Array:
    elements: list[bytes] = []
    offset = 0
    while offset < len(data):
        if offset + _LENGTH.size > len(data):
            raise Malformed(f"tensor {shown(name)} ends within the length of element {len(elements)}")
        (length,) = _LENGTH.unpack_from(data, offset)
        offset += _LENGTH.size
        if length > len(data) - offset:
            raise Malformed(
                f"element {len(elements)} of tensor {shown(name)} says {length} bytes, {len(data) - offset} are left"
            )
        elements.append(bytes(data[offset : offset + length]))
        offset += length
    if len(elements) != prod(shape):
        raise Malformed(
            f"tensor {shown(name)} of shape {list(shape)} needs {prod(shape)} elements, got {len(elements)}"
        )
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)
