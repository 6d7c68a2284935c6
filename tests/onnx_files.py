"""ONNX written as text, through SavedModel and TFLite, against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, parser

from deploy_core.dtypes import dtype_name
from deploy_core.signature import Array, Signature, TensorSpec
from deploy_exporters.formats import savedmodel, tflite
from deploy_exporters.steps.job import Job
from deploy_exporters.steps.tensorflow import tflite_from_savedmodel
from deploy_exporters.translation import savedmodel_from_onnx

HEAD = '<ir_version: 9, opset_import: ["" : 18]>\n'
SIZES = (2, 1, 5)


def parsed(text: str) -> onnx.ModelProto:
    """Read a model; its inputs with names in capitals become weights."""
    model = parser.parse_model(HEAD + text)
    random = np.random.default_rng(11)
    for value in [value for value in model.graph.input if value.name.isupper()]:
        weight = random.uniform(-0.9, 0.9, spec(value).shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, value.name))
        model.graph.input.remove(value)
    return model


def spec(value: onnx.ValueInfoProto) -> TensorSpec:
    """Give what a graph says of an input or an output."""
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in kind.shape.dim)
    return TensorSpec(value.name, dtype_name(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)), shape)


def signature_of(model: onnx.ModelProto) -> Signature:
    """Give the signature that a graph tells."""
    return Signature(tuple(map(spec, model.graph.input)), tuple(map(spec, model.graph.output)))


def assert_same_answers(
    text: str,
    folder: Path,
    make: Callable[[np.random.Generator, int], Mapping[str, Array]],
    *,
    oracle: str = "",
    sizes: Sequence[int] = SIZES,
) -> None:
    """Compare both files with ONNX Runtime at several sizes; `oracle` is an equal model where it cannot run the first."""
    model = parsed(text)
    onnx.save(model, folder / "model.onnx")
    signature = signature_of(model)
    savedmodel_from_onnx(folder / "model.onnx", folder / "savedmodel", signature)
    tflite_from_savedmodel(Job(folder / "savedmodel", folder / "model.tflite", signature, (), "model"))
    session = onnxruntime.InferenceSession(parsed(oracle or text).SerializeToString())
    loaded = savedmodel.load(folder / "savedmodel", signature), tflite.load(folder / "model.tflite", signature)
    random = np.random.default_rng(3)
    for n in sizes:
        inputs = make(random, n)
        wanted = session.run(None, inputs)
        for predictor in loaded:
            got = predictor.predict(inputs)
            for output, want in zip(signature.outputs, wanted, strict=True):
                assert (got[output.name].dtype, got[output.name].shape) == (want.dtype, want.shape), (output.name, n)
                np.testing.assert_allclose(got[output.name], want, rtol=1e-5, atol=1e-5, err_msg=output.name)
