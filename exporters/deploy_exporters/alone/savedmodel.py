"""Some operators of a SavedModel as a graph of their own, with variables as constants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from deploy_core.errors import UsageError
from deploy_core.signature import Tensors
from deploy_exporters.formats.savedmodel import SIGNATURE
from deploy_exporters.inside import savedmodel as inside


def part(path: Path, tensors: Sequence[str], values: Tensors) -> bytes:
    """Give a GraphDef from `input0`, `input1`, … to `output`. Raises UsageError for a tensor that the graph has not."""
    model = tf.saved_model.load(str(path))  # its variables live as long as it does
    function = model.signatures[SIGNATURE]
    ends = tuple(function.structured_outputs)
    named = inside.tensors(function, ends)
    if unknown := [name for name in (*values, tensors[-1]) if name not in named]:
        raise UsageError(f"{path.name} has no tensor {unknown[0]!r}", hint="name its intermediates")
    frozen = next(iter(named.values())).graph
    made = tf.compat.v1.graph_util.extract_sub_graph(frozen.as_graph_def(), [named[tensors[-1]].op.name])
    with tf.Graph().as_default() as graph:
        given = {
            named[name].name: tf.compat.v1.placeholder(named[name].dtype, array.shape, f"input{place}")
            for place, (name, array) in enumerate(values.items())
        }
        (output,) = tf.import_graph_def(made, given, [named[tensors[-1]].name], name="part")
        tf.identity(output, "output")
        whole: bytes = tf.compat.v1.graph_util.extract_sub_graph(graph.as_graph_def(), ["output"]).SerializeToString()
    return whole
