"""The weights of an ONNX file, which may lie in files beside it.

onnx itself refuses to read such a file if it has a second hard link, and every file of a store may have one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import onnx

from deploy_core.errors import ExportError


def load(path: Path) -> Any:
    """Read an ONNX file with all its weights. Raises ExportError for weights outside its folder."""
    model = onnx.load(str(path), load_external_data=False)
    for tensor in tensors(model):
        if place := _place(tensor):
            tensor.raw_data = _read(path.parent / inside(place["location"]), place)
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
    return model


def locations(path: Path) -> tuple[str, ...]:
    """Name the files beside an ONNX file that hold weights of it, without reading them."""
    model = onnx.load(str(path), load_external_data=False)
    places = filter(None, (_place(tensor) for tensor in tensors(model)))
    return tuple(dict.fromkeys(place["location"] for place in places))


def inside(name: str) -> PurePath:
    """Give the place of a file relative to the folder of the graph. Raises ExportError if it leads out of it."""
    place = PurePath(name)
    if place.is_absolute() or ".." in place.parts:
        raise ExportError(
            f"the ONNX file has weights in {name!r}, outside its folder", hint="write it again with them beside it"
        )
    return place


def graphs(model: Any) -> Iterator[Any]:
    """Give every graph of a model: its own, its functions, those for training, and those inside of nodes."""
    todo = [model.graph, *model.functions, *(info.algorithm for info in model.training_info)]
    while todo:
        graph = todo.pop()
        yield graph
        for attribute in (each for node in graph.node for each in node.attribute):
            todo += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]


def tensors(model: Any) -> Iterator[Any]:
    """Give every tensor that is written into a model."""
    for graph in graphs(model):
        yield from getattr(graph, "initializer", ())  # a function has none
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for attribute in (each for node in graph.node for each in node.attribute):
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _place(tensor: Any) -> dict[str, str]:
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return {}
    return {entry.key: entry.value for entry in tensor.external_data}


def _read(path: Path, place: dict[str, str]) -> bytes:
    with path.open("rb") as file:
        file.seek(int(place.get("offset", 0)))
        return file.read(int(place["length"])) if "length" in place else file.read()
