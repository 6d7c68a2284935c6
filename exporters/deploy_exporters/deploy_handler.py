"""A TorchServe handler that answers by tensor names; it stands alone: numpy, the standard library, and one runtime.

The runtime is the one of the archive's model file: torch for TorchScript, onnxruntime for ONNX.
A request carries one batch, as one of these; requests that TorchServe brings together are run as one where that can be.
    JSON         {"inputs": {NAME: nested list}}   → {"outputs": {NAME: nested list}}
    safetensors  the inputs by name, as bytes      → the outputs, as bytes (over gRPC under the key `body`)
    JSON         {"describe": true}                → {"signature": …, "version": …}
    raw bytes    an image or so, for an archive that knows how to prepare it → {LABEL: score}, or {"outputs": …}
"""

from __future__ import annotations

import json
import keyword
import re
import runpy
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

CODES = {
    "bool": "BOOL", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "uint8": "U8", "uint16": "U16", "uint32": "U32",
    "uint64": "U64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64",
}  # fmt: skip
DTYPES = (*CODES, "complex128")
Tensor = tuple[str, np.ndarray[Any, Any]]  # dtype and array; of bfloat16, which numpy lacks, the bits as uint16
Run = Callable[[Mapping[str, Tensor]], Sequence[Tensor]]


class DeployHandler:
    """Loads the model of its archive and answers every request of a batch."""

    def initialize(self, context: Any) -> None:
        """Load the model where TorchServe says, onto its GPU if it names one."""
        folder = Path(context.system_properties["model_dir"])
        manifest = context.manifest["model"]
        self.version = str(manifest["modelVersion"])
        self.signature = json.loads((folder / "signature.json").read_text())
        path = folder / manifest["serializedFile"]
        start = run_onnx if path.suffix == ".onnx" else run_torchscript
        self.names = [spec["name"] for spec in self.signature["outputs"]]
        self.run: Run = start(path, context.system_properties.get("gpu_id"), self.names)
        shapes = [spec["shape"] for kind in ("inputs", "outputs") for spec in self.signature[kind]]
        beside = folder / "deploy_running.py"  # the steps that make inputs of raw bytes
        self.raw = runpy.run_path(str(beside))["Beside"](folder) if beside.exists() else None
        self.joins = all(shape[:1] == ["batch"] and "batch" not in shape[1:] for shape in shapes)

    def handle(self, data: list[Mapping[str, Any]], context: Any) -> list[Any]:
        """Give one answer for each request; one that cannot be answered gets status 400 and {"error"}, it alone."""
        answers = [self._guarded(index, context, self._asked, request) for index, request in enumerate(data)]
        asked = {index: answer for index, answer in enumerate(answers) if isinstance(answer, tuple)}
        known = self._joined([inputs for inputs, _ in asked.values()])
        for (index, given), outputs in zip(asked.items(), known, strict=True):
            answers[index] = self._guarded(index, context, self._answer, (*given, outputs))
            if isinstance(answers[index], bytes):
                context.set_response_content_type(index, "application/octet-stream")
        return answers

    def _guarded(self, index: int, context: Any, step: Callable[[Any], Any], given: Any) -> Any:
        context.set_response_content_type(index, "application/json")
        try:
            return step(given)
        except (ValueError, RuntimeError) as error:
            if type(error).__name__ == "OutOfMemoryError":
                raise  # torch's; TorchServe has a status for it
            context.set_response_status(code=400, phrase="Bad Request", idx=index)
            told = str(error).strip().splitlines() or [type(error).__name__]
            return {"error": told[-1]}  # of TorchScript: the cause

    def _asked(self, request: Mapping[str, Any]) -> Any:
        """Give the inputs of a request, and in which form they came; or what it asked for instead."""
        body = request.get("body", request.get("data"))
        document = _document(body)
        if document is not None and document.get("describe") is True:
            return {"signature": self.signature, "version": self.version}
        raw = self.raw.inputs(body) if self.raw and document is None else None  # None of safetensors, too
        values = document.get("inputs") if document is not None else raw or read_safetensors(bytes(body))
        if not isinstance(values, dict):
            raise ValueError('the body has no "inputs": send {"inputs": {NAME: nested list}} or safetensors bytes')
        specs, sizes = {spec["name"]: spec for spec in self.signature["inputs"]}, dict[str, int]()
        if set(specs) != set(values):
            raise ValueError(f"the inputs are {', '.join(specs)}, not {', '.join(map(str, values)) or 'none'}")
        inputs = {name: values[name] if document is None else _tensor(specs[name], values[name]) for name in specs}
        for name, (dtype, array) in inputs.items():
            _check(specs[name], dtype, array, sizes)
        return inputs, "json" if document is not None else "raw" if raw else "bytes"

    def _answer(self, given: tuple[dict[str, Tensor], str, dict[str, Tensor] | None]) -> Any:
        inputs, form, outputs = given
        outputs = outputs or dict(zip(self.names, self.run(inputs), strict=True))
        if form == "bytes":
            return write_safetensors(outputs)
        answer = {"outputs": {name: _listed(outputs[name]) for name in outputs}}
        return self.raw.answer(answer) if form == "raw" and self.raw else answer

    def _joined(self, many: Sequence[dict[str, Tensor]]) -> list[dict[str, Tensor] | None]:
        # All at once if they differ in the number of rows only; else None for each, which runs alone then.
        kinds = {tuple((name, dtype, a.shape[1:]) for name, (dtype, a) in sorted(each.items())) for each in many}
        # Whose fault an error is shows when each runs alone; the others must not pay for it.
        with suppress(ValueError, RuntimeError):
            if self.joins and len(many) > 1 == len(kinds):
                first, ends = many[0], np.cumsum([len(next(iter(each.values()))[1]) for each in many])
                merged = {name: (first[name][0], np.concatenate([each[name][1] for each in many])) for name in first}
                outputs = list(zip(self.names, self.run(merged), strict=True))
                if all(len(array) == ends[-1] for _, (_, array) in outputs):
                    cut = {name: (dtype, np.split(array, ends)) for name, (dtype, array) in outputs}
                    return [{name: (dtype, rows[k]) for name, (dtype, rows) in cut.items()} for k in range(len(many))]
        return [None] * len(many)


