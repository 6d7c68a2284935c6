"""TensorProto and numpy arrays, by the rules of TensorFlow."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from deploy_core.dtypes import dtype_name, numpy_dtype
from deploy_core.signature import Array
from deploy_dialects.json_tensors import flat_array
from deploy_dialects.malformed import Malformed, shown
from deploy_dialects.raw import read_raw, write_raw
from deploy_dialects.shapes import checked_shape
from deploy_dialects.tfserving.dtypes import NUMBERS, dtype_of_number

_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
    "bool": "bool_val",
    "string": "string_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "float16": "half_val",
    "bfloat16": "half_val",
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16"), "int_val"),
}
# The fields of these hold nothing that could not fit.
_PARTS = {"float32": np.float32, "float64": np.float64, "complex64": np.float32, "complex128": np.float64}
# A few bytes may stand for any number of equal values; no honest request fills more than this.
_MAX_FILL = 2**24


def write_tensor(proto: Any, array: Array, *, typed: bool) -> None:
    """Fill an empty TensorProto; `typed` puts the values into `float_val` and its like, as TensorFlow Serving answers."""
    dtype = dtype_name(array.dtype)
    proto.dtype = NUMBERS[dtype]
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if dtype == "string":
        proto.string_val.extend(array.ravel().tolist())
    elif typed:
        _write_values(proto, dtype, np.ascontiguousarray(array).reshape(-1))
    else:
        proto.tensor_content = write_raw(array)


def read_tensor(name: str, proto: Any) -> Array:
    """Read a TensorProto of any supported dtype; the content wins over typed values. Raises Malformed."""
    dtype = dtype_of_number(proto.dtype)
    if proto.tensor_shape.unknown_rank:
        raise Malformed(f"tensor {shown(name)} has an unknown rank")
    shape = checked_shape(name, [dim.size for dim in proto.tensor_shape.dim])
    if not proto.tensor_content:
        return _read_values(name, dtype, shape, getattr(proto, _FIELDS[dtype]))
    if dtype == "string":
        raise Malformed(f"tensor {shown(name)} of strings has tensor_content; strings go into string_val")
    return read_raw(name, dtype, shape, proto.tensor_content)


def _write_values(proto: Any, dtype: str, flat: Array) -> None:
    field = proto.DESCRIPTOR.fields_by_name[_FIELDS[dtype]]
    if flat.dtype.kind in "fcb" and dtype not in ("float16", "bfloat16"):
        # The packed values of these are their little-endian bytes: one copy, where extend() would box every number.
        raw = write_raw(flat)
        proto.MergeFromString(bytes([field.number << 3 | 2]) + _varint(len(raw)) + raw)
    else:
        values = flat.view(np.uint16) if _FIELDS[dtype] == "half_val" else flat
        getattr(proto, field.name).extend(values.tolist())


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def _read_values(name: str, dtype: str, shape: tuple[int, ...], values: Any) -> Array:
    width = 2 if dtype.startswith("complex") else 1
    given, count = len(values) // width, prod(shape)
    if given > count or len(values) % width:
        raise Malformed(f"tensor {shown(name)} of shape {list(shape)} needs {count} values, got {given}")
    if given < count and count > _MAX_FILL:
        raise Malformed(f"tensor {shown(name)} of shape {list(shape)} needs {count} values, got only {given}")
    flat = _flat(name, dtype, values)
    if given == count:
        return flat.reshape(shape)
    # TensorFlow repeats the last value; without any, all are zero.
    full = np.full(count, flat[-1] if given else _zero(dtype), dtype=flat.dtype)
    full[:given] = flat
    return full.reshape(shape)


def _flat(name: str, dtype: str, values: Any) -> Array:
    if dtype in ("float16", "bfloat16"):
        return flat_array(name, "uint16", list(values)).view(numpy_dtype(dtype))
    if dtype in _PARTS:
        return np.fromiter(values, _PARTS[dtype], len(values)).view(numpy_dtype(dtype))
    return flat_array(name, dtype, list(values))


def _zero(dtype: str) -> Any:
    return b"" if dtype == "string" else 0
