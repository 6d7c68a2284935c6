"""SavedModel to ONNX: its variables made constants, then tf2onnx, then our names again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import tensorflow as tf
import tf2onnx

from deploy_core.errors import ExportError
from deploy_core.signature import Signature
from deploy_exporters import frugal
from deploy_exporters.exact_names import argument_name
from deploy_exporters.formats.onnx import FROM_TENSORFLOW
from deploy_exporters.formats.savedmodel import SIGNATURE
from deploy_exporters.steps import onnx_file, onnx_order
from deploy_exporters.steps.frozen import frozen
from deploy_exporters.steps.job import Job


def onnx_from_savedmodel(job: Job) -> str:
    """Write ONNX by tf2onnx."""
    opset = onnx_file.opset_of(job.options, FROM_TENSORFLOW, FROM_TENSORFLOW[-1])
    onnx_file.check_names(job.signature)
    loaded = tf.saved_model.load(str(job.read))
    function = frozen(loaded.signatures[SIGNATURE])
    inputs = _inputs(function, job.signature)
    outputs = _outputs(function, loaded.signatures[SIGNATURE], job.signature)
    with frugal.prompt_collection():  # every pass of its optimizer copies the graph, weights and all, and drops a cycle
        model, _ = tf2onnx.convert.from_graph_def(
            function.graph.as_graph_def(),
            input_names=list(inputs.values()),
            output_names=list(outputs.values()),
            opset=opset,
            custom_op_handlers={"Erfc": (_erfc, [])},
        )
    _rename(model.graph, {tensor: name for name, tensor in (*inputs.items(), *outputs.items())})
    _order(model.graph.input, [spec.name for spec in job.signature.inputs])
    _order(model.graph.output, [spec.name for spec in job.signature.outputs])
    onnx_order.settle(model.graph)
    onnx.save(model, str(job.writes))
    onnx_file.finish(job.writes, job.signature, external=onnx_file.wants_external(job.options))
    return ""


def _inputs(function: Any, signature: Signature) -> dict[str, str]:
    by_argument = {tensor.name.partition(":")[0].lower(): tensor.name for tensor in function.inputs}
    arguments = {spec.name: argument_name(spec.name).lower() for spec in signature.inputs}
    missing = [name for name, argument in arguments.items() if argument not in by_argument]
    if missing:
        raise ExportError(
            f"the frozen graph has no input {', '.join(missing)}", hint=f"it has {', '.join(by_argument)}"
        )
    return {name: by_argument[argument] for name, argument in arguments.items()}


def _outputs(constant: Any, function: Any, signature: Signature) -> dict[str, str]:
    # The outputs of a frozen function are flat, in the order of the sorted keys of its dict.
    names = sorted(function.structured_outputs)
    by_name = dict(zip(names, (tensor.name for tensor in constant.outputs), strict=True))
    return {spec.name: by_name[spec.name] for spec in signature.outputs}


def _erfc(context: Any, node: Any, name: str, args: Sequence[Any]) -> None:
    """Write 1 − erf(x): ONNX has no Erfc."""
    import numpy as np
    from tf2onnx import utils

    dtype, shape = context.get_dtype(node.output[0]), context.get_shape(node.output[0])
    one = context.make_const(utils.make_name("one"), np.ones((), utils.map_onnx_to_numpy_type(dtype)))
    inputs, outputs = list(node.input), list(node.output)
    context.remove_node(node.name)
    erf = context.make_node("Erf", inputs, shapes=[shape], dtypes=[dtype])
    context.make_node("Sub", [one.output[0], erf.output[0]], name=name, outputs=outputs, shapes=[shape], dtypes=[dtype])


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    taken = {out for node in graph.node for out in node.output} | {tensor.name for tensor in graph.initializer}
    clash = {name: f"{name}__inner" for name in names.values() if name in taken and name not in names}
    every = {**clash, **names}
    for node in graph.node:
        for field in (node.input, node.output):
            field[:] = [every.get(name, name) for name in field]
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = every.get(value.name, value.name)


def _order(values: Any, names: Sequence[str]) -> None:
    by_name = {value.name: value for value in values}
    if set(by_name) != set(names):
        raise ExportError(
            f"tf2onnx wrote the tensors {', '.join(by_name)}, wanted are {', '.join(names)}",
            hint="what is too many is what it has no operator for, such as a table of words; deploy the SavedModel",
        )
    ordered = [onnx.ValueInfoProto.FromString(by_name[name].SerializeToString()) for name in names]
    del values[:]
    values.extend(ordered)
