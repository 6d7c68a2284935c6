"""Tensors of a SavedModel that is being written, and their exact names, of which TensorFlow would make identifiers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from deploy_core.signature import TensorSpec
from deploy_exporters.formats.savedmodel import SIGNATURE


def argument_name(name: str) -> str:
    """Give the argument name that TensorFlow, too, makes of a tensor name when a signature is called with it."""
    cleaned = "".join(letter if letter.isalnum() else "_" for letter in name)
    return cleaned if cleaned[:1].isalpha() else f"arg_{cleaned}"


def tensor_spec(spec: TensorSpec) -> Any:
    """Give TensorFlow's form of a spec, for the argument of a signature."""
    shape = [dim if isinstance(dim, int) else None for dim in spec.shape]
    return tf.TensorSpec(shape, tf.as_dtype(spec.dtype), name=argument_name(spec.name))


def rename_inputs(folder: Path, inputs: Iterable[TensorSpec]) -> None:
    """Put the exact names of the inputs where TensorFlow keeps those of the arguments, which have to be identifiers."""
    exact = {argument_name(spec.name): spec.name for spec in inputs}
    if all(argument == name for argument, name in exact.items()):
        return
    path = folder / "saved_model.pb"
    file = saved_model_pb2.SavedModel()
    file.ParseFromString(path.read_bytes())
    (graph,) = file.meta_graphs
    told = graph.signature_def[SIGNATURE].inputs
    infos = {exact[argument]: info.SerializeToString() for argument, info in told.items()}
    told.clear()
    for name, info in infos.items():
        told[name].ParseFromString(info)
    for node in graph.object_graph_def.nodes:
        if node.WhichOneof("kind") == "bare_concrete_function":
            keywords = node.bare_concrete_function.argument_keywords
            keywords[:] = [exact.get(keyword, keyword) for keyword in keywords]
    path.write_bytes(file.SerializeToString(deterministic=True))
