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
    given = {numbers[name] for name in values}
    graph.operators = _chosen(graph.operators, {numbers[name] for name in tensors}, given, _held(model, graph))
    graph.inputs, graph.outputs = [numbers[name] for name in values], [numbers[tensors[-1]]]
    for name, array in values.items():
        tensor = graph.tensors[numbers[name]]
        tensor.name, tensor.shape, tensor.shapeSignature = name.encode(), list(array.shape), None
    model.subgraphs, model.signatureDefs, model.metadata, model.metadataBuffer = [graph], [], [], []
    _drop_unused(model, graph)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _chosen(operators: Sequence[Any], tensors: set[int], given: set[int], held: set[int]) -> list[Any]:
    """Give the operators that make those tensors, and those that make constants for them of constants."""
    wanted, chosen = set(tensors), list[Any]()
    for each in reversed(operators):
        if wanted & set(map(int, each.outputs)):
            chosen.insert(0, each)
            needed = {int(number) for number in each.inputs if number >= 0} - given - held
            wanted |= {number for number in needed if _is_constant(number, operators, held)}
    return chosen


def _is_constant(number: int, operators: Sequence[Any], held: set[int]) -> bool:
    maker = next((each for each in operators if number in map(int, each.outputs)), None)
    needed = [int(each) for each in maker.inputs if each >= 0] if maker else []
    return number in held or (bool(needed) and all(_is_constant(each, operators, held) for each in needed))


def _held(model: Any, graph: Any) -> set[int]:
    """Give the tensors whose values are in the file."""
    return {number for number, each in enumerate(graph.tensors) if model.buffers[each.buffer].data is not None}


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
