"""Writing a SavedModel around a translated graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf

from deploy_core.errors import ExportError
from deploy_core.signature import Signature, TensorSpec
from deploy_exporters.exact_names import argument_name, rename_inputs, tensor_spec
from deploy_exporters.formats.savedmodel import SIGNATURE
from deploy_exporters.translation.graph import model_outputs
from deploy_exporters.translation.model import first_unknown, load, opset_of, unknown_operators
from deploy_exporters.translation.values import WEIGHTS, Value, Weights, tensor


def write(onnx_path: Path, folder: Path, signature: Signature) -> None:
    """Translate an ONNX file and write it as a SavedModel with one signature. Raises ExportError.

    Weights become variables: a graph is one protobuf message and ends at 2 GB, a checkpoint does not; TFLiteConverter
    and freezing turn them back into constants.
    """
    model = load(onnx_path)
    if names := unknown_operators(model):
        raise ExportError(
            f"{onnx_path.name} has operators without a translation to TensorFlow: {', '.join(names)}"
            f" (the first is node {first_unknown(model)!r})",
            hint="deploy the ONNX file itself, or write the model without them",
        )
    _check_names(model, signature)
    weights = Weights()
    function = translated(model, signature, weights)
    module = tf.Module()  # tracked by attribute: a subclass would be untyped
    module.weights = weights.variables
    module.function = function
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: function})
    rename_inputs(folder, signature.inputs)


def _check_names(model: onnx.ModelProto, signature: Signature) -> None:
    weights = {tensor.name for tensor in model.graph.initializer}
    have = [value.name for value in model.graph.input if value.name not in weights]
    for kind, specs, names in (("input", signature.inputs, have), ("output", signature.outputs, _outputs(model))):
        if sorted(spec.name for spec in specs) != sorted(names):
            wanted = ", ".join(spec.name for spec in specs)
            raise ExportError(f"the {kind}s of the ONNX model are {', '.join(names)}, the signature says {wanted}")

    arguments: dict[str, str] = {}
    for spec in signature.inputs:
        argument = argument_name(spec.name)
        if not argument.isascii():
            raise ExportError(f"TensorFlow takes no input named {spec.name!r}", hint="rename it in ASCII letters")
        if argument in arguments:
            raise ExportError(
                f"to TensorFlow the inputs {arguments[argument]!r} and {spec.name!r} have the same name",
                hint="rename one of them so that they differ in letters or digits",
            )
        arguments[argument] = spec.name


def _outputs(model: onnx.ModelProto) -> list[str]:
    return [value.name for value in model.graph.output]


def translated(model: onnx.ModelProto, signature: Signature, weights: Weights) -> Any:
    """Trace the model to a concrete function whose arguments and results carry the names of the signature."""
    opset = opset_of(model)

    def predict(*arguments: Value) -> dict[str, Value]:
        inputs = {spec.name: value for spec, value in zip(signature.inputs, arguments, strict=True)}
        outputs = model_outputs(model, opset, inputs)
        return {spec.name: _finished(spec, outputs[spec.name]) for spec in signature.outputs}

    token = WEIGHTS.set(weights)
    try:
        return _named(predict, signature)
    finally:
        WEIGHTS.reset(token)


def _named(predict: Callable[..., Mapping[str, Value]], signature: Signature) -> Any:
    specs = [tensor_spec(spec) for spec in signature.inputs]
    return tf.function(predict, input_signature=specs, autograph=False).get_concrete_function()


def _finished(spec: TensorSpec, value: Value) -> Any:
    """Check an output's dtype and give it the shape that the signature promises."""
    result = tf.identity(tensor(value))
    if result.dtype.name != spec.dtype:
        raise ExportError(f"output {spec.name!r} became {result.dtype.name}, the signature says {spec.dtype}")
    result.set_shape([dim if isinstance(dim, int) else None for dim in spec.shape])
    return result
