"""TensorFlow's names and numbers of dtypes (tensorflow/core/framework/types.proto)."""

from __future__ import annotations

from deploy_dialects.malformed import Malformed, shown

NAMES = {
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "int32": "DT_INT32",
    "uint8": "DT_UINT8",
    "int16": "DT_INT16",
    "int8": "DT_INT8",
    "string": "DT_STRING",
    "complex64": "DT_COMPLEX64",
    "int64": "DT_INT64",
    "bool": "DT_BOOL",
    "bfloat16": "DT_BFLOAT16",
    "uint16": "DT_UINT16",
    "complex128": "DT_COMPLEX128",
    "float16": "DT_HALF",
    "uint32": "DT_UINT32",
    "uint64": "DT_UINT64",
}
NUMBERS = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "string": 7,
    "complex64": 8,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "uint16": 17,
    "complex128": 18,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
}
_BY_NAME = {name: dtype for dtype, name in NAMES.items()}
_BY_NUMBER = {number: dtype for dtype, number in NUMBERS.items()}

# What TensorFlow Serving's JSON does not carry in either direction; it answers UNIMPLEMENTED.
NOT_IN_JSON = ("float16", "bfloat16", "complex64", "complex128")


def dtype_of_name(name: object) -> str:
    """Give our name for `DT_FLOAT` and its like. Raises Malformed."""
    if not isinstance(name, str) or name not in _BY_NAME:
        raise Malformed(f"dtype {shown(name)} is not supported")
    return _BY_NAME[name]


def dtype_of_number(number: int) -> str:
    """Give our name for a number of the DataType enum. Raises Malformed, as for DT_VARIANT and DT_RESOURCE."""
    if number not in _BY_NUMBER:
        raise Malformed(f"dtype number {number} is not supported")
    return _BY_NUMBER[number]
