"""Faults in TFLite files, SavedModels and TorchServe archives."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.faults import file_faults as f
from benchmarks.faults import onnx_faults as o
from benchmarks.faults.fault import Fault
from benchmarks.faults.rows import in_torch as kinds
from benchmarks.faults.torch_faults import transpose

_scores, _logits = "output scores", "output logits"


def _tflite(name: str, kind: str, model: str, edit: f.Edit, named: str, inside: str = "") -> Fault:
    return Fault(name, kind, "TFLite", model, f.tflite(edit), named, inside)


def _int8(name: str, edit: f.Edit, file: str = "tflite-int8") -> Fault:
    return Fault(name, kinds.INT8, f"stored {file}", "vision", f.stored(file, edit), _logits)


def _saved(name: str, kind: str, model: str, edit: o.Edit, named: str, inside: str = "", **more: Any) -> Fault:
    return Fault(name, kind, "SavedModel", model, f.savedmodel(edit), named, inside, **more)


def _mar(
    name: str, kind: str, model: str, named: str, *, trust: bool = False, quick: bool = False, **changes: Any
) -> Fault:
    return Fault(name, kind, ".mar", model, f.archive(**changes), named, "", quick, trust)


def _shorter(array: np.ndarray) -> np.ndarray:
    return array * np.float32(1.0001)


def _plus_one(array: np.ndarray) -> np.ndarray:
    return np.asarray(array + np.ones_like(array))


_TWICE = f.put_in(
    "outputs = outputs or dict(zip(self.names, self.run(inputs), strict=True))",
    "outputs = outputs or dict(zip(self.names, self.run(inputs), strict=True))\n"
    "        outputs = {n: (d, np.exp(a) / np.exp(a).sum(-1, keepdims=True)) for n, (d, a) in outputs.items()}",
)
_SWAP = f.put_in('"name": "corners"', '"name": "was corners"')


def _swapped_names(text: str) -> str:
    return _SWAP(text).replace('"name": "sizes"', '"name": "corners"').replace('"was corners"', '"sizes"')


FAULTS = (
    _tflite("tflite-swapped-weights", kinds.WEIGHTS, "scorer", f.swapped_weights(1, 2), _scores, "linear_1|second"),
    _tflite("tflite-one-weight-1-percent", kinds.WEIGHTS, "scorer", f.scaled_weight(3, 0.01), _scores, "linear_3|last"),
    _tflite("tflite-activation-lost", kinds.WEIGHTS, "scorer", f.no_activation, _scores, "linear_1|relu|second"),
    _int8("int8-zero-point-of-tflite-weights", f.zero_point_of_weights(0, 1)),
    _int8("int8-zero-point-of-inner-input", f.zero_point_of_input(1, 1)),
    _int8("int8-zero-point-of-last-input", f.zero_point_of_input(2, 1)),
    _int8("int8-zero-point-of-weights", o.weight("conv.weight_zero_point", _plus_one), "onnx-dynamic-int8"),
    _int8("int8-zero-point-of-last-weights", o.weight("last.weight_Transposed_zero_point", _plus_one), "onnx-dynamic-int8"),
    _int8("int8-scale-128-for-127", f.weight_scale(1, 128 / 127)),
    _int8("int8-scale-of-the-last", f.weight_scale(2, 1.1)),
    _saved("savedmodel-padding", kinds.PADDING, "vision", o.attribute("Conv", "pads", [1, 1, 0, 0], index=1), _logits, "Conv"),
    _saved("savedmodel-bias-swapped", kinds.WEIGHTS, "scorer", o.swapped("second.bias", "third.bias"), _scores, "linear_1|second"),
    _saved("savedmodel-weights-scaled", kinds.NORM, "vision", o.weight("down.weight", _shorter), _logits, "Conv_24|down|Conv2D"),
    Fault("tflite-gelu-by-tanh", kinds.GELU, "TFLite", "scorer", f.savedmodel(o.attribute("Gelu", "approximate", "tanh"), as_tflite=True), _scores, "gelu"),
    _mar("mar-with-other-weights", kinds.WEIGHTS, "scorer", _scores, quick=True, program=transpose("third")),
    _mar("mar-softmax-in-handler", kinds.SOFTMAX, "scorer", "softmax too many", trust=True, handler=_TWICE),
    _mar("mar-names-swapped", kinds.ORDER, "heads", "swapped-outputs", signature=_swapped_names),
)  # fmt: skip
