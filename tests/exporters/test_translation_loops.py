"""ONNX that is not one operator after the other, with sizes known only at run time, through SavedModel and TFLite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_files import assert_same_answers, parsed, signature_of

from deploy_core.errors import ExportError
from deploy_core.signature import Array
from deploy_exporters.translation import savedmodel_from_onnx

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
    "loops that may end before their limit, or never begin": """
    g (float[n,3] x) => (float[m,3] early, float[n,3] maybe, float[k,3] open) {
      many = Constant <value = int64 {9}> ()
      on = Constant <value = bool {1}> ()
      rows = Shape <end = 1> (x)
      size = Squeeze (rows)
      two = Constant <value = int64 {2}> ()
      one = Constant <value = float {1}> ()
      few = Less (size, two)
      first = Constant <value_ints = [0]> ()
      line = Gather <axis = 0> (x, first)
      flat = Squeeze (line, first)
      last, early = Loop (many, on, flat) <body = ending (int64 i, bool go, float[3] h) => (bool again, float[3] h1, float[3] out) {
        again = Less (i, size)
        h1 = Add (h, one)
        out = Mul (h1, h1)
      }>
      maybe = Loop (two, few, x) <body = begun (int64 i2, bool go2, float[n,3] g) => (bool again2, float[n,3] g1) {
        again2 = Identity (go2)
        g1 = Add (g, one)
      }>
      end, open = Loop (, on, flat) <body = endless (int64 i3, bool go3, float[3] e) => (bool again3, float[3] e1, float[3] out3) {
        again3 = Less (i3, size)
        e1 = Add (e, one)
        out3 = Add (e1, e1)
      }>
    }""",
    "a scan of known length backwards on other axes": """
    g (float[n,4,3] x) => (float[n,3] last, float[n,3,4] sums) {
      one = Constant <value_ints = [1]> ()
      start = ReduceMax <keepdims = 0> (x, one)
      last, sums = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [1], scan_output_axes = [-1], scan_output_directions = [1], body = step (float[n,3] s, float[n,3] part) => (float[n,3] t, float[n,3] out) {
        t = Sub (part, s)
        out = Mul (t, part)
      }> (start, x)
    }""",
    "a scan of unknown length backwards on other axes": """
    g (float[2,n,3] x) => (float[2,3] last, float[2,n,3] sums) {
      one = Constant <value_ints = [1]> ()
      start = ReduceMax <keepdims = 0> (x, one)
      last, sums = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [1], scan_output_axes = [1], scan_output_directions = [0], body = step (float[2,3] s, float[2,3] part) => (float[2,3] t, float[2,3] out) {
        t = Sub (part, s)
        out = Mul (t, part)
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
    "boxes by their centres, as many as there are": """
    g (float[n,4,4] boxes, float[n,2,4] scores) => (int64[k,3] y) {
      most = Constant <value = int64[1] {9}> ()
      y = NonMaxSuppression <center_point_box = 1> (boxes, scores, most)
    }""",
    "pooling of volumes": """
    g (float[n,2,d,6,5] x) => (float[n,2,a,b,c] y, float[n,2,e,f,h] z) {
      y = MaxPool <kernel_shape = [2, 3, 2], strides = [2, 2, 1], pads = [1, 1, 0, 0, 1, 1]> (x)
      z = AveragePool <kernel_shape = [3, 2, 2], pads = [1, 0, 1, 1, 1, 0]> (x)
    }""",
    "pooling of volumes with gaps, wide borders and windows that are partly outside": """
    g (float[n,2,d,6,5] x) => (float[n,2,a,b,c] y, float[n,2,e,f,h] z, float[n,2,i,j,k] v, float[n,2,l,m,o] w) {
      y = MaxPool <kernel_shape = [2, 2, 2], dilations = [2, 1, 2], strides = [2, 1, 1], pads = [1, 0, 1, 0, 1, 1]> (x)
      z = MaxPool <kernel_shape = [3, 3, 3], pads = [2, 0, 2, 2, 2, 0]> (x)
      v = AveragePool <kernel_shape = [2, 3, 3], strides = [2, 2, 3], pads = [1, 1, 1, 1, 1, 1], ceil_mode = 1> (x)
      w = AveragePool <kernel_shape = [2, 3, 3], strides = [1, 2, 3], pads = [1, 1, 1, 1, 1, 1], ceil_mode = 1, count_include_pad = 1> (x)
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


def volumes(random: np.random.Generator, n: int) -> dict[str, Array]:
    return {"x": random.standard_normal((n, 2, n + 4, 6, 5), np.float32)}


INPUTS: dict[str, Callable[[np.random.Generator, int], dict[str, Array]]] = {
    "boxes of any number of pictures": boxes,
    "boxes by their centres, as many as there are": boxes,
    "a scan of known length backwards on other axes": lambda r, n: {"x": r.standard_normal((n, 4, 3), np.float32)},
    "a scan of unknown length backwards on other axes": lambda r, n: {"x": r.standard_normal((2, n, 3), np.float32)},
    "pooling of volumes": volumes,
    "pooling of volumes with gaps, wide borders and windows that are partly outside": volumes,
    "cubic pictures of any size": lambda r, n: {"x": r.standard_normal((n, 1, n + 3, 4), np.float32)},
    "whole numbers of 64 bits": lambda r, n: {"x": r.integers(-(2**40), 2**40, (n, 3))},
}


@pytest.mark.parametrize("name", MODELS)
def test_files_answer_as_onnx_runtime_at_every_size(tmp_path: Path, name: str) -> None:
    make = INPUTS.get(name, lambda random, n: {"x": random.standard_normal((n, 3), np.float32)})
    assert_same_answers(MODELS[name], tmp_path, make)


@pytest.mark.parametrize(
    ("start", "step", "words"),
    [
        (
            "one = SequenceConstruct (x)",
            "after = SequenceInsert (before, row)",
            "a sequence that is not empty enters it",
        ),
        (
            "one = SequenceEmpty ()",
            "more = SequenceInsert (before, row)\n        after = SequenceInsert (more, row)",
            "each round adds 2 tensors to a sequence",
        ),
    ],
)
def test_sequences_that_no_tensor_can_hold_are_refused(tmp_path: Path, start: str, step: str, words: str) -> None:
    text = f"""
    g (float[n,3] x) => (float[m,3] y) {{
      rounds = Size (x)
      on = Constant <value = bool {{1}}> ()
      {start}
      grown = Loop (rounds, on, one) <body = round (int64 i, bool go, seq(float[n,3]) before) => (bool again, seq(float[n,3]) after) {{
        again = Identity (go)
        row = Identity (x)
        {step}
      }}>
      y = ConcatFromSequence <axis = 0> (grown)
    }}"""
    model = parsed(text)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match=words):
        savedmodel_from_onnx(tmp_path / "model.onnx", tmp_path / "savedmodel", signature_of(model))
