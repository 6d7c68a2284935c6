"""Keras' recurrent layers on the torch backend, asked as Keras computes them and as torch's own layers."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import torch

from deploy_exporters import keras_torch_recurrent

WIDTH, UNITS, STEPS = 3, 4, 6
Answers = list[np.ndarray]


def answers(
    kind: str, options: dict[str, Any], *, bidirectional: bool, states: int, masked: bool, steps: int
) -> tuple[Answers, Answers, int]:
    """Give Keras' answers, those of a trace at two rows of so many `steps`, and how many of torch's layers the trace calls."""
    layer = getattr(keras.layers, kind)(UNITS, **options)
    layer = keras.layers.Bidirectional(layer) if bidirectional else layer
    random = np.random.default_rng(7)

    def drawn(rows: int, steps: int) -> list[torch.Tensor]:
        shapes = [(rows, steps, WIDTH), *[(rows, UNITS)] * states]
        return [torch.from_numpy(random.standard_normal(shape).astype(np.float32)) for shape in shapes]

    def call(x: torch.Tensor, *initial: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mask = {"mask": x[..., 0] < 0.5} if masked else {}
        told = layer(x, initial_state=list(initial) or None, **mask)
        return tuple(told) if isinstance(told, list | tuple) else (told,)

    few, many = drawn(2, steps), drawn(3, STEPS)
    with torch.no_grad():
        call(*few)
        layer.set_weights([random.uniform(-0.9, 0.9, w.shape).astype(w.dtype) for w in layer.get_weights()])
        layer.trainable = False  # so that a trace may hold its weights as constants
        want = call(*many)
        with keras_torch_recurrent.whole(), patch.object(torch, "_VF", _Counting()) as counting:
            traced = torch.jit.trace(call, tuple(few), check_trace=False)
        got = traced(*many)
    return [t.numpy() for t in want], [t.numpy() for t in got], counting.calls


class _Counting:
    def __init__(self) -> None:
        self.calls = 0
        self._layers = torch._VF

    def __getattr__(self, name: str) -> Any:
        self.calls += name in ("lstm", "gru")
        return getattr(self._layers, name)
