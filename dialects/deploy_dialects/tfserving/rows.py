"""The JSON of predictions: requests in row and columnar form, and their answers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import partial
from typing import Any

from deploy_core.signature import Array, Signature, Tensors, TensorSpec
from deploy_dialects.json_tensors import array_of, lists_of
from deploy_dialects.malformed import Malformed, shown
from deploy_dialects.tfserving.dtypes import NAMES, NOT_IN_JSON
from deploy_dialects.wire import Refused


def is_b64(value: object) -> bool:
    """Tell whether a JSON value is `{"b64": "…"}`, which stands for bytes and not for named tensors."""
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def brings_strings(body: Mapping[str, Any]) -> bool:
    """Tell whether the first value of a request is a string, or bytes as base64."""
    value = body.get("instances", body.get("inputs"))
    while (isinstance(value, list) or (isinstance(value, dict) and not is_b64(value))) and value:
        value = value[0] if isinstance(value, list) else next(iter(value.values()))
    return isinstance(value, str) or is_b64(value)


def read_inputs(body: Mapping[str, Any], signature: Signature) -> tuple[dict[str, Array], bool]:
    """Give the input tensors, and whether they came in row form. Raises Malformed, and Refused for dtypes not in JSON."""
    if ("instances" in body) == ("inputs" in body):
        raise Malformed("the request must have exactly one of 'instances' and 'inputs'")
    _check_carried(signature.inputs)
    if "inputs" in body:
        return _columns(body["inputs"], signature), False
    return _rows(body["instances"], signature), True


def row_answer(outputs: Tensors) -> dict[str, Any]:
    """Give `{"predictions": […]}`: bare values for one output, objects for several. Raises Malformed."""
    for name, array in outputs.items():
        if not array.ndim:
            raise Malformed(f"Tensor name: {name} has no shape information")
    sizes = {array.shape[0] for array in outputs.values()}
    if len(sizes) > 1:
        raise Malformed(f"Tensors have inconsistent batch size: {sorted(sizes)}; ask in columnar form")
    if len(outputs) == 1:
        return {"predictions": next(iter(column_lists(outputs).values()))}
    batch = next(iter(sizes), 0)
    return {"predictions": [column_lists({n: a[i, ...] for n, a in outputs.items()}) for i in range(batch)]}


def column_answer(outputs: Tensors) -> dict[str, Any]:
    """Give `{"outputs": value}` for one output, `{"outputs": {name: value}}` for several."""
    values = column_lists(outputs)
    return {"outputs": next(iter(values.values())) if len(values) == 1 else values}


def column_lists(tensors: Tensors) -> dict[str, Any]:
    """Give nested lists per tensor; bytes of tensors named `…_bytes` as base64, others as text. Raises Refused."""
    return {name: lists_of(array, partial(_text, name)) for name, array in tensors.items()}


def b64_or_text(raw: bytes) -> Any:
    """Give bytes for a request: text where they are text, else base64."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(raw).decode()}


def read_tensor(spec: TensorSpec, value: Any, *, overflow_to_inf: bool = True) -> Array:
    """Read one tensor from nested lists; TensorFlow Serving reads numbers beyond float32 as infinity. Raises Malformed."""
    leaf = _unpacked if spec.dtype == "string" else None
    return array_of(spec, value, leaf=leaf, overflow_to_inf=overflow_to_inf)


def _columns(value: Any, signature: Signature) -> dict[str, Array]:
    if not isinstance(value, dict) or is_b64(value):
        return {_only(signature, "'inputs'").name: read_tensor(_only(signature, "'inputs'"), value)}
    for spec in signature.inputs:
        if spec.name not in value:
            raise Malformed(f"Missing named input: {spec.name} in 'inputs' object.")
    return {spec.name: read_tensor(spec, value[spec.name]) for spec in signature.inputs}


def _rows(rows: Any, signature: Signature) -> dict[str, Array]:
    if not isinstance(rows, list):
        raise Malformed("'instances' must be an array")
    if not rows:
        raise Malformed("No values in 'instances' array; an empty batch can be sent as 'inputs'")
    if not isinstance(rows[0], dict) or is_b64(rows[0]):
        return {_only(signature, "'instances'").name: read_tensor(_only(signature, "'instances'"), rows)}
    names = {spec.name for spec in signature.inputs}
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or set(row) != names:
            raise Malformed(f"instance {index} must be an object with exactly the inputs {', '.join(sorted(names))}")
    return {spec.name: read_tensor(spec, [row[spec.name] for row in rows]) for spec in signature.inputs}


def _only(signature: Signature, where: str) -> TensorSpec:
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise Malformed(f"{where} has bare values, but the model has several inputs: {names}")
    return signature.inputs[0]


def _check_carried(specs: tuple[TensorSpec, ...]) -> None:
    for spec in specs:
        if spec.dtype in NOT_IN_JSON:
            raise Refused("UNIMPLEMENTED", f"JSON of {NAMES[spec.dtype]} ({spec.name}) is not supported; use gRPC")


def check_outputs_carried(signature: Signature) -> None:
    """Raise Refused UNIMPLEMENTED if an output has a dtype that the JSON does not carry."""
    _check_carried(signature.outputs)


def _unpacked(value: Any) -> Any:
    """Replace `{"b64": …}` by its bytes."""
    if not is_b64(value):
        return value
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"Unable to base64 decode {shown(value['b64'])}") from None


def _text(name: str, raw: bytes) -> Any:
    if name.endswith("_bytes"):
        return {"b64": base64.b64encode(raw).decode()}
    try:
        return raw.decode()
    except UnicodeDecodeError:
        text = f"output {name} holds bytes that are not UTF-8; use gRPC, or an output named {name}_bytes"
        raise Refused("FAILED_PRECONDITION", text) from None
