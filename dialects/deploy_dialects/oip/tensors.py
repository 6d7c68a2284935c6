"""Tensors in the JSON of a request or an answer, their values in the JSON or behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy_core.signature import Array, TensorSpec
from deploy_dialects.answers import member
from deploy_dialects.json_tensors import flat_array, flatten, lists_of
from deploy_dialects.malformed import Malformed, shown
from deploy_dialects.oip.bodies import Tail
from deploy_dialects.oip.datatypes import ONLY_BINARY, datatype_of
from deploy_dialects.raw import read_raw, write_raw
from deploy_dialects.shapes import check_count, checked_shape


def read_tensor(data: Mapping[str, Any], spec: TensorSpec, tail: Tail) -> Array:
    """Read a tensor that the spec describes. Raises Malformed."""
    datatype = member(data, "datatype", str)
    if datatype != datatype_of(spec.name, spec.dtype):
        raise Malformed(
            f"tensor {shown(spec.name)} has datatype {shown(datatype)}, the model has {datatype_of(spec.name, spec.dtype)}"
        )
    shape = checked_shape(spec.name, member(data, "shape", list))
    parameters = data.get("parameters") or {}
    size = member({"parameters": parameters}, "parameters", dict).get("binary_data_size")
    if size is None:
        return _from_json(spec, shape, data)
    if "data" in data:
        raise Malformed(f"tensor {shown(spec.name)} has both data and binary_data_size")
    return read_raw(spec.name, spec.dtype, shape, tail.take(spec.name, size))


def write_tensor(spec: TensorSpec, array: Array, *, binary: bool) -> tuple[dict[str, Any], bytes]:
    """Give a tensor's JSON and the raw bytes that follow the JSON. Raises Malformed for what needs the binary form."""
    head: dict[str, Any] = {
        "name": spec.name,
        "shape": list(array.shape),
        "datatype": datatype_of(spec.name, spec.dtype),
    }
    if binary:
        raw = write_raw(array)
        return {**head, "parameters": {"binary_data_size": len(raw)}}, raw
    check_json_carries(spec)
    return {**head, "data": lists_of(array.reshape(-1), lambda raw: _text(spec.name, raw))}, b""


def check_json_carries(spec: TensorSpec) -> None:
    """Raise Malformed for a dtype that has no JSON form."""
    if spec.dtype in ONLY_BINARY:
        raise Malformed(f"{spec} has no JSON form; use binary data (binary_data_size, binary_data)")


def _from_json(spec: TensorSpec, shape: tuple[int, ...], data: Mapping[str, Any]) -> Array:
    check_json_carries(spec)
    lists, flat = flatten(spec.name, member(data, "data", list))
    if len(lists) > 1 and lists != shape:
        raise Malformed(f"tensor {shown(spec.name)} has nested data of shape {list(lists)}, but shape {list(shape)}")
    check_count(spec.name, shape, len(flat))
    return flat_array(spec.name, spec.dtype, flat).reshape(shape)


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Malformed(f"tensor {shown(name)} holds bytes that are not UTF-8; use binary data") from None
