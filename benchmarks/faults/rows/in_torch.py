"""Faults in TorchScript files."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from benchmarks.faults import preparations as p
from benchmarks.faults import wrappers as w
from benchmarks.faults.fault import Fault
from benchmarks.faults.torch_faults import Change, around, changed, epsilon, put, swap, transpose

WEIGHTS, NORM, DROPOUT = "swapped or transposed weights", "batch-norm epsilon", "dropout left on"
LAYOUT, RESIZE, COLOURS = "NCHW/NHWC mix-up", "wrong resize filter", "BGR/RGB"
MEAN, SOFTMAX, LABELS = "mean/std forgotten", "softmax twice or on the wrong axis", "labels permuted"
TOKENS, MASK, OVERFLOW = "off-by-one token id", "mask ignored", "int32 overflow"
HALF, TENSOR_FLOAT, INT8 = "float16 accumulation", "TF32 accumulation", "int8 scale or zero point off by one"
GELU, PADDING, FROZEN = "GELU by tanh", "padding on the wrong side", "frozen batch"
LEAK, STALE, SIGNATURE = "rows leak into each other", "stale version served", "wrong signature"
ORDER, JSON, DIGITS = "outputs in the wrong order", "truncated or re-ordered JSON", "float printed with 6 digits"
NULL, ONE_OF_TWO, SELDOM = "NaN turned to null", "one bad server among two", "one input in a thousand"
RESET = "GRU resets before the product"
THRESHOLD, ODD, SIZE = "only above a threshold", "only at odd batch sizes", "only at one batch size"

_scores, _logits, _classes = "output scores", "output logits", "output classes"


def _torch(
    name: str, kind: str, model: str, change: Change, named: str, inside: str = "", *, quick: bool = False
) -> Fault:
    return Fault(name, kind, "TorchScript", model, changed(change), named, inside, quick)


def _half(layer: str, *, brain: bool = False) -> Change:
    def change(model: Any) -> None:
        setattr(model, layer, w.InHalf(getattr(model, layer), brain=brain))

    return change


def _tensor_float(model: Any) -> None:
    model.conv = w.TenBits(model.conv)


def _norm_of_batch(model: Any) -> None:
    model.norm = w.NormOfBatch(model.norm)


def _one_percent(model: Any) -> None:
    row, column = divmod(int(model.last.weight.abs().argmax()), 32)
    model.last.weight[row, column] *= 1.01


_tanh = put("act", nn.GELU(approximate="tanh"))
FAULTS = (
    _torch("transposed-weight", WEIGHTS, "scorer", transpose("second"), _scores, "second", quick=True),
    _torch("swapped-layers", WEIGHTS, "scorer", swap("second", "third"), _scores, "second"),
    _torch("one-weight-1-percent-off", WEIGHTS, "scorer", _one_percent, _scores, "last", quick=True),
    _torch("series-backwards", WEIGHTS, "forecast", around(w.FirstStep), "output forecast"),
    _torch("batch-norm-epsilon", NORM, "vision", epsilon("norm", 1e-3), _logits, "norm", quick=True),
    _torch("second-batch-norm-epsilon", NORM, "vision", epsilon("again", 2e-5), _logits, "again"),
    _torch("batch-norm-in-training", NORM, "vision", _norm_of_batch, "rows influence|batch", "norm"),
    _torch("dropout-left-on", DROPOUT, "scorer", put("drop", w.DropoutOn()), "again|repeat|same (request|input)", "drop", quick=True),
    _torch("nchw-read-as-nhwc", LAYOUT, "vision", around(w.ReadAsChannelsLast), "layout|NHWC|" + _logits, quick=True),
    _torch("height-for-width", LAYOUT, "vision", around(w.HeightForWidth), "axes|" + _logits),
    _torch("flatten-nhwc", LAYOUT, "vision", around(w.ChannelsLastFlatten), _logits, "last"),
    _torch("resize-nearest", RESIZE, "photo", around(p.Nearest), _scores, "upsample|interpolate|resize"),
    _torch("resize-bicubic", RESIZE, "photo", around(p.Bicubic), _scores, "upsample|interpolate|resize"),
    _torch("resize-aligned-corners", RESIZE, "photo", around(p.AlignedCorners), _scores, "upsample|interpolate|resize"),
    _torch("resize-anti-aliased", RESIZE, "photo", around(p.AntiAliased), _scores, "upsample|interpolate|resize"),
    _torch("blue-first", COLOURS, "photo", around(p.BlueFirst), "channel|" + _scores),
    _torch("mean-forgotten", MEAN, "photo", around(p.NoMean), _scores),
    _torch("std-forgotten", MEAN, "photo", around(p.NoStd), _scores),
    _torch("scale-255-forgotten", MEAN, "photo", around(p.NoScale), _scores),
    _torch("mean-of-other-data", MEAN, "photo", around(p.OtherMean), _scores),
    _torch("next-token", TOKENS, "reader", around(w.NextToken), _classes),
    _torch("next-user", TOKENS, "counter", around(w.NextUser), "output offers"),
    _torch("mask-ignored", MASK, "reader", around(w.NoMask), _classes),
    _torch("mask-too-weak", MASK, "reader", around(w.WeakMask), _classes),
    _torch("total-in-int32", OVERFLOW, "counter", around(w.Total32), "output total"),
    _torch("total-in-float64", OVERFLOW, "counter", around(w.TotalDouble), "output total"),
    _torch("layer-in-float16", HALF, "scorer", _half("second"), _scores, "second", quick=True),
    _torch("layer-in-bfloat16", HALF, "heads", _half("trunk", brain=True), "output corners", "trunk"),
    _torch("convolution-in-tf32", TENSOR_FLOAT, "vision", _tensor_float, _logits, "conv", quick=True),
    _torch("gelu-by-tanh", GELU, "scorer", _tanh, _scores, "act|gelu", quick=True),
    _torch("gelu-by-tanh-in-vision", GELU, "vision", _tanh, _logits, "act|gelu"),
    _torch("gelu-by-sigmoid", GELU, "reader", put("act", w.QuickGelu()), _classes, "act|gelu|sigmoid"),
    _torch("padding-in-front", PADDING, "reader", around(w.OtherSide), _classes),
    _torch("attention-across-rows", LEAK, "reader", around(w.AcrossRows), "rows influence|batch|" + _classes),
    _torch("mean-of-the-batch", LEAK, "scorer", around(w.MeanOfBatch), "rows|order|batch", quick=True),
    _torch("first-row-for-all", LEAK, "scorer", around(w.FirstRow), "row"),
    _torch("answers-in-float64", SIGNATURE, "scorer", around(w.WideScores), "float64"),
    _torch("an-axis-too-many", SIGNATURE, "scorer", around(w.Column), "shape"),
    _torch("outputs-swapped", ORDER, "heads", around(w.SwappedHeads), "swapped-outputs", quick=True),
    _torch("one-output-twice", ORDER, "heads", around(w.TwiceTheCorners), "holds the values of 'corners'"),
    _torch("root-of-a-negative", THRESHOLD, "heads", around(w.NotANumber), "NaN"),
    _torch("one-in-a-thousand", SELDOM, "scorer", around(w.OneInAThousand), _scores),
    _torch("cut-off-in-the-tail", THRESHOLD, "scorer", around(w.AboveThreshold), _scores, quick=True),
    _torch("cut-off-beyond-the-example", THRESHOLD, "scorer", around(w.FarAboveThreshold), _scores),
    _torch("last-row-of-odd-batches", ODD, "scorer", around(w.OddBatches), "batch size", quick=True),
    _torch("batches-of-13", SIZE, "scorer", around(partial(w.BatchesOf, rows=13)), "wrong at batch size 13,"),
    _torch("batches-of-4", SIZE, "scorer", around(partial(w.BatchesOf, rows=4)), "wrong at batch size 4,", quick=True),
    _torch("zeros-beyond-100-rows", SIZE, "scorer", around(w.BeyondAHundred), "wrong at batch size 128"),
    _torch("32-rows-repeated", FROZEN, "vision", around(w.BigBatches), "row|batch"),
)  # fmt: skip
