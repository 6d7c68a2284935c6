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


def tensors(model: Any) -> Iterator[Any]:
    """Give every tensor that is written into a model."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[Any]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        if attribute.type == onnx.AttributeProto.TENSOR:
            yield attribute.t
        elif attribute.type == onnx.AttributeProto.GRAPH:
            yield from _of_graph(attribute.g)


def _place(tensor: Any) -> dict[str, str]:
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return {}
    return {entry.key: entry.value for entry in tensor.external_data}


def _read(path: Path, place: dict[str, str]) -> bytes:
    with path.open("rb") as file:
        file.seek(int(place.get("offset", 0)))
        return file.read(int(place["length"])) if "length" in place else file.read()
