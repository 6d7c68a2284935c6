"""ONNX that is not one operator after the other, with sizes known only at run time, through SavedModel and TFLite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

from deploy_core.dtypes import dtype_name
from deploy_core.signature import Array, Signature, TensorSpec
from deploy_exporters.formats import savedmodel, tflite
from deploy_exporters.steps.job import Job
from deploy_exporters.steps.tensorflow import tflite_from_savedmodel
from deploy_exporters.translation import savedmodel_from_onnx

HEAD = '<ir_version: 9, opset_import: ["" : 18]>\n'
MODELS = {
    "a loop that grows a sequence": """
    g (float[n,3] x) => (float[m,3] y) {
      rounds = Size (x)
      zero = Constant <value = int64 {0}> ()
      on = Constant <value = bool {1}> ()
      none = SequenceEmpty ()
      grown = Loop (rounds, on, none) <body = round (int64 i, bool go, seq(float[1,3]) before) => (bool again, seq(float[1,3]) after) {
        again = Identity (go)
        number = Cast <to = 1> (i)
        first = Constant <value_ints = [0]> ()
        head = Gather <axis = 0> (x, first)
        row = Add (head, number)
        after = SequenceInsert (before, row)
      }>
      y = ConcatFromSequence <axis = 0> (grown)
    }""",
    "a loop that passes a weight on": """
    g (float[n,3] x) => (float[n,3] y) {
      w0 = Constant <value = float[3,3] {1, 0, 0.5, 0, 1, 0, 0.5, 0, 1}> ()
      rounds = Constant <value = int64 {3}> ()
      on = Constant <value = bool {1}> ()
      w9, y = Loop (rounds, on, w0, x) <body = round (int64 i, bool go, float[3,3] w, float[n,3] h) => (bool again, float[3,3] w1, float[n,3] h1) {
        again = Identity (go)
        w1 = Identity (w)
        h1 = MatMul (h, w)
      }>
    }""",
    "a scan of as many steps as there are": """
    g (float[n,3] x) => (float[3] y, float[n,3] steps) {
      start = Constant <value = float[3] {0, 0, 0}> ()
      y, steps = Scan <num_scan_inputs = 1, body = step (float[3] s, float[3] row) => (float[3] t, float[3] out) {
        t = Add (s, row)
        out = Mul (t, t)
      }> (start, x)
    }""",
    "exact GELU spelled out beside another half of x": """
    g (float[n,3] x) => (float[n,3] y, float[n,3] half_x, float[n,3] e) {
      root = Constant <value = float {1.4142135381698608}> ()
      one = Constant <value = float {1}> ()
      half = Constant <value = float {0.5}> ()
      scaled = Div (x, root)
      erf = Erf (scaled)
      plus = Add (erf, one)
      half_x = Mul (x, half)
      y = Mul (half_x, plus)
      e = Erf (x)
    }""",
    "boxes of any number of pictures": """
    g (float[n,4,4] boxes, float[n,2,4] scores) => (int64[k,3] y) {
      most = Constant <value = int64[1] {2}> ()
      overlap = Constant <value = float[1] {0.5}> ()
      least = Constant <value = float[1] {0.3}> ()
      y = NonMaxSuppression (boxes, scores, most, overlap, least)
    }""",
    "pooling of volumes": """
    g (float[n,2,d,6,5] x) => (float[n,2,a,b,c] y, float[n,2,e,f,h] z) {
      y = MaxPool <kernel_shape = [2, 3, 2], strides = [2, 2, 1], pads = [1, 1, 0, 0, 1, 1]> (x)
      z = AveragePool <kernel_shape = [3, 2, 2], pads = [1, 0, 1, 1, 1, 0]> (x)
    }""",
    "cubic pictures of any size": """
    g (float[n,1,h,w] x) => (float[n,1,a,b] y) {
      none = Constant <value = float[0] {}> ()
      scales = Constant <value = float[4] {1, 1, 2, 2}> ()
      y = Resize <mode = "cubic", coordinate_transformation_mode = "half_pixel"> (x, none, scales)
    }""",
    "whole numbers of 64 bits": """
    g (int64[n,3] x) => (int64[n,3] y, int64[1] half) {
      size = Abs (x)
      side = Sign (x)
      y = Mul (size, side)
      shape = Shape <end = 1> (x)
      two = Constant <value_ints = [2]> ()
      half = Div (shape, two)
    }""",
}  # fmt: skip


def boxes(random: np.random.Generator, n: int) -> dict[str, Array]:
    corners = random.random((n, 4, 2), np.float32)
    sides = corners + 0.2 + random.random((n, 4, 2), np.float32)
    return {"boxes": np.concatenate([corners, sides], -1), "scores": random.random((n, 2, 4), np.float32)}


INPUTS: dict[str, Callable[[np.random.Generator, int], dict[str, Array]]] = {
    "boxes of any number of pictures": boxes,
    "pooling of volumes": lambda r, n: {"x": r.standard_normal((n, 2, n + 4, 6, 5), np.float32)},
    "cubic pictures of any size": lambda r, n: {"x": r.standard_normal((n, 1, n + 3, 4), np.float32)},
    "whole numbers of 64 bits": lambda r, n: {"x": r.integers(-(2**40), 2**40, (n, 3))},
}


def spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in kind.shape.dim)
    return TensorSpec(value.name, dtype_name(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)), shape)


@pytest.mark.parametrize("name", MODELS)
def test_files_answer_as_onnx_runtime_at_every_size(tmp_path: Path, name: str) -> None:
    model = parser.parse_model(HEAD + MODELS[name])
    onnx.save(model, tmp_path / "model.onnx")
    signature = Signature(tuple(map(spec, model.graph.input)), tuple(map(spec, model.graph.output)))
    savedmodel_from_onnx(tmp_path / "model.onnx", tmp_path / "savedmodel", signature)
    tflite_from_savedmodel(Job(tmp_path / "savedmodel", tmp_path / "model.tflite", signature, (), "model"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    loaded = savedmodel.load(tmp_path / "savedmodel", signature), tflite.load(tmp_path / "model.tflite", signature)
    random = np.random.default_rng(3)
    for n in (2, 1, 5):
        make = INPUTS.get(name, lambda r, n: {"x": r.standard_normal((n, 3), np.float32)})
        inputs = make(random, n)
        wanted = session.run(None, inputs)
        for predictor in loaded:
            got = predictor.predict(inputs)
            for output, want in zip(signature.outputs, wanted, strict=True):
                assert (got[output.name].dtype, got[output.name].shape) == (want.dtype, want.shape), (output.name, n)
                np.testing.assert_allclose(got[output.name], want, rtol=1e-5, atol=1e-5)
