"""What our handler in a `.mar` takes and gives: JSON with nested lists, or safetensors bytes; a request to describe itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save

from deploy_core.dtypes import dtype_name, numpy_dtype
from deploy_core.errors import InputError
from deploy_core.signature import Array, Signature, Tensors, TensorSpec
from deploy_dialects.answers import check_no_error, member
from deploy_dialects.json_tensors import array_of, lists_of
from deploy_dialects.json_text import read_object, write_json
from deploy_dialects.malformed import Malformed, shown
from deploy_dialects.raw import read_raw
from deploy_dialects.wire import Description

JSON = "application/json"
BINARY = "application/octet-stream"
DESCRIBE = write_json({"describe": True})

_CODES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}


def write_binary(tensors: Tensors) -> bytes:
    """Give safetensors bytes. Raises InputError for strings and complex128, which they cannot carry."""
    for name, array in tensors.items():
        if dtype_name(array.dtype) not in _CODES.values():
            raise InputError(
                f"{name}:{dtype_name(array.dtype)} cannot travel as safetensors", hint="use JSON over rest"
            )
    # safetensors writes strided arrays wrong without a word, and ascontiguousarray would make scalars one-dimensional.
    return bytes(save({name: np.array(array, order="C") for name, array in tensors.items()}))


def read_binary(data: bytes) -> dict[str, Array]:
    """Read safetensors bytes. Raises Malformed."""
    try:
        parts = safetensors.deserialize(data)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise Malformed(f"the bytes are no safetensors: {error}") from None
    return {name: _array(name, part) for name, part in parts}


def write_inputs(tensors: Tensors) -> bytes:
    """Give the JSON body of a prediction. Raises InputError for what JSON cannot carry."""
    return write_json({"inputs": _lists(tensors)})


def write_outputs(tensors: Tensors) -> bytes:
    """Give the JSON answer to a prediction. Raises InputError for what JSON cannot carry."""
    return write_json({"outputs": _lists(tensors)})


def read_lists(values: Mapping[str, Any], specs: tuple[TensorSpec, ...]) -> dict[str, Array]:
    """Read nested lists by name. Raises Malformed."""
    wanted = [spec.name for spec in specs]
    if set(values) != set(wanted):
        raise Malformed(f"the tensors are {shown(sorted(values))}, the model has {shown(wanted)}")
    return {spec.name: array_of(spec, values[spec.name]) for spec in specs}


def is_binary(body: bytes) -> bool:
    """Tell safetensors from JSON: TorchServe often sends no content type.

    safetensors begin with the length of their header as uint64; eight characters of text would be an absurd length.
    """
    return len(body) >= 8 and int.from_bytes(body[:8], "little") <= len(body) - 8


def read_outputs(body: bytes, signature: Signature) -> dict[str, Array]:
    """Read an answer of either form. Raises Malformed."""
    if is_binary(body):
        return read_binary(body)
    answer = read_object(body)
    check_no_error(answer)
    return read_lists(member(answer, "outputs", dict), signature.outputs)


def read_raw_answer(body: bytes, signature: Signature) -> Tensors | dict[str, float]:
    """Read the answer to raw bytes: labels with scores, or outputs. Raises Malformed."""
    answer = read_object(body)
    check_no_error(answer)
    if isinstance(answer.get("outputs"), Mapping):
        return read_lists(answer["outputs"], signature.outputs)
    if not answer or not all(type(score) in (int, float) for score in answer.values()):
        raise Malformed(f"{shown(answer)} is neither labels with scores nor outputs")
    return {label: float(score) for label, score in answer.items()}


def description_json(signature: Signature, version: str) -> bytes:
    """Give the answer to `{"describe": true}`."""
    return write_json({"signature": signature.to_json(), "version": version})


def read_description(body: bytes) -> Description:
    """Read the answer to `{"describe": true}`. Raises Malformed."""
    answer = read_object(body)
    check_no_error(answer)
    data = member(answer, "signature", dict)
    try:
        signature = Signature.from_json(data)
        for spec in (*signature.inputs, *signature.outputs):
            _check_spec(spec)
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise Malformed(f"{shown(data)} is no signature: {error}") from None
    version = answer.get("version")
    return Description(signature, None if version is None else str(version))


def _check_spec(spec: TensorSpec) -> None:
    numpy_dtype(spec.dtype)
    name: object = spec.name  # as the JSON has it
    if not isinstance(name, str) or not all(isinstance(dim, str) or _is_size(dim) for dim in spec.shape):
        raise TypeError(f"{name!r} of shape {list(spec.shape)} is no tensor")


def _is_size(dim: object) -> bool:
    return type(dim) is int and dim >= 0


def _lists(tensors: Tensors) -> dict[str, Any]:
    for name, array in tensors.items():
        if array.dtype.kind == "c":
            raise InputError(f"{name}:{dtype_name(array.dtype)} cannot travel as JSON", hint="connect with binary=True")
    return {name: lists_of(array, partial(_text, name)) for name, array in tensors.items()}


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InputError(f"{name} holds bytes that are not UTF-8, which JSON cannot carry") from None


def _array(name: str, part: Mapping[str, Any]) -> Array:
    if part["dtype"] not in _CODES:
        raise Malformed(f"tensor {shown(name)} has dtype {shown(part['dtype'])}, which is not supported")
    return read_raw(name, _CODES[part["dtype"]], part["shape"], bytes(part["data"]))
