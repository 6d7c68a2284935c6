"""The datatypes of the Open Inference Protocol and our dtypes."""

from __future__ import annotations

from deploy_dialects.malformed import Malformed, shown

DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "bfloat16": "BF16",  # Triton's addition
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}
_DTYPES = {datatype: dtype for dtype, datatype in DATATYPES.items()}

# 16-bit floats have no agreed form in JSON, and no field among the contents of a gRPC message.
ONLY_BINARY = ("float16", "bfloat16")


def datatype_of(name: str, dtype: str) -> str:
    """Give the datatype of a tensor of that dtype. Raises Malformed."""
    if dtype not in DATATYPES:
        raise Malformed(f"tensor {shown(name)} is {dtype}, which the Open Inference Protocol cannot carry")
    return DATATYPES[dtype]


def dtype_of(datatype: object) -> str:
    """Give our name for `FP32` and its like. Raises Malformed."""
    if not isinstance(datatype, str) or datatype not in _DTYPES:
        raise Malformed(f"unknown datatype {shown(datatype)}")
    return _DTYPES[datatype]
