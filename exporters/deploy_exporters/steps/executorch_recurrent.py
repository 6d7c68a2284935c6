"""LSTM and GRU as a loop over the steps, of operators that ExecuTorch has kernels for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._higher_order_ops.scan import scan
from torch.nn import functional

Layers = Callable[..., tuple[torch.Tensor, ...]]


def lstm(rows: int) -> Layers:
    """Give what stands for `aten.lstm` in a program for at most that many rows."""
    return _layers(_lstm_cell, 2, rows)


def gru(rows: int) -> Layers:
    """Give what stands for `aten.gru` in a program for at most that many rows."""
    return _layers(_gru_cell, 1, rows)


def _layers(cell: Callable[..., Any], states: int, rows: int) -> Layers:
    def layers(
        steps: torch.Tensor,
        hx: Sequence[torch.Tensor] | torch.Tensor,
        params: Sequence[torch.Tensor],
        _has_biases: bool,
        num_layers: int,
        _dropout: float,
        _train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[torch.Tensor, ...]:
        first = (hx,) if isinstance(hx, torch.Tensor) else tuple(hx)
        values = steps.transpose(0, 1) if batch_first else steps
        ways = 2 if bidirectional else 1
        size = len(params) // (num_layers * ways)
        last: list[tuple[torch.Tensor, ...]] = []
        for layer in range(num_layers):
            found = []
            for way in range(ways):
                index = layer * ways + way
                weights = params[index * size : (index + 1) * size]
                every, ends = _direction(cell, values, [state[index] for state in first], weights, rows, way == 1)
                found.append(every)
                last.append(ends)
            values = torch.cat(found, 2) if ways == 2 else found[0]
        ends = tuple(torch.stack([each[index] for each in last]) for index in range(states))
        return (values.transpose(0, 1) if batch_first else values, *ends)

    return layers


def _direction(
    cell: Callable[..., Any],
    values: torch.Tensor,
    first: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    rows: int,
    backwards: bool,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Loop over the steps; what a loop carries has a fixed size, so it computes all rows that there may be."""
    count = values.shape[1]
    bias = weights[2] if len(weights) > 2 else None
    gates = functional.linear(values, weights[0], bias)
    if backwards:
        gates = gates.flip(0)
    spare = rows + 1 - count  # never none: torch.export compiles that case apart
    gates = functional.pad(gates, (0, 0, 0, spare))
    carried = [functional.pad(state, (0, 0, 0, spare)) for state in first]
    own = weights[1].t()
    own_bias = weights[3] if len(weights) > 3 else torch.zeros(weights[1].shape[0])
    ends, every = scan(lambda states, gate: cell(states, gate, own, own_bias), carried, gates)
    every = every.narrow(1, 0, count)
    if backwards:
        every = every.flip(0)
    return every, tuple(end.narrow(0, 0, count) for end in ends)


def _lstm_cell(states: Any, gate: Any, own: Any, bias: Any) -> Any:
    h, c = states
    enter, forget, new, leave = (gate + torch.addmm(bias, h, own)).chunk(4, 1)
    c = forget.sigmoid() * c + enter.sigmoid() * new.tanh()
    h = leave.sigmoid() * c.tanh()
    return [h, c], h.clone()


def _gru_cell(states: Any, gate: Any, own: Any, bias: Any) -> Any:
    (h,) = states
    reset, update, new = gate.chunk(3, 1)
    own_reset, own_update, own_new = torch.addmm(bias, h, own).chunk(3, 1)
    update = (update + own_update).sigmoid()
    new = (new + (reset + own_reset).sigmoid() * own_new).tanh()
    h = new + update * (h - new)
    return [h], h.clone()
