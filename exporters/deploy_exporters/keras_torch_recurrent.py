"""Keras' LSTM and GRU on the torch backend as torch's own layers: Keras unrolls them over the steps of the example."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import keras
import torch
from keras.src import backend

_OPTIONS = (1, 0.0, False, False, True)  # layers, dropout, training, both directions, the batch first


@contextmanager
def whole() -> Generator[None]:
    """Let Keras call torch's layers where they compute the same, so that any number of steps comes out."""
    with (
        patch.object(backend, "lstm", _lstm(backend.lstm)),
        patch.object(backend, "gru", _gru(backend.gru)),
    ):
        yield


def _lstm(keras_lstm: Callable[..., Any]) -> Callable[..., Any]:
    def lstm(inputs: Any, state_h: Any, state_c: Any, mask: Any, **given: Any) -> Any:
        if not _is_torchs(mask, given):
            return keras_lstm(inputs, state_h, state_c, mask, **given)
        weights = [_tensor(given[name]).T for name in ("kernel", "recurrent_kernel")]
        bias = [] if given["bias"] is None else [_tensor(given["bias"]), torch.zeros_like(_tensor(given["bias"]))]
        states = [_tensor(state).unsqueeze(0) for state in (state_h, state_c)]
        every, h, c = torch._VF.lstm(_steps(inputs, given), states, [*weights, *bias], bool(bias), *_OPTIONS)
        return _told(every, given, [h.squeeze(0), c.squeeze(0)])

    return lstm


def _gru(keras_gru: Callable[..., Any]) -> Callable[..., Any]:
    def gru(inputs: Any, state: Any, mask: Any, **given: Any) -> Any:
        if not _is_torchs(mask, given) or not given.get("reset_after", True):
            return keras_gru(inputs, state, mask, **given)
        weights = [_gates(_tensor(given[name]).T) for name in ("kernel", "recurrent_kernel")]
        bias = [] if given["bias"] is None else [_gates(half) for half in _tensor(given["bias"])]
        first = _tensor(state).unsqueeze(0)
        every, h = torch._VF.gru(_steps(inputs, given), first, [*weights, *bias], bool(bias), *_OPTIONS)
        return _told(every, given, [h.squeeze(0)])

    return gru


def _is_torchs(mask: Any, given: dict[str, Any]) -> bool:
    activations = given["activation"], given["recurrent_activation"]
    plain = activations == (keras.activations.tanh, keras.activations.sigmoid)
    return plain and mask is None and not given.get("unroll")


def _gates(parts: torch.Tensor) -> torch.Tensor:
    """Keras has update, reset, new; torch has reset, update, new."""
    update, reset, new = parts.chunk(3)
    return torch.cat([reset, update, new])


def _steps(inputs: Any, given: dict[str, Any]) -> torch.Tensor:
    steps = _tensor(inputs).to(_tensor(given["kernel"]).dtype)
    return steps.flip(1) if given.get("go_backwards") else steps


def _told(every: torch.Tensor, given: dict[str, Any], states: list[torch.Tensor]) -> tuple[Any, ...]:
    last = states[0]
    return last, every if given.get("return_sequences") else last.unsqueeze(1), states


def _tensor(value: Any) -> torch.Tensor:
    tensor: torch.Tensor = keras.ops.convert_to_tensor(value)
    return tensor