def run_torchscript(path: Path, gpu: object, names: Sequence[str]) -> Run:
    """Load a TorchScript file; it takes its inputs by the names of its arguments."""
    import torch

    device = f"cuda:{gpu}" if gpu is not None and torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # which rounds to ten bits: another model's answer
    model = load(path, device)[0]

    def run(inputs: Mapping[str, Tensor]) -> list[Tensor]:
        tensors = {argument(name): _to_torch(tensor).to(device) for name, tensor in inputs.items()}
        with torch.inference_mode():
            return [_from_torch(value.cpu()) for _, value in flatten(model(**tensors))]

    return run


def run_onnx(path: Path, gpu: object, names: Sequence[str]) -> Run:
    """Load an ONNX file; it takes its inputs by name."""
    import onnxruntime

    cuda = gpu is not None and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    first = [("CUDAExecutionProvider", {"device_id": gpu, "use_tf32": 0})] if cuda else []
    session = onnxruntime.InferenceSession(str(path), providers=[*first, "CPUExecutionProvider"])

    def run(inputs: Mapping[str, Tensor]) -> list[Tensor]:
        try:
            values = session.run(list(names), {name: array for name, (_, array) in inputs.items()})
        except Exception as error:  # its errors have no base of their own
            raise ValueError(str(error)) from error
        return [(value.dtype.name, value) for value in values]

    return run


