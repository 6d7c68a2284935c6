"""What a .tflite computes in: read from the file itself, whatever the converter was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tensorflow.lite.python import schema_py_generated as schema

_DTYPES = {code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_BORDER = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Scaled:
    """A tensor of integers: value = scale × (integer − zero_point)."""

    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Numbers:
    """`scaled` are inputs and outputs that the file holds as integers; `computed` and `left` name operators.

    `weights` counts constants of more than one element by their dtype, `per_channel` says that some have a scale for
    every channel. `left` are the operators that compute in float32.
    """

    scaled: Mapping[str, Scaled]
    weights: Mapping[str, int]
    per_channel: bool
    computed: tuple[str, ...]
    left: tuple[str, ...]


def numbers(content: bytes) -> Numbers:
    """Read a .tflite."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    graph = model.subgraphs[0]
    constants = [tensor for tensor in graph.tensors if _is_weight(model, tensor)]
    kinds = [_DTYPES[tensor.type] for tensor in constants]
    operators = [(_name(model, operator), _floats(graph, operator)) for operator in graph.operators]
    inner = [(name, floats) for name, floats in operators if name not in _BORDER]
    return Numbers(
        scaled=_scaled(model, graph),
        weights={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        per_channel=any(len(_scales(tensor)) > 1 for tensor in constants),
        computed=tuple(name for name, _ in inner),
        left=tuple(name for name, floats in inner if floats),
    )


def _scaled(model: Any, graph: Any) -> dict[str, Scaled]:
    found = {}
    for side in (model.signatureDefs[0].inputs, model.signatureDefs[0].outputs):
        for named in side:
            tensor = graph.tensors[named.tensorIndex]
            if len(_scales(tensor)) == 1:
                point = int(tensor.quantization.zeroPoint[0])
                found[named.name.decode()] = Scaled(_DTYPES[tensor.type], float(_scales(tensor)[0]), point)
    return found


def _is_weight(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0 and _DTYPES[tensor.type] in ("float32", "float16", "int8")


def _scales(tensor: Any) -> Any:
    quantization = tensor.quantization
    return () if quantization is None or quantization.scale is None else quantization.scale


def _floats(graph: Any, operator: Any) -> bool:
    return any(_DTYPES[graph.tensors[index].type] == "float32" for index in operator.outputs)


def _name(model: Any, operator: Any) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    custom = code.customCode
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    known: str = _OPERATORS[builtin]
    return custom.decode() if custom is not None and known == "CUSTOM" else known
