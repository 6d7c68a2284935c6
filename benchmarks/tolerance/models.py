"""Random models of many kinds in plain numpy, which compute in any of the arithmetics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from benchmarks.tolerance.arithmetic import FLOAT64, REFERENCE, Arithmetic
from deploy_core.dtypes import dtype_name
from deploy_core.signature import Array, Signature, Tensors, TensorSpec

Weights = Mapping[str, Array]
ROWS = 64


@dataclass(frozen=True)
class Model:
    """A model whose outputs `y` follow from the input `x` by `forward`; its weights are float32."""

    kind: str
    weights: Weights
    x: Array
    forward: Callable[[Weights, Array, Arithmetic], Array] = field(repr=False)

    def answer(self, x: Array, how: Arithmetic = REFERENCE) -> Array:
        """Compute it in one way."""
        weights: Weights = {name: array.astype(how.dtype) for name, array in self.weights.items()}
        with np.errstate(under="ignore"):
            return self.forward(weights, x.astype(how.dtype), how)

    def with_fault(self, name: str, place: tuple[int, ...], factor: float) -> Model:
        """Give the model with one weight changed."""
        changed = self.weights[name].copy()
        changed[place] *= np.float32(factor)
        return replace(self, weights={**self.weights, name: changed})


class Computed:
    """A model in one arithmetic as a predictor, which has float64, too."""

    def __init__(self, model: Model, how: Arithmetic = REFERENCE) -> None:
        self._model = model
        self._how = how
        shape = model.answer(model.x[:2]).shape[1:]
        inputs = TensorSpec("x", dtype_name(model.x.dtype), ("batch", *model.x.shape[1:]))
        self.signature = Signature((inputs,), (TensorSpec("y", "float32", ("batch", *shape)),))

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch."""
        return {"y": self._model.answer(inputs["x"], self._how)}

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer one batch in float64."""
        return {"y": self._model.answer(inputs["x"], FLOAT64)}

    def close(self) -> None:
        """There is nothing to close."""


def model(seed: int) -> Model:
    """Make the model of a seed; kinds take turns."""
    rng = np.random.default_rng(seed)
    kinds = tuple(_KINDS)
    return _KINDS[kinds[seed % len(kinds)]](kinds[seed % len(kinds)], rng)


def _draw(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Array:
    return (rng.normal(size=shape) * scale).astype(np.float32)


def _dense(rng: np.random.Generator, sizes: list[int], prefix: str = "") -> dict[str, Array]:
    found = {}
    for i, (a, b) in enumerate(pairwise(sizes)):
        found[f"{prefix}w{i}"] = _draw(rng, a, b, scale=(2 / a) ** 0.5)
        found[f"{prefix}b{i}"] = _draw(rng, b, scale=0.1)
    return found


def _sizes(rng: np.random.Generator) -> list[int]:
    return [int(2 ** rng.uniform(2, 8)) for _ in range(int(rng.integers(2, 6)))]


def _hidden(w: Weights, h: Array, how: Arithmetic, act: Callable[[Array], Array], last: int) -> Array:
    for i in range(last):
        h = act(how.dense(h, w[f"w{i}"], w[f"b{i}"]))
    return how.dense(h, w[f"w{last}"], w[f"b{last}"])


def _relu(h: Array) -> Array:
    return np.asarray(np.maximum(h, h.dtype.type(0)))


def _softmax(h: Array) -> Array:
    raised = np.exp(h - h.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _norm(h: Array) -> Array:
    centred = h - h.mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + h.dtype.type(1e-5)))


def _mlp(
    act: Callable[[Array], Array],
    head: Callable[[Array, Arithmetic], Array],
    scales: float = 0.0,
    gain: float = 1.0,
    offset: float = 0.0,
) -> Callable[[str, np.random.Generator], Model]:
    """Give a maker of dense nets; outputs have scales down to 10^-`scales` beside each other."""

    def make(kind: str, rng: np.random.Generator) -> Model:
        sizes = _sizes(rng)
        weights = _dense(rng, sizes)
        last = len(sizes) - 2
        weights[f"b{last}"] += np.float32(offset)
        weights["out"] = (gain * 10 ** -rng.uniform(0, scales, sizes[-1])).astype(np.float32)

        def forward(w: Weights, x: Array, how: Arithmetic) -> Array:
            return head(_hidden(w, x, how, act, last) * w["out"], how)

        return Model(kind, weights, _draw(rng, ROWS, sizes[0]), forward)

    return make


def _as_it_is(h: Array, how: Arithmetic) -> Array:
    return h


def _transformer(kind: str, rng: np.random.Generator) -> Model:
    width, length = int(rng.choice([8, 16, 32])), int(rng.integers(3, 12))
    names = ("q", "k", "v", "o")
    weights = {name: _draw(rng, width, width, scale=width**-0.5) for name in names}
    weights |= _dense(rng, [width, 2 * width, width], "f")

    def forward(w: Weights, x: Array, how: Arithmetic) -> Array:
        h = x
        for _ in range(2):
            n = _norm(h)
            q, k, v = (how.dot(n, w[name]) for name in names[:3])
            scores = np.stack([how.dot(a, np.ascontiguousarray(b.T)) for a, b in zip(q, k, strict=True)])
            mixed = np.stack(
                [how.dot(a, b) for a, b in zip(_softmax(scores / h.dtype.type(width**0.5)), v, strict=True)]
            )
            h = h + how.dot(mixed, w["o"])
            h = h + how.dense(_relu(how.dense(_norm(h), w["fw0"], w["fb0"])), w["fw1"], w["fb1"])
        return _norm(h)

    return Model(kind, weights, _draw(rng, ROWS, length, width), forward)


def _lstm(kind: str, rng: np.random.Generator) -> Model:
    width, inputs, steps = int(rng.choice([4, 8, 32])), int(rng.integers(2, 9)), int(rng.integers(4, 24))
    weights = {
        "x": _draw(rng, inputs, 4 * width, scale=inputs**-0.5),
        "h": _draw(rng, width, 4 * width, scale=width**-0.5),
        "b": _draw(rng, 4 * width, scale=0.3),
    }

    def forward(w: Weights, x: Array, how: Arithmetic) -> Array:
        h = c = np.zeros((len(x), width), x.dtype)
        for t in range(steps):
            gates = how.dot(np.ascontiguousarray(x[:, t]), w["x"]) + how.dot(h, w["h"]) + w["b"]
            i, f, g, o = np.split(gates, 4, axis=1)
            c = how.sigmoid(f) * c + how.sigmoid(i) * np.tanh(g)
            h = how.sigmoid(o) * np.tanh(c)
        return h

    return Model(kind, weights, _draw(rng, ROWS, steps, inputs), forward)


def _cnn(head: str) -> Callable[[str, np.random.Generator], Model]:
    def make(kind: str, rng: np.random.Generator) -> Model:
        channels, size = int(rng.choice([3, 8, 16])), int(rng.choice([6, 8, 11]))
        weights = {
            "k0": _draw(rng, channels, 3, 3, 3, scale=(2 / 27) ** 0.5),
            "k1": _draw(rng, channels, channels, 3, 3, scale=(2 / 9 / channels) ** 0.5),
            "bias": _draw(rng, channels, 1, 1, scale=0.1),
        }
        if head == "classes":
            weights |= _dense(rng, [channels, 10])
        else:
            weights["k2"] = _draw(rng, 3, channels, 3, 3, scale=(2 / 9 / channels) ** 0.5)

        def forward(w: Weights, x: Array, how: Arithmetic) -> Array:
            h = _relu(how.conv(x, w["k0"]) + w["bias"])
            h = _relu(how.conv(h, w["k1"]) + h)
            if head == "classes":
                return _softmax(how.dense(h.mean(axis=(2, 3)), w["w0"], w["b0"]))
            out = how.conv(h, w["k2"])
            return _relu(out) if head == "sparse image" else out

        x = _draw(rng, ROWS, 3, size, size)
        if rng.random() < 0.3:  # a frame of nothing, as letters and scans have it
            x[:, :, :2] = x[:, :, -2:] = 0
        return Model(kind, weights, x, forward)

    return make


_KINDS: dict[str, Callable[[str, np.random.Generator], Model]] = {
    "dense, ReLU": _mlp(_relu, _as_it_is),
    "dense, columns of many scales": _mlp(np.tanh, _as_it_is, scales=6),
    "dense, softmax": _mlp(_relu, lambda h, how: _softmax(h), gain=3),
    "dense, sigmoid": _mlp(np.tanh, lambda h, how: how.sigmoid(h), gain=6),
    "dense, sparse ReLU": _mlp(_relu, lambda h, how: _relu(h - h.dtype.type(2))),
    "dense, layer norm": _mlp(np.tanh, lambda h, how: _norm(h)),
    "dense, offset": _mlp(_relu, _as_it_is, offset=1000),
    "convolutions, classes": _cnn("classes"),
    "convolutions, image": _cnn("image"),
    "convolutions, sparse image": _cnn("sparse image"),
    "LSTM": _lstm,
    "transformer": _transformer,
}
