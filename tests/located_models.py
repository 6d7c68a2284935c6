"""One small model computed by numpy twice: as torch has it, channels first, and as a TFLite file has it, folded and fused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deploy_agreement.locating import Seen
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array

EPSILON = 1e-5
_erf = np.frompyfunc(math.erf, 1, 1)
Weights = dict[str, Array]


def weights(seed: int = 0) -> Weights:
    """Give seeded weights, as torch names and lays them out."""
    random = np.random.default_rng(seed)

    def some(*shape: int) -> Array:
        return (random.standard_normal(shape) / math.sqrt(math.prod(shape[1:]) or 1)).astype(np.float32)

    found = {"0.weight": some(4, 3, 3, 3), "0.bias": some(4), "3.weight": some(6, 4, 3, 3), "3.bias": some(6)}
    for place, size in (("1", 4), ("4", 6)):
        found |= {f"{place}.weight": random.uniform(0.5, 1.5, size), f"{place}.bias": some(size) / 4}
        found |= {f"{place}.mean": some(size) / 4, f"{place}.var": random.uniform(0.02, 0.3, size)}
    for name, shape in {"hidden": (8, 96), "mix": (8, 8), "head": (5, 8)}.items():
        found |= {f"{name}.weight": some(*shape), f"{name}.bias": some(shape[0])}
    return {name: array.astype(np.float32) for name, array in found.items()}


@dataclass(frozen=True)
class Faults:
    """What is done otherwise; nothing, unless it is said."""

    weights: Callable[[Weights], Weights] = lambda each: each
    epsilon: Mapping[str, float] = field(default_factory=dict)  # of a batch norm, by its place
    pads: tuple[int, int] = (1, 1)  # of the second convolution: before and after
    stride: int = 2
    dilation: int = 1
    relu: bool = True  # the second
    gelu: str = "none"
    softmaxes: int = 1
    softmax_axis: int = -1
    channels_last: bool = False  # where values are flattened
    mixed: Callable[[Array], Array] = np.tanh
    scale: float = 1.0  # of what comes in


HONEST = Faults()


def images(rows: int = 3) -> Array:
    """Give seeded inputs."""
    return np.random.default_rng(7).standard_normal((rows, 3, 8, 8)).astype(np.float32)


def conv(x: Array, weight: Array, bias: Array, pads: tuple[int, int], stride: int, dilation: int) -> Array:
    """Convolve: channels first."""
    padded = np.pad(x, ((0, 0), (0, 0), pads, pads))
    size = dilation * (weight.shape[-1] - 1) + 1
    seen = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (2, 3))
    seen = seen[:, :, ::stride, ::stride, ::dilation, ::dilation]
    return np.asarray(np.einsum("nchwij,ocij->nohw", seen, weight) + bias[:, None, None], np.float32)


def gelu(x: Array, approximate: str) -> Array:
    """Compute it exactly, or by tanh."""
    if approximate == "tanh":
        return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), np.float32)
    return np.asarray(x * 0.5 * (1 + _erf(x / math.sqrt(2)).astype(np.float64)), np.float32)


def softmax(x: Array, axis: int) -> Array:
    """Compute it over an axis."""
    raised = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis=axis, keepdims=True))


@dataclass
class _Trace:
    """Keeps what is computed."""

    found: list[Intermediate] = field(default_factory=list)
    layers: bool = True

    def keep(self, name: str, value: Array, operator: str, *inputs: str, layer: str = "", **more: Any) -> Array:
        held: Mapping[str, Array] = more.pop("weights", {})
        given = (*inputs, *held)
        one = Intermediate(name, value.astype(np.float32), operator, given, more, held, layer if self.layers else "")
        self.found.append(one)
        return one.value


def torch_like(images: Array, faults: Faults = HONEST, seed: int = 0, *, layers: bool = True) -> Seen:
    """Look into the model as torch runs it."""
    w, trace = faults.weights(weights(seed)), _Trace(layers=layers)
    x, last = images, "image"
    if faults.scale != 1:
        x, last = trace.keep("scaled", x * faults.scale, "aten.mul.Tensor", last, other=faults.scale), "scaled"
    settings = {"0": ((1, 1), 1, 1), "3": (faults.pads, faults.stride, faults.dilation)}
    for place, norm, relu in (("0", "1", "2"), ("3", "4", "5")):
        pads, stride, dilation = settings[place]
        own = {f"features.{place}.{key}": w[f"{place}.{key}"] for key in ("weight", "bias")}
        x = trace.keep(
            f"conv{place}", conv(x, w[f"{place}.weight"], w[f"{place}.bias"], pads, stride, dilation),
            "aten.conv2d.default", last, layer=f"features.{place}", weights=own,
            stride=(stride, stride), padding=(pads[0], pads[0]), dilation=(dilation, dilation), groups=1,
        )  # fmt: skip
        epsilon = faults.epsilon.get(norm, EPSILON)
        slope, shift = _affine(w, norm, epsilon)
        held = {f"features.{norm}.{key}": w[f"{norm}.{key}"] for key in ("weight", "bias", "mean", "var")}
        x = trace.keep(
            f"norm{norm}", x * slope[:, None, None] + shift[:, None, None], "aten.batch_norm.default", f"conv{place}",
            layer=f"features.{norm}", weights=held, eps=epsilon, training=False,
        )  # fmt: skip
        last = f"norm{norm}"
        if faults.relu or relu == "2":
            x = trace.keep(f"relu{relu}", np.maximum(x, 0), "aten.relu.default", last, layer=f"features.{relu}")
            last = f"relu{relu}"
    x = x.transpose(0, 2, 3, 1) if faults.channels_last else x
    x = trace.keep("flat", x.reshape(len(x), -1), "aten.flatten.using_ints", last, start_dim=1)
    return _heads(x, w, trace, faults, images, "aten.linear.default", "aten.gelu.default", "aten.tanh.default", "dim")


def tflite_like(images: Array, faults: Faults = HONEST, seed: int = 0) -> Seen:
    """Look into it as LiteRT runs it: channels last, batch norms folded, activations fused, tensors without layers."""
    w, trace = faults.weights(weights(seed)), _Trace(layers=False)
    x = trace.keep("t0", images.transpose(0, 2, 3, 1), "TRANSPOSE", "image")
    last = "t0"
    if faults.scale != 1:
        x, last = (
            trace.keep("scaled", x * faults.scale, "MUL", last, weights={"by": np.float32([faults.scale])}),
            "scaled",
        )
    settings = {"0": ((1, 1), 1, 1), "3": (faults.pads, faults.stride, faults.dilation)}
    for place, norm in (("0", "1"), ("3", "4")):
        pads, stride, dilation = settings[place]
        slope, shift = _affine(w, norm, faults.epsilon.get(norm, EPSILON))
        folded = np.asarray(w[f"{place}.weight"] * slope[:, None, None, None], np.float32)
        bias = np.asarray(w[f"{place}.bias"] * slope + shift, np.float32)
        widths = np.array([(0, 0), pads, pads, (0, 0)])
        x = trace.keep(f"p{place}", np.pad(x, widths), "PAD", last, weights={f"widths{place}": widths})
        made = conv(x.transpose(0, 3, 1, 2), folded, bias, (0, 0), stride, dilation).transpose(0, 2, 3, 1)
        fused = faults.relu or place == "0"
        x = trace.keep(
            last := f"c{place}", np.maximum(made, 0) if fused else made, "CONV_2D", f"p{place}",
            weights={f"w{place}": folded.transpose(0, 2, 3, 1), f"b{place}": bias}, padding="VALID",
            stride_h=stride, stride_w=stride, dilation_h_factor=dilation, dilation_w_factor=dilation,
            fused_activation_function="RELU" if fused else "NONE",
        )  # fmt: skip
    if not faults.channels_last:
        x = trace.keep("turned", x.transpose(0, 3, 1, 2), "TRANSPOSE", last)
        last = "turned"
    x = trace.keep("flat", x.reshape(len(x), -1), "RESHAPE", last)
    return _heads(x, w, trace, faults, images, "FULLY_CONNECTED", "GELU", "TANH", "")


def _heads(
    x: Array, w: Weights, trace: _Trace, faults: Faults, images: Array, dense: str, gelu_: str, tanh: str, axis: str
) -> Seen:
    def linear(x: Array, name: str, last: str) -> Array:
        own = {f"{name}.{key}": w[f"{name}.{key}"] for key in ("weight", "bias")}
        made = x @ own[f"{name}.weight"].T + own[f"{name}.bias"]
        return trace.keep(f"{name}_out", made, dense, last, layer=name, weights=own)

    x = linear(x, "hidden", "flat")
    approximate = faults.gelu if axis else faults.gelu == "tanh"
    x = trace.keep("bent", gelu(x, faults.gelu), gelu_, "hidden_out", layer="act", approximate=approximate)
    x = linear(x, "mix", "bent")
    x = trace.keep("mixed", faults.mixed(x), tanh, "mix_out")
    x = linear(x, "head", "mixed")
    last = "head_out"
    for turn in range(faults.softmaxes):
        more = {axis: faults.softmax_axis} if axis else {}
        x = trace.keep(
            f"probs{turn}", softmax(x, faults.softmax_axis), "SOFTMAX" if not axis else "aten.softmax.int", last, **more
        )
        last = f"probs{turn}"
    trace.found[-1] = replace(trace.found[-1], name="probs")
    return Seen("torch" if axis else "tflite", {"image": images}, {"probs": x}, tuple(trace.found))


def _affine(w: Weights, norm: str, epsilon: float) -> tuple[Array, Array]:
    slope = w[f"{norm}.weight"] / np.sqrt(w[f"{norm}.var"] + np.float32(epsilon))
    return slope, w[f"{norm}.bias"] - w[f"{norm}.mean"] * slope
