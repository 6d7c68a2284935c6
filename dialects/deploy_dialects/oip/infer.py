"""What a REST inference request asks for: its inputs, and which outputs in which form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from deploy_core.dtypes import numpy_dtype
from deploy_core.signature import Array, Signature, TensorSpec
from deploy_dialects.answers import member, spec_named
from deploy_dialects.malformed import Malformed, shown
from deploy_dialects.oip.bodies import Tail
from deploy_dialects.oip.tensors import check_json_carries, read_tensor
from deploy_dialects.raw import read_raw


@dataclass(frozen=True)
class Wanted:
    """The id to echo, and the outputs to answer with, each as JSON or binary."""

    id: str | None
    outputs: tuple[tuple[TensorSpec, bool], ...]


def read_inputs(head: Mapping[str, Any], signature: Signature, tail: Tail) -> dict[str, Array]:
    """Read the inputs by name. Raises Malformed."""
    tensors = member(head, "inputs", list)
    if len(tensors) > len(signature.inputs):
        raise Malformed(f"{len(tensors)} inputs were sent, the model has {len(signature.inputs)}")
    inputs: dict[str, Array] = {}
    for tensor in tensors:
        spec = spec_named(signature.inputs, member(tensor, "name", str))
        if spec.name in inputs:
            raise Malformed(f"input {spec.name!r} comes twice")
        inputs[spec.name] = read_tensor(tensor, spec, tail)
    tail.check_used()
    return inputs


def brings_strings(head: Mapping[str, Any]) -> bool:
    """Tell whether the inputs are strings."""
    inputs = head.get("inputs")
    return isinstance(inputs, list) and any(isinstance(t, dict) and t.get("datatype") == "BYTES" for t in inputs)


def wanted_outputs(head: Mapping[str, Any], signature: Signature) -> Wanted:
    """Read which outputs are wanted; without a list, all of them. Raises Malformed."""
    id_ = head.get("id")
    if not isinstance(id_, str | None):
        raise Malformed(f"'id' must be a string, not {shown(id_)}")
    default = _flag(_parameters(head), "binary_data_output", False)
    requested = head.get("outputs") or []
    if not isinstance(requested, list) or len(requested) > len(signature.outputs):
        raise Malformed(f"'outputs' must be a list of at most {len(signature.outputs)} outputs")
    if not requested:
        return _carried(Wanted(id_, tuple((spec, default) for spec in signature.outputs)))
    outputs = tuple(_wanted(output, signature, default) for output in requested)
    if len({spec.name for spec, _ in outputs}) != len(outputs):
        raise Malformed("an output is requested twice")
    return _carried(Wanted(id_, outputs))


def raw_input(body: bytes, signature: Signature) -> dict[str, Array]:
    """Read a body that is nothing but the bytes of the only input; one variable dimension follows from the size."""
    if len(signature.inputs) != 1:
        raise Malformed(f"a raw request carries one input, the model has {len(signature.inputs)}")
    spec = signature.inputs[0]
    if spec.dtype == "string":
        raise Malformed("a raw request with a BYTES input is not supported; send its JSON head")
    variable = sum(not isinstance(dim, int) for dim in spec.shape)
    row = prod(dim for dim in spec.shape if isinstance(dim, int)) * numpy_dtype(spec.dtype).itemsize
    if variable > 1 or not row:
        raise Malformed(f"the shape of {spec} does not follow from the size of a raw request; send its JSON head")
    shape = [dim if isinstance(dim, int) else len(body) // row for dim in spec.shape]
    return {spec.name: read_raw(spec.name, spec.dtype, shape, body)}


def _wanted(output: Any, signature: Signature, default: bool) -> tuple[TensorSpec, bool]:
    spec = spec_named(signature.outputs, member(output, "name", str))
    parameters = _parameters(output)
    if "classification" in parameters:
        raise Malformed("the classification extension is not supported")
    return spec, _flag(parameters, "binary_data", default)


def _carried(wanted: Wanted) -> Wanted:
    """Refuse what JSON cannot carry before the model runs."""
    for spec, binary in wanted.outputs:
        if not binary:
            check_json_carries(spec)
    return wanted


def _parameters(data: Mapping[str, Any]) -> dict[str, Any]:
    parameters = data.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise Malformed(f"'parameters' must be an object, not {shown(parameters)}")
    return parameters


def _flag(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise Malformed(f"parameter {name!r} must be true or false, not {shown(value)}")
    return value
