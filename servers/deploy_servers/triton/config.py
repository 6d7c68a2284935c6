"""Triton's `config.pbtxt`, in protobuf's text form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy_core.device import Device
from deploy_core.errors import UsageError
from deploy_core.signature import BATCH, Dim, Signature, TensorSpec

THREADS = {
    "onnxruntime": "intra_op_thread_count",
    "pytorch": "INTRA_OP_THREAD_COUNT",
    "python": "intra_op_thread_count",  # our own model.py reads it
}
_TYPES = {
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"FP{bits}" for bits in (16, 32, 64)},
    "bool": "BOOL",
    "bfloat16": "BF16",
    "string": "STRING",
}


class Word(str):
    """A name of an enumeration, which is written without quotes."""

    __slots__ = ()


@dataclass(frozen=True)
class Model:
    """What one configuration is about; it holds for every version in `numbers`.

    `max_batch_size` is 0 where Triton is to leave the first axis alone; `sizes` says how large a symbol is in the
    request that warms a GPU up.
    """

    name: str
    numbers: tuple[int, ...]
    backend: str
    signature: Signature
    max_batch_size: int
    device: Device
    instances: int = 1
    preferred: tuple[int, ...] = ()
    max_queue_delay_us: int = 0
    dynamic_batching: bool = True
    threads: int = 0
    sizes: Mapping[str, int] | None = None


def can_batch(signature: Signature) -> bool:
    """Tell whether Triton can join requests: its own batch axis comes before at least one other, in every tensor."""
    return all(len(spec.shape) > 1 and spec.shape[0] == BATCH for spec in (*signature.inputs, *signature.outputs))


def config(model: Model) -> str:
    """Give the text of the file. Raises UsageError for a tensor that Triton has no form for."""
    message: dict[str, Any] = {
        "name": model.name,
        "backend": model.backend,
        "max_batch_size": model.max_batch_size,
        "input": [_tensor(spec, model) for spec in model.signature.inputs],
        "output": [_tensor(spec, model) for spec in model.signature.outputs],
        "instance_group": [_instances(model)],
        "version_policy": {"specific": {"versions": list(model.numbers)}},
    }
    if model.max_batch_size and model.dynamic_batching:
        message["dynamic_batching"] = _batching(model)
    if model.threads:
        message["parameters"] = [_parameter(THREADS[model.backend], str(model.threads))]
    if model.device.on_gpu and model.sizes is not None and not _has_strings(model.signature):
        message["model_warmup"] = [_warmup(model, model.sizes)]
    return "".join(f"{line}\n" for line in _lines(message))


def dims(shape: Sequence[Dim]) -> list[int]:
    """Give a shape as Triton writes it: -1 for what may have any size."""
    return [dim if isinstance(dim, int) else -1 for dim in shape]


def _tensor(spec: TensorSpec, model: Model) -> dict[str, Any]:
    if spec.dtype not in _TYPES:
        raise UsageError(f"Triton has no {spec.dtype}: tensor {spec.name!r} of {model.name}", hint=_ELSEWHERE)
    shape = spec.shape[1:] if model.max_batch_size else spec.shape
    if not shape:
        raise UsageError(f"Triton has no scalars: tensor {spec.name!r} of {model.name}", hint=_ELSEWHERE)
    return {"name": spec.name, "data_type": Word(f"TYPE_{_TYPES[spec.dtype]}"), "dims": dims(shape)}


def _instances(model: Model) -> dict[str, Any]:
    if not model.device.on_gpu:
        return {"kind": Word("KIND_CPU"), "count": model.instances}
    # The server sees only these GPUs, and counts those that it sees from 0; without a list it takes each of them.
    seen = list(range(len(model.device.indexes)))
    return {"kind": Word("KIND_GPU"), "count": model.instances, **({"gpus": seen} if seen else {})}


def _batching(model: Model) -> dict[str, Any]:
    beyond = [size for size in model.preferred if size > model.max_batch_size]
    if beyond:
        raise UsageError(
            f"preferred_batch_size {beyond[0]} is more than {model.name} takes at once, {model.max_batch_size}",
            hint="give smaller ones",
        )
    message: dict[str, Any] = {"preferred_batch_size": list(model.preferred)} if model.preferred else {}
    if model.max_queue_delay_us:
        message["max_queue_delay_microseconds"] = model.max_queue_delay_us
    return message


def _parameter(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"string_value": value}}


def _warmup(model: Model, sizes: Mapping[str, int]) -> dict[str, Any]:
    return {
        "name": "first",
        "batch_size": 1,  # also for a model without a batch, as model_config.proto says
        "inputs": [_warm(spec, model, sizes) for spec in model.signature.inputs],
    }


def _warm(spec: TensorSpec, model: Model, sizes: Mapping[str, int]) -> dict[str, Any]:
    shape = spec.shape[1:] if model.max_batch_size else spec.shape
    sized = [dim if isinstance(dim, int) else sizes[dim] for dim in shape]
    value = {"data_type": Word(f"TYPE_{_TYPES[spec.dtype]}"), "dims": sized, "zero_data": True}
    return {"key": spec.name, "value": value}


def _has_strings(signature: Signature) -> bool:
    return any(spec.dtype == "string" for spec in (*signature.inputs, *signature.outputs))


def _lines(message: Mapping[str, Any], indent: str = "") -> Iterable[str]:
    for name, value in message.items():
        if isinstance(value, Mapping):
            yield from _nested(name, value, indent)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for item in value:
                yield from _nested(name, item, indent)
        elif isinstance(value, list):
            yield f"{indent}{name}: [ {', '.join(map(_scalar, value))} ]"
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _nested(name: str, message: Mapping[str, Any], indent: str) -> Iterable[str]:
    yield f"{indent}{name} {{"
    yield from _lines(message, f"{indent}  ")
    yield f"{indent}}}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Word) or not isinstance(value, str):
        return str(value)
    return f'"{"".join(map(_escaped, value))}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    return char if char.isprintable() else "".join(f"\\{byte:03o}" for byte in char.encode())


_ELSEWHERE = "the embedded server takes it; or give the model a tensor of another form"