def load(path: Path, device: str = "cpu") -> tuple[Any, dict[str, Any]]:
    """Load a TorchScript file, and the signature inside it if there is one."""
    import torch

    extra = {"signature.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.jit.load(str(path), map_location=device, _extra_files=extra)  # type: ignore[no-untyped-call]
    return model.eval(), json.loads(extra["signature.json"] or "{}")


def flatten(value: Any) -> list[tuple[str, Any]]:
    """Give what a torch model returns as named tensors: keys, fields of a NamedTuple, else `output` or `output_0`…"""
    from torch import Tensor as TorchTensor

    if isinstance(value, TorchTensor):
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
        if item is not None and not isinstance(item, TorchTensor):
            raise ValueError(f"output {name!r} of the model is {type(item).__name__}, not a tensor")
    return [(str(name), item) for name, item in pairs if item is not None]


def argument(name: str) -> str:
    """Give the argument of a TorchScript program that takes the input of that name; mostly the name itself."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"input_{text}" if not text or text[0].isdigit() or keyword.iskeyword(text) else text


def to_tensor(array: np.ndarray[Any, Any]) -> Any:
    """Give a numpy array as a torch tensor that shares no memory with it."""
    own = array.copy(order="C")
    return _to_torch(("bfloat16", own.view(np.uint16)) if array.dtype.name == "bfloat16" else (own.dtype.name, own))


def read_safetensors(body: bytes) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file. Raises ValueError."""
    try:
        (length,) = struct.unpack_from("<Q", body)
        header = json.loads(body[8 : 8 + length])
        header.pop("__metadata__", None)
        return {name: _stored(entry, memoryview(body)[8 + length :]) for name, entry in header.items()}
    except (struct.error, UnicodeDecodeError, json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError("the body is neither JSON nor safetensors bytes") from error


def write_safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Write tensors as a safetensors file."""
    header: dict[str, Any] = {}
    data = b"".join(array.tobytes() for _, array in tensors.values())
    ends = np.cumsum([0, *(array.nbytes for _, array in tensors.values())]).tolist()
    for index, (name, (dtype, array)) in enumerate(tensors.items()):
        header[name] = {"dtype": CODES[dtype], "shape": list(array.shape), "data_offsets": ends[index : index + 2]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def _to_torch(tensor: Tensor) -> Any:
    import torch

    value = torch.from_numpy(tensor[1])
    return value.view(torch.bfloat16) if tensor[0] == "bfloat16" else value


def _from_torch(value: Any) -> Tensor:
    import torch

    dtype = str(value.dtype).removeprefix("torch.")
    value = value.detach().contiguous()
    return dtype, (value.view(torch.uint16) if dtype == "bfloat16" else value).numpy()


def _document(body: Any) -> dict[str, Any] | None:
    # TorchServe has read JSON already if the content type said so; other bodies come as bytes.
    if isinstance(body, dict):
        return body
    body = body.encode() if isinstance(body, str) else body
    if not isinstance(body, bytes | bytearray):
        raise ValueError('send a body: {"inputs": {NAME: nested list}} as JSON, or safetensors bytes')
    if bytes(body[:16]).lstrip()[:1] != b"{" or bytes(body[8:9]) == b"{":
        return None
    try:
        document = json.loads(body)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    return document if isinstance(document, dict) else {}


def _tensor(spec: Mapping[str, Any], value: Any) -> Tensor:
    dtype = spec["dtype"]
    try:
        plain = np.asarray(value)
        if plain.size and not _fits(plain, dtype):
            raise ValueError("the numbers do not fit")
        return dtype, _bits(plain.astype(np.float32)) if dtype == "bfloat16" else plain.astype(dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"input {spec['name']!r} cannot be read as {dtype}: {error}") from error


def _listed(tensor: Tensor) -> Any:
    dtype, array = tensor
    return ((array.astype(np.uint32) << 16).view(np.float32) if dtype == "bfloat16" else array).tolist()


def _bits(floats: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    wide = np.ascontiguousarray(floats).view(np.uint32).astype(np.uint64)
    rounded = (wide + 0x7FFF + ((wide >> 16) & 1)) >> 16  # to the nearest bfloat16, ties to even
    return np.asarray(np.where(np.isnan(floats), 0x7FC0, rounded).astype(np.uint16))


def _fits(plain: np.ndarray[Any, Any], dtype: str) -> bool:
    if plain.dtype.kind == "b" or dtype == "bool":
        return plain.dtype.kind == "b" and dtype == "bool"
    if "int" in dtype:
        limits = np.iinfo(dtype)
        return plain.dtype.kind in "iu" and int(plain.min()) >= limits.min and int(plain.max()) <= limits.max
    return plain.dtype.kind in "iuf"


def _check(spec: Mapping[str, Any], dtype: str, array: np.ndarray[Any, Any], sizes: dict[str, int]) -> None:
    want, got = spec["shape"], list(array.shape)
    if dtype != spec["dtype"]:
        raise ValueError(f"input {spec['name']!r} has dtype {dtype}, not {spec['dtype']}")
    if len(want) != len(got) or any(isinstance(w, int) and w != g for w, g in zip(want, got, strict=True)):
        raise ValueError(f"input {spec['name']!r} has shape {got}, not {want}")
    for symbol, size in zip(want, got, strict=True):
        if isinstance(symbol, str) and sizes.setdefault(symbol, size) != size:
            raise ValueError(f"input {spec['name']!r} has {symbol} = {size}, another input has {sizes[symbol]}")


def _stored(entry: Mapping[str, Any], data: memoryview) -> Tensor:
    names = {code: name for name, code in CODES.items()}
    if entry["dtype"] not in names:
        raise ValueError(f"safetensors dtype {entry['dtype']!r} is not supported")
    start, end = entry["data_offsets"]
    part = bytearray(data[start:end])  # one's own, and so writable
    held = np.dtype("uint16" if (dtype := names[entry["dtype"]]) == "bfloat16" else dtype)
    shape = [int(size) for size in entry["shape"]]
    if min(shape, default=0) < 0 or len(part) != end - start or len(part) != int(np.prod(shape)) * held.itemsize:
        raise ValueError(f"the safetensors body holds {len(part)} bytes for a tensor of shape {shape}")
    return dtype, np.frombuffer(part, held).reshape(shape)
