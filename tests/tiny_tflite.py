"""A .tflite made by hand: `total` = first + second, `difference` = first − second; no converter, no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from deploy_core.signature import Signature, Tensors, TensorSpec

WIDTH = 3
_NAMES = ("second", "first")  # the signature's order; the graph's own is the other one
_TENSORS = ("first", "second", "layer/total", "layer/difference;fused")


def signature(batch: int | str = "batch") -> Signature:
    specs = [TensorSpec(name, "float32", (batch, WIDTH)) for name in (*_NAMES, "total", "difference")]
    return Signature(tuple(specs[:2]), tuple(specs[2:]))


def golden(rows: int = 16) -> tuple[Tensors, Tensors]:
    random = np.random.default_rng(3)
    second, first = (random.standard_normal((rows, WIDTH)).astype(np.float32) for _ in range(2))
    return {"second": second, "first": first}, {"total": first + second, "difference": first - second}


def tiny(
    *,
    versions: Mapping[str, int] | None = None,
    custom: str = "",
    metadata: Mapping[str, bytes] | None = None,
    batch: int = -1,
    subgraph: int = 0,
) -> bytes:
    """Give the file; `versions` are those of its operators ADD and SUB, `custom` takes the place of SUB."""
    model = schema.ModelT()
    model.version = 3
    model.description = b"by hand"
    model.operatorCodes = [
        _code(schema.BuiltinOperator.ADD, (versions or {}).get("ADD", 1)),
        _code(schema.BuiltinOperator.CUSTOM if custom else schema.BuiltinOperator.SUB, (versions or {}).get("SUB", 1)),
    ]
    model.operatorCodes[1].customCode = custom or None
    model.buffers = [schema.BufferT()]
    model.subgraphs = [_graph(batch)]
    model.metadata = []
    for name, content in (metadata or {}).items():
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(content, np.uint8)
        entry.name, entry.buffer = name, len(model.buffers)
        model.buffers.append(buffer)
        model.metadata.append(entry)
    model.signatureDefs = [_signature(subgraph)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _code(builtin: int, version: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), version
    return code


def _graph(batch: int) -> schema.SubGraphT:
    graph = schema.SubGraphT()
    graph.name = b"main"
    graph.tensors = [_tensor(name, batch) for name in _TENSORS]
    graph.inputs, graph.outputs = [0, 1], [2, 3]
    graph.operators = [_operator(0, 2, schema.AddOptionsT()), _operator(1, 3, schema.SubOptionsT())]
    return graph


def _tensor(name: str, batch: int) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.type, tensor.buffer = name, schema.TensorType.FLOAT32, 0
    tensor.shape, tensor.shapeSignature = [max(batch, 1), WIDTH], [batch, WIDTH]
    return tensor


def _operator(code: int, output: int, options: object) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, [0, 1], [output]
    operator.builtinOptions = options
    operator.builtinOptionsType = (schema.BuiltinOptions.AddOptions, schema.BuiltinOptions.SubOptions)[code]
    return operator


def _signature(subgraph: int) -> schema.SignatureDefT:
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = b"serving_default", subgraph
    made.inputs = [_map("second", 1), _map("first", 0)]
    made.outputs = [_map("total", 2), _map("difference", 3)]
    return made


def _map(name: str, index: int) -> schema.TensorMapT:
    made = schema.TensorMapT()
    made.name, made.tensorIndex = name, index
    return made
