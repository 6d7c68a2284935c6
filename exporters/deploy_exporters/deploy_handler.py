"""A TorchServe handler that answers by tensor names; it stands alone: torch, numpy and the standard library.

One request carries one batch, as one of
    JSON         {"inputs": {NAME: nested list}}   → {"outputs": {NAME: nested list}}
    safetensors  the inputs by name, as bytes      → the outputs, as bytes (over gRPC under the key `body`)
    JSON         {"describe": true}                → {"signature": …, "version": …}
"""

from __future__ import annotations

import json
import keyword
import re
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

DTYPES = {
    name: getattr(torch, name)
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
    )
}  # fmt: skip
_CODES = {
    "BOOL": "bool", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "U8": "uint8", "U16": "uint16",
    "U32": "uint32", "U64": "uint64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
    "C64": "complex64",
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class DeployHandler:
    """Loads the TorchScript file of its archive and answers every request of a batch apart."""

    def initialize(self, context: Any) -> None:
        """Load the model where TorchServe says, onto its GPU if it names one."""
        folder = Path(context.system_properties["model_dir"])
        manifest = context.manifest["model"]
        gpu = context.system_properties.get("gpu_id")
        self.device = f"cuda:{gpu}" if gpu is not None and torch.cuda.is_available() else "cpu"
        self.version = str(manifest["modelVersion"])
        self.signature = json.loads((folder / "signature.json").read_text())
        self.model = load(folder / manifest["serializedFile"], self.device)[0]

    def handle(self, data: list[Mapping[str, Any]], context: Any) -> list[Any]:
        """Give one answer for each request; a request that cannot be answered gets status 400 and {"error"}."""
        return [self._answer(index, request, context) for index, request in enumerate(data)]

    def _answer(self, index: int, request: Mapping[str, Any], context: Any) -> Any:
        context.set_response_content_type(index, "application/json")
        try:
            return self._respond(index, request.get("body", request.get("data")), context)
        except torch.OutOfMemoryError:
            raise  # TorchServe has a status for it
        except (ValueError, RuntimeError) as error:
            context.set_response_status(code=400, phrase="Bad Request", idx=index)
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return {"error": lines[-1]}  # TorchScript says what happened in the last line

    def _respond(self, index: int, body: Any, context: Any) -> Any:
        document = _document(body)
        if document is None:
            outputs = self._predict(read_safetensors(bytes(body)))
            context.set_response_content_type(index, "application/octet-stream")
            return write_safetensors(outputs)
        if document.get("describe") is True:
            return {"signature": self.signature, "version": self.version}
        values = document.get("inputs")
        if not isinstance(values, dict):
            raise ValueError('the body has no "inputs": send {"inputs": {NAME: nested list}} or safetensors bytes')
        self._check_names(values)
        inputs = {spec["name"]: _tensor(spec, values[spec["name"]]) for spec in self.signature["inputs"]}
        return {"outputs": {name: tensor.tolist() for name, tensor in self._predict(inputs).items()}}

    def _predict(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        self._check_names(inputs)
        sizes: dict[str, int] = {}
        for spec in self.signature["inputs"]:
            _check(spec, inputs[spec["name"]], sizes)
        with torch.inference_mode():
            value = self.model(**{argument(name): tensor.to(self.device) for name, tensor in inputs.items()})
        names = [spec["name"] for spec in self.signature["outputs"]]
        return {name: tensor.cpu() for name, (_, tensor) in zip(names, flatten(value), strict=True)}

    def _check_names(self, inputs: Mapping[str, Any]) -> None:
        want = [spec["name"] for spec in self.signature["inputs"]]
        if set(want) != set(inputs):
            raise ValueError(f"the inputs are {', '.join(want)}, not {', '.join(map(str, inputs)) or 'none'}")


def load(path: Path, device: str = "cpu") -> tuple[Any, dict[str, Any]]:
    """Load a TorchScript file, and the signature inside it if there is one."""
    extra = {"signature.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.jit.load(str(path), map_location=device, _extra_files=extra)  # type: ignore[no-untyped-call]
    return model.eval(), json.loads(extra["signature.json"] or "{}")


def flatten(value: Any) -> list[tuple[str, torch.Tensor]]:
    """Give what a model returns as named tensors: keys, fields of a NamedTuple, else `output` or `output_0`…"""
    if isinstance(value, torch.Tensor):
        return [("output", value)]
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        pairs = list(zip(value._fields, value, strict=True))
    elif isinstance(value, tuple | list):
        pairs = [(f"output_{index}", item) for index, item in enumerate(value)]
    else:
        raise ValueError(f"the model returns {type(value).__name__}, not tensors")
    for name, item in pairs:
        if item is not None and not isinstance(item, torch.Tensor):
            raise ValueError(f"output {name!r} of the model is {type(item).__name__}, not a tensor")
    return [(str(name), item) for name, item in pairs if item is not None]


def argument(name: str) -> str:
    """Give the argument of a TorchScript program that takes the input of that name; mostly the name itself."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"input_{text}" if not text or text[0].isdigit() or keyword.iskeyword(text) else text


def to_tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """Give a numpy array as a tensor that shares no memory with it."""
    own = array.copy(order="C")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(own.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(own)


def read_safetensors(body: bytes) -> dict[str, torch.Tensor]:
    """Read the tensors of a safetensors file. Raises ValueError."""
    try:
        (length,) = struct.unpack_from("<Q", body)
        header = json.loads(body[8 : 8 + length])
        header.pop("__metadata__", None)
        return {name: _stored(entry, memoryview(body)[8 + length :]) for name, entry in header.items()}
    except (struct.error, UnicodeDecodeError, json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError("the body is neither JSON nor safetensors bytes") from error


def write_safetensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Write tensors as a safetensors file."""
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    start = 0
    codes = {name: code for code, name in _CODES.items()}
    for name, tensor in tensors.items():
        part = tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
        code = codes[_NAMES[tensor.dtype]]
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [start, start + len(part)]}
        start += len(part)
        parts.append(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def _document(body: Any) -> dict[str, Any] | None:
    # TorchServe has read JSON already if the content type said so; other bodies come as bytes.
    if isinstance(body, dict):
        return body
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes | bytearray):
        raise ValueError('send a body: {"inputs": {NAME: nested list}} as JSON, or safetensors bytes')
    if bytes(body[:16]).lstrip()[:1] != b"{" or bytes(body[8:9]) == b"{":
        return None
    try:
        document = json.loads(body)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    return document if isinstance(document, dict) else {}


def _tensor(spec: Mapping[str, Any], value: Any) -> torch.Tensor:
    dtype = DTYPES[spec["dtype"]]
    try:
        plain = np.asarray(value)
        if plain.size and not _fits(plain, spec["dtype"]):
            raise ValueError("the numbers do not fit")
        return torch.from_numpy(plain).to(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"input {spec['name']!r} cannot be read as {spec['dtype']}: {error}") from error


def _fits(plain: np.ndarray[Any, Any], dtype: str) -> bool:
    if plain.dtype.kind == "b" or dtype == "bool":
        return plain.dtype.kind == "b" and dtype == "bool"
    if "int" in dtype:
        limits = np.iinfo(dtype)
        return plain.dtype.kind in "iu" and int(plain.min()) >= limits.min and int(plain.max()) <= limits.max
    return plain.dtype.kind in "iuf"


def _check(spec: Mapping[str, Any], tensor: torch.Tensor, sizes: dict[str, int]) -> None:
    want, got = spec["shape"], list(tensor.shape)
    if tensor.dtype != DTYPES[spec["dtype"]]:
        raise ValueError(f"input {spec['name']!r} has dtype {_NAMES[tensor.dtype]}, not {spec['dtype']}")
    if len(want) != len(got) or any(isinstance(w, int) and w != g for w, g in zip(want, got, strict=True)):
        raise ValueError(f"input {spec['name']!r} has shape {got}, not {want}")
    for symbol, size in zip(want, got, strict=True):
        if isinstance(symbol, str) and sizes.setdefault(symbol, size) != size:
            raise ValueError(f"input {spec['name']!r} has {symbol} = {size}, another input has {sizes[symbol]}")


def _stored(entry: Mapping[str, Any], data: memoryview) -> torch.Tensor:
    if entry["dtype"] not in _CODES:
        raise ValueError(f"safetensors dtype {entry['dtype']!r} is not supported")
    start, end = entry["data_offsets"]
    part = bytearray(data[start:end])
    dtype = DTYPES[_CODES[entry["dtype"]]]
    shape = [int(size) for size in entry["shape"]]
    if min(shape, default=0) < 0 or len(part) != end - start or len(part) != int(np.prod(shape)) * dtype.itemsize:
        raise ValueError(f"the safetensors body holds {len(part)} bytes for a tensor of shape {shape}")
    return torch.frombuffer(part, dtype=dtype).reshape(shape) if part else torch.empty(shape, dtype=dtype)
