"""A function of TensorFlow with its variables made constants and all that it calls written out."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

_XLA = "_XlaMustCompile"


def frozen(function: Any) -> Any:
    """Freeze a concrete function. Its loops stay whole: tf2onnx knows While, but not the pieces that it is lowered to.

    What is to be compiled by XLA, as Keras has it for grouped convolutions, is no call that TensorFlow would write out:
    it loses that mark first.
    """
    first = _frozen(function)
    graph = first.graph.as_graph_def()
    if not _unmark(graph):
        return first
    called = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    return _frozen(called.prune([each.name for each in first.inputs], [each.name for each in first.outputs]))


def _frozen(function: Any) -> Any:
    return convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=True)


def _unmark(graph: Any) -> bool:
    """Take the mark from calls and from what they call, which get new names: TensorFlow knows the old ones."""
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    marked = [node for node in nodes if node.attr.get(_XLA) and "f" in node.attr]
    names = {node.attr["f"].func.name for node in marked}
    for node in marked:
        del node.attr[_XLA]
    for node in nodes:
        if "f" in node.attr and node.attr["f"].func.name in names:
            node.attr["f"].func.name += "_plain"
    for function in graph.library.function:
        if function.signature.name in names:
            function.signature.name += "_plain"
            function.attr.pop(_XLA, None)
    return bool(marked)
