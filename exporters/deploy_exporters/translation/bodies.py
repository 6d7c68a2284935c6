"""Putting bodies in place of calls: of a model's local functions, and of operators that the standard defines by others."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import inliner, shape_inference

from deploy_exporters.translation.table import OPERATORS

STANDARD = ("", "ai.onnx")
_DEEPEST_BODY = 3  # bodies are made of operators that may have bodies
_BODIES = "deploy.bodies"


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Give the nodes of a graph and of all graphs within it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes_of(inner)


def is_known(node: onnx.NodeProto) -> bool:
    """Tell whether the operator of a node has a translation of its own."""
    return node.domain in STANDARD and node.op_type in OPERATORS


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put all bodies in, as far as there are any; the model that was given stays as it is."""
    if model.functions:
        model = inliner.inline_local_functions(model)
    for _ in range(_DEEPEST_BODY):
        calls = {(node.domain, node.op_type) for node in nodes_of(model.graph) if not is_known(node)}
        for domain, name in sorted(calls):
            model = _with_body(model, domain, name)
    return model


def _with_body(model: onnx.ModelProto, domain: str, name: str) -> onnx.ModelProto:
    version = next((o.version for o in model.opset_import if o.domain == domain), 0)
    if not onnx.defs.has(name, version, domain):
        return model
    schema = onnx.defs.get_schema(name, version, domain)
    if not (schema.has_function or schema.has_context_dependent_function):
        return model
    complete = _with_defaults(model, schema)
    try:
        return inliner.inline_selected_functions(complete, [(domain, name)], inline_schema_functions=True)
    except RuntimeError:  # the inliner stumbles over inputs that are left out
        return _with_own_functions(complete, schema)


def _with_defaults(model: onnx.ModelProto, schema: onnx.defs.OpSchema) -> onnx.ModelProto:
    """Write the default attributes out, of which the inliner knows nothing."""
    complete = onnx.ModelProto()
    complete.CopyFrom(model)
    defaults = {attribute.name: attribute.default_value for attribute in schema.attributes.values()}
    for node in nodes_of(complete.graph):
        if (node.domain, node.op_type) == (schema.domain, schema.name):
            given = {attribute.name for attribute in node.attribute}
            node.attribute.extend(value for key, value in defaults.items() if value.name and key not in given)
    return complete


def _with_own_functions(model: onnx.ModelProto, schema: onnx.defs.OpSchema) -> onnx.ModelProto:
    """Make a local function for each call, built for the types of its inputs, and put that in."""
    if not schema.has_context_dependent_function:
        return model
    typed = shape_inference.infer_shapes(model)
    graph = typed.graph
    types = {value.name: value.type for value in (*graph.input, *graph.value_info, *graph.output)}
    for index, node in enumerate(graph.node):
        if (node.domain, node.op_type) != (schema.domain, schema.name):
            continue
        given = [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.input]
        body = onnx.FunctionProto.FromString(schema.get_context_dependent_function(node.SerializeToString(), given))
        for needed in body.opset_import:  # the inliner leaves out a body of another version
            needed.version = next((o.version for o in typed.opset_import if o.domain == needed.domain), needed.version)
        body.name, body.domain = f"{schema.name}_{index}", _BODIES
        node.op_type, node.domain = body.name, body.domain
        typed.functions.append(body)
    typed.opset_import.append(onnx.helper.make_opsetid(_BODIES, 1))
    inner = inliner.inline_local_functions(typed)
    left = any(node.domain == _BODIES for node in nodes_of(inner.graph))
    return model if left else inner
