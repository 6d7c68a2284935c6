"""Tensors in gRPC messages: raw bytes beside them, or typed values within."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploy_core.signature import Array, TensorSpec
from deploy_dialects.json_tensors import flat_array
from deploy_dialects.malformed import Malformed, shown
from deploy_dialects.oip.datatypes import ONLY_BINARY, datatype_of
from deploy_dialects.raw import read_raw
from deploy_dialects.shapes import check_count, checked_shape

_FIELDS = {
    "bool": "bool_contents",
    "int64": "int64_contents",
    "uint64": "uint64_contents",
    "float32": "fp32_contents",
    "float64": "fp64_contents",
    "string": "bytes_contents",
    **dict.fromkeys(("int8", "int16", "int32"), "int_contents"),
    **dict.fromkeys(("uint8", "uint16", "uint32"), "uint_contents"),
}


def check_raws(tensors: Sequence[Any], raws: Sequence[bytes]) -> None:
    """Raise Malformed unless the tensors come all with raw bytes, one each, or all with contents."""
    if not raws:
        return
    if len(raws) != len(tensors):
        raise Malformed(f"there are {len(tensors)} tensors and {len(raws)} raw contents")
    # MLServer sets contents beside raw ones, too: a message without any values, which says nothing.
    both = [tensor.name for tensor in tensors if tensor.contents.ListFields()]
    if both:
        raise Malformed(f"tensor {shown(both[0])} has contents, although there are raw contents")


def read_tensor(spec: TensorSpec, tensor: Any, raw: bytes | None) -> Array:
    """Read a tensor that the spec describes. Raises Malformed."""
    datatype = datatype_of(spec.name, spec.dtype)
    if tensor.datatype != datatype:
        raise Malformed(f"tensor {shown(spec.name)} has datatype {shown(tensor.datatype)}, the model has {datatype}")
    shape = checked_shape(spec.name, tensor.shape)
    if raw is not None:
        return read_raw(spec.name, spec.dtype, shape, raw)
    if spec.dtype in ONLY_BINARY:
        raise Malformed(f"{spec} has no typed contents; use raw contents")
    _check_only(spec, tensor.contents)
    values = list(getattr(tensor.contents, _FIELDS[spec.dtype]))
    check_count(spec.name, shape, len(values))
    return flat_array(spec.name, spec.dtype, values).reshape(shape)


def _check_only(spec: TensorSpec, contents: Any) -> None:
    """Values in the field of another datatype must not be passed over."""
    wrong = [field.name for field, _ in contents.ListFields() if field.name != _FIELDS[spec.dtype]]
    if wrong:
        raise Malformed(f"tensor {shown(spec.name)} has {wrong[0]}, {spec.dtype} goes into {_FIELDS[spec.dtype]}")
