"""LSTM, GRU and RNN with all that ONNX lets them have, at lengths known and not, through SavedModel and TFLite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from onnx_files import assert_same_answers

from deploy_core.signature import Array

LSTM = """
g (float[{t},n,3] x, int32[n] lengths, float[2,n,4] h0, float[2,n,4] c0, float[2,16,3] W, float[2,16,4] R, float[2,32] B, float[2,12] P)
  => (float[{t},2,n,4] y, float[2,n,4] h, float[2,n,4] c) {{
  y, h, c = LSTM <hidden_size = 4, direction = "bidirectional", {more}> (x, W, R, B, lengths, h0, c0, P)
}}"""
GRU = """
g (float[{t},n,3] x, int32[n] lengths, float[2,n,4] h0, float[2,12,3] W, float[2,12,4] R, float[2,24] B)
  => (float[{t},2,n,4] y, float[2,n,4] h) {{
  y, h = GRU <hidden_size = 4, direction = "bidirectional", {more}> (x, W, R, B, lengths, h0)
}}"""
RNN = """
g (float[{t},n,3] x, float[1,4,3] W, float[1,4,4] R, float[1,8] B) => (float[{t},1,n,4] y, float[1,n,4] h) {{
  y, h = RNN <hidden_size = 4, {more}> (x, W, R, B)
}}"""
# ONNX Runtime has no such layout: it gets the same model with the axes put in order around it.
BATCH_FIRST = """
g (float[n,5,3] x, float[n,2,4] h0, float[2,12,3] W, float[2,12,4] R) => (float[n,5,2,4] y, float[n,2,4] h) {
  y, h = GRU <hidden_size = 4, direction = "bidirectional", layout = 1> (x, W, R, , , h0)
}"""
TIME_FIRST = """
g (float[n,5,3] x, float[n,2,4] h0, float[2,12,3] W, float[2,12,4] R) => (float[n,5,2,4] y, float[n,2,4] h) {
  steps = Transpose <perm = [1, 0, 2]> (x)
  states = Transpose <perm = [1, 0, 2]> (h0)
  all, last = GRU <hidden_size = 4, direction = "bidirectional"> (steps, W, R, , , states)
  y = Transpose <perm = [2, 0, 1, 3]> (all)
  h = Transpose <perm = [1, 0, 2]> (last)
}"""
OTHERS = 'activations = ["Sigmoid", "Tanh", "Softsign", "Sigmoid", "Softsign", "Tanh"]'


def drawn(random: np.random.Generator, n: int, steps: int, *names: str) -> Mapping[str, Array]:
    made = {
        "x": random.standard_normal((steps, n, 3), np.float32),
        "lengths": random.integers(1, steps + 1, n).astype(np.int32),
        "h0": random.standard_normal((2, n, 4), np.float32),
        "c0": random.standard_normal((2, n, 4), np.float32),
    }
    return {name: made[name] for name in names}


@pytest.mark.parametrize("steps", [0, 5])
@pytest.mark.parametrize(
    ("text", "more", "names"),
    [
        (LSTM, OTHERS, ("x", "lengths", "h0", "c0")),
        (GRU, "linear_before_reset = 0", ("x", "lengths", "h0")),
        (RNN, 'direction = "reverse", activations = ["Relu"]', ("x",)),
    ],
)
def test_all_inputs_and_directions(tmp_path: Path, text: str, more: str, names: tuple[str, ...], steps: int) -> None:
    assert_same_answers(
        text.format(t=steps or "t", more=more), tmp_path, lambda random, n: drawn(random, n, steps or 2 + n, *names)
    )


@pytest.mark.parametrize(
    ("text", "more", "names"),
    [
        (LSTM, "clip = 0.3", ("x", "lengths", "h0", "c0")),
        (LSTM, "input_forget = 1", ("x", "lengths", "h0", "c0")),
        (GRU, "linear_before_reset = 1", ("x", "lengths", "h0")),
        (GRU, "clip = 0.3", ("x", "lengths", "h0")),
    ],
)
def test_other_ways_of_the_gates(tmp_path: Path, text: str, more: str, names: tuple[str, ...]) -> None:
    assert_same_answers(text.format(t=3, more=more), tmp_path, lambda random, n: drawn(random, n, 3, *names), sizes=[2])


def test_the_batch_first(tmp_path: Path) -> None:
    def make(random: np.random.Generator, n: int) -> Mapping[str, Array]:
        shapes = {"x": (n, 5, 3), "h0": (n, 2, 4)}
        return {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}

    assert_same_answers(BATCH_FIRST, tmp_path, make, oracle=TIME_FIRST, sizes=[3])
