"""The exact tensor names in a SavedModel, where TensorFlow would keep what it made of them as arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2

SIGNATURE = "serving_default"


def argument_name(name: str) -> str:
    """Give the argument name that TensorFlow, too, makes of a tensor name when a signature is called with it."""
    cleaned = "".join(letter if letter.isalnum() else "_" for letter in name)
    return cleaned if cleaned[:1].isalpha() else f"arg_{cleaned}"


def rename_inputs(path: Path, exact: Mapping[str, str]) -> None:
    """Put the exact tensor names where TensorFlow keeps those of the arguments, which have to be identifiers."""
    if all(argument == name for argument, name in exact.items()):
        return
    file = saved_model_pb2.SavedModel()
    file.ParseFromString(path.read_bytes())
    (graph,) = file.meta_graphs
    inputs = graph.signature_def[SIGNATURE].inputs
    infos = {exact[argument]: info.SerializeToString() for argument, info in inputs.items()}
    inputs.clear()
    for name, info in infos.items():
        inputs[name].ParseFromString(info)
    for node in graph.object_graph_def.nodes:
        if node.WhichOneof("kind") == "bare_concrete_function":
            keywords = node.bare_concrete_function.argument_keywords
            keywords[:] = [exact.get(keyword, keyword) for keyword in keywords]
    path.write_bytes(file.SerializeToString(deterministic=True))
