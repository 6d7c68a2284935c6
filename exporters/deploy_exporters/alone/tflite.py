"""Some operators of a .tflite as a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from deploy_core.errors import UsageError
from deploy_core.signature import Tensors


def part(path: Path, tensors: Sequence[str], values: Tensors) -> bytes:
    """Give a .tflite of the operators that make `tensors`. Raises UsageError for a tensor that no operator makes."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    numbers = _numbers(model, graph)
    if unknown := [name for name in (*tensors, *values) if name not in numbers]:
        raise UsageError(f"{path.name} has no tensor {unknown[0]!r}", hint="name its intermediates")
    wanted = {numbers[name] for name in tensors}
    graph.operators = [each for each in graph.operators if wanted & set(map(int, each.outputs))]
    graph.inputs, graph.outputs = [numbers[name] for name in values], [numbers[tensors[-1]]]
    for name, array in values.items():
        tensor = graph.tensors[numbers[name]]
        tensor.name, tensor.shape, tensor.shapeSignature = name.encode(), list(array.shape), None
    model.subgraphs, model.signatureDefs, model.metadata, model.metadataBuffer = [graph], [], [], []
    _drop_unused(model, graph)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _numbers(model: Any, graph: Any) -> dict[str, int]:
    """Give the number of each tensor by its name, and of those of the signature by their names in it."""
    found = {(each.name or b"").decode(errors="replace"): number for number, each in enumerate(graph.tensors)}
    for signature in model.signatureDefs or ():
        for each in (*signature.inputs, *signature.outputs):
            found[each.name.decode()] = each.tensorIndex
    return found


def _drop_unused(model: Any, graph: Any) -> None:
    """Empty the buffers of tensors that no operator that is left uses; numbers stay as they are."""
    used = {int(number) for each in graph.operators for number in (*each.inputs, *each.outputs)}
    kept = {graph.tensors[number].buffer for number in used if number >= 0}
    for number, tensor in enumerate(graph.tensors):
        if number not in used:
            tensor.buffer = 0
    for number, buffer in enumerate(model.buffers):
        if number not in kept:
            buffer.data = None
