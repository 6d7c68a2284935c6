"""Faults in ONNX files."""

from __future__ import annotations

import numpy as np

from benchmarks.faults import onnx_faults as o
from benchmarks.faults.fault import Fault
from benchmarks.faults.rows import in_torch as kinds


def _onnx(
    name: str, kind: str, model: str, edit: o.Edit, named: str, inside: str = "", *, quick: bool = False
) -> Fault:
    return Fault(name, kind, "ONNX", model, o.edited(edit), named, inside, quick)


def _gates(array: np.ndarray) -> np.ndarray:
    """Order the gates as PyTorch has them (i f g o), where ONNX wants i o f c."""
    gates = array.reshape(1, -1, 4, 8, *array.shape[2:]) if array.ndim == 2 else array.reshape(1, 1, 4, 8, -1)
    return gates[:, :, [0, 2, 3, 1]].reshape(array.shape)


def _forget_more(array: np.ndarray) -> np.ndarray:
    """Scale one row of the recurrent weight of the forget gate, the third of i o f c."""
    array[0, 2 * 8 + 3] *= 1.05
    return array


def _reset_sooner(array: np.ndarray) -> np.ndarray:
    """Move the bias of the reset gate, the second of z r h, in the direction that runs backwards."""
    array[1, 8:16] += 0.01
    return array


def _flip(array: np.ndarray) -> np.ndarray:
    return array[:, :, ::-1, ::-1]


def _rolled(array: np.ndarray) -> np.ndarray:
    return np.roll(array, 1, axis=0)


def _two(array: np.ndarray) -> np.ndarray:
    return array[[0, 3, 2, 1, 4]]


def _spoilt_word(array: np.ndarray) -> np.ndarray:
    array[777] = array[776]
    return array


_scores, _logits, _classes = "output scores", "output logits", "output classes"
FAULTS = (
    _onnx("query-for-key", kinds.WEIGHTS, "reader", o.swapped("query.bias", "key.bias"), _classes, "query|node_linear$"),
    _onnx("kernel-flipped", kinds.WEIGHTS, "vision", o.weight("conv.weight", _flip), _logits, "conv", quick=True),
    _onnx("gates-in-torch-order", kinds.WEIGHTS, "forecast", o.weight("val_42", _gates), "output forecast", "lstm: .* gates in another order"),
    _onnx("forget-gate-scaled", kinds.WEIGHTS, "forecast", o.operand("LSTM", 2, _forget_more), "output forecast", "lstm: recurrent weight of the forget gate"),
    _onnx("reset-gate-bias", kinds.WEIGHTS, "sensor", o.operand("GRU", 3, _reset_sooner), "output level", r"gru: bias of the reset gate .*\(backward\)"),
    _onnx("reset-before-product", kinds.RESET, "sensor", o.attribute("GRU", "linear_before_reset", 0), "output level", "gru: .*linear_before_reset False, wanted is True"),
    _onnx("norm-epsilon", kinds.NORM, "reader", o.attribute("LayerNormalization", "epsilon", 1e-3), _classes, "norm"),
    _onnx("noise-left-on", kinds.DROPOUT, "scorer", o.noise_on(0.001), "again|repeat|same (request|input)", "noise|noisy|linear_1|gelu"),
    _onnx("flatten-after-transpose", kinds.LAYOUT, "vision", o.before("Reshape", ("Transpose", {"perm": [0, 2, 3, 1]})), _logits, "Transpose|Reshape|put_0|last|view"),
    _onnx("resize-pixel-centres", kinds.RESIZE, "photo", o.attribute("Resize", "coordinate_transformation_mode", "asymmetric"), _scores, "Resize|upsample"),
    _onnx("colours-of-other-data", kinds.MEAN, "photo", o.weight("std", lambda a: a[:, ::-1]), _scores, "Div|div"),
    _onnx("softmax-twice", kinds.SOFTMAX, "scorer", o.appended("scores", "Softmax", axis=1), "softmax too many", quick=True),
    _onnx("softmax-over-the-batch", kinds.SOFTMAX, "scorer", o.attribute("Softmax", "axis", 0), "batch|row|" + _scores, "softmax", quick=True),
    _onnx("attention-over-queries", kinds.SOFTMAX, "reader", o.attribute("Softmax", "axis", 1), _classes, "softmax"),
    _onnx("labels-off-by-one", kinds.LABELS, "photo", o.all_of(o.weight("last.weight", _rolled), o.weight("last.bias", _rolled)), "another order", "last|linear"),
    _onnx("two-labels-swapped", kinds.LABELS, "scorer", o.all_of(o.weight("last.weight", _two), o.weight("last.bias", _two)), "another order", "last|linear", quick=True),
    _onnx("embedding-off-by-one", kinds.TOKENS, "reader", o.weight("words.weight", _rolled), _classes, "words|embedding"),
    _onnx("one-word-spoilt", kinds.SELDOM, "reader", o.weight("words.weight", _spoilt_word), _classes, "words|embedding"),
    _onnx("sum-of-int64-in-float64", kinds.OVERFLOW, "counter", o.summed(), "output total"),
    _onnx("weights-in-float16", kinds.HALF, "vision", o.rounded_weights(np.float16), _logits, "conv"),
    _onnx("gelu-by-tanh-attribute", kinds.GELU, "reader", o.attribute("Gelu", "approximate", "tanh"), _classes, "gelu"),
    _onnx("same-lower", kinds.PADDING, "vision", o.attribute("Conv", "pads", [1, 1, 0, 0], index=1), _logits, "down|Conv_24|getitem_3", quick=True),
    _onnx("batch-frozen-at-64", kinds.FROZEN, "scorer", o.frozen(64), "batch", quick=True),
    _onnx("batch-frozen-at-1", kinds.FROZEN, "scorer", o.frozen(1), "batch"),
    _onnx("reshape-to-1-row", kinds.FROZEN, "vision", o.frozen_reshape(1), "batch|shape"),
    _onnx("input-renamed", kinds.SIGNATURE, "scorer", o.renamed({"features": "input"}), "features"),
    _onnx("output-renamed", kinds.SIGNATURE, "scorer", o.renamed({"scores": "output_0"}), "'scores' is missing"),
    _onnx("outputs-by-place", kinds.ORDER, "heads", o.reordered(["corners", "sizes"]), "swapped-outputs"),
)  # fmt: skip
