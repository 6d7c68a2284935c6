"""LSTM, GRU and RNN: unrolled over a time axis of known length, so that TFLite has only plain operators to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.values import Node, Value, dims, tensor

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": tf.nn.relu,
    "sigmoid": tf.math.sigmoid,
    "softplus": tf.math.softplus,
    "softsign": tf.math.softsign,
    "tanh": tf.math.tanh,
}
_DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}

State = tuple[Any, ...]


def recurrent(
    node: Node,
    x: Value,
    w: Value,
    r: Value,
    b: Value = None,
    lengths: Value = None,
    h0: Value = None,
    c0: Value = None,
    peephole: Value = None,
) -> tuple[Value, ...]:
    """Translate LSTM, GRU and RNN in all directions."""
    batch_first = bool(node.get("layout", 0))
    x = tf.transpose(tensor(x), [1, 0, 2]) if batch_first else tensor(x)
    names = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[node.get("direction", "forward")]
    outputs, finals = [], []
    for d, backward in enumerate(names):
        initial = [_initial(node, x, value, d, batch_first) for value in ((h0, c0) if node.op == "LSTM" else (h0,))]
        step = _step(node, d, len(names), [None if v is None else v[d] for v in (w, r, b, peephole)])
        ys, final = _run(node, x, step, tuple(initial), lengths, backward)
        outputs.append(ys)
        finals.append(final)
    y = tf.stack(outputs, axis=1)
    states = [tf.stack(parts, axis=0) for parts in zip(*finals, strict=True)]
    if not batch_first:
        return (y, *states)
    return (tf.transpose(y, [2, 0, 1, 3]), *(tf.transpose(state, [1, 0, 2]) for state in states))


def _initial(node: Node, x: Any, value: Value, direction: int, batch_first: bool) -> Any:
    if value is not None:
        state = tensor(value)[:, direction] if batch_first else tensor(value)[direction]
        return tf.reshape(state, [-1, int(node.get("hidden_size"))])  # Expand leaves its width unknown
    batch = tf.shape(x)[1]
    return tf.zeros(tf.stack([batch, int(node.get("hidden_size"))]), x.dtype)


def _run(
    node: Node, x: Any, step: Callable[[Any, State], State], state: State, lengths: Value, backward: bool
) -> tuple[Any, State]:
    count = dims(x)[0]
    if not isinstance(count, int):
        return _looped(x, step, state, lengths, backward)
    parts = tf.unstack(x, num=count)
    ys: list[Any] = [None] * count
    for t in reversed(range(count)) if backward else range(count):
        after = step(parts[t], state)
        if lengths is None:
            state, ys[t] = after, after[0]
            continue
        alive = tf.cast(lengths, tf.int32)[:, tf.newaxis] > t
        state = tuple(tf.where(alive, new, old) for new, old in zip(after, state, strict=True))
        ys[t] = tf.where(alive, after[0], tf.zeros_like(after[0]))
    return tf.stack(ys), state


def _looped(
    x: Any, step: Callable[[Any, State], State], state: State, lengths: Value, backward: bool
) -> tuple[Any, State]:
    """Run over a time axis of any length; only here the graph has a loop.

    What comes out is written into a tensor, since TFLite has no tensor lists.
    """
    count, width = tf.shape(x)[0], state[0].shape[-1]
    ys = tf.zeros(tf.stack([count, tf.shape(x)[1], width]), x.dtype)

    def turn(i: Any, ys: Any, before: State) -> tuple[Any, Any, State]:
        t = count - 1 - i if backward else i
        after = step(tf.gather(x, t), before)
        out = after[0]
        if lengths is not None:
            alive = tf.cast(lengths, tf.int32)[:, tf.newaxis] > t
            out = tf.where(alive, out, tf.zeros_like(out))
            after = tuple(tf.where(alive, new, old) for new, old in zip(after, before, strict=True))
        return i + 1, tf.tensor_scatter_nd_update(ys, tf.reshape(t, [1, 1]), out[tf.newaxis]), after

    shapes = tuple(tf.TensorShape([None, value.shape[-1]]) for value in state)
    invariants = (tf.TensorShape([]), tf.TensorShape([None, None, width]), shapes)
    _, ys, final = tf.while_loop(
        lambda i, *_: i < count, turn, (tf.constant(0), ys, state), shape_invariants=invariants
    )
    return ys, final


def _step(node: Node, direction: int, directions: int, weights: Sequence[Value]) -> Callable[[Any, State], State]:
    w, r, b, peephole = weights
    hidden = int(node.get("hidden_size"))
    per = len(_DEFAULTS[node.op])
    names = node.get("activations") or _DEFAULTS[node.op] * directions
    if any(name.lower() not in _ACTIVATIONS for name in names):
        raise node.error(f"activations {', '.join(names)}", hint=f"known are {', '.join(sorted(_ACTIVATIONS))}")
    act = [_ACTIVATIONS[name.lower()] for name in names[direction * per : (direction + 1) * per]]
    limit = node.get("clip", 0.0)
    # An LSTM's own state is not clipped before its last activation: ONNX Runtime clips the gates alone.
    gates: list[Callable[[Any], Any]] = [partial(_clipped, function, limit) for function in act[:2]]
    act = [*gates, *act[2:]] if limit else act
    bias = np.zeros(2 * hidden * _GATES[node.op], np.float32) if b is None else b
    cell = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}[node.op]
    return cell(node, _Cell(_turned(w), _turned(r), bias, peephole, hidden, act))


def _clipped(function: Callable[[Any], Any], limit: float, value: Any) -> Any:
    return function(tf.clip_by_value(value, -limit, limit))


def _turned(matrix: Value) -> Value:
    return np.ascontiguousarray(matrix.T) if isinstance(matrix, np.ndarray) else tf.transpose(matrix)


class _Cell:
    """The weights of one direction, turned for `x @ w`, with the two biases apart."""

    def __init__(
        self, w: Value, r: Value, bias: Value, peephole: Value, hidden: int, act: Sequence[Callable[[Any], Any]]
    ) -> None:
        half = bias.shape[0] // 2
        self.w, self.r, self.hidden, self.act = tensor(w), tensor(r), hidden, act
        self.w_bias, self.r_bias = tensor(bias[:half]), tensor(bias[half:])
        self.peephole = None if peephole is None else tf.split(tensor(peephole), 3)


def _lstm(node: Node, cell: _Cell) -> Callable[[Any, State], State]:
    bias = cell.w_bias + cell.r_bias
    f, g, h = cell.act

    def step(x: Any, state: State) -> State:
        before, memory = state
        gates = tf.linalg.matmul(x, cell.w) + tf.linalg.matmul(before, cell.r) + bias
        i, o, forget, c = tf.split(gates, 4, axis=1)
        if cell.peephole is not None:
            i, forget = i + cell.peephole[0] * memory, forget + cell.peephole[2] * memory
        keep = 1 - f(i) if node.get("input_forget", 0) else f(forget)
        new = keep * memory + f(i) * g(c)
        o = o if cell.peephole is None else o + cell.peephole[1] * new
        return f(o) * h(new), new

    return step


def _gru(node: Node, cell: _Cell) -> Callable[[Any, State], State]:
    f, g = cell.act
    hidden = cell.hidden

    def step(x: Any, state: State) -> State:
        (before,) = state
        mine = tf.linalg.matmul(x, cell.w) + cell.w_bias
        if node.get("linear_before_reset", 0):
            theirs = tf.linalg.matmul(before, cell.r) + cell.r_bias
            update, reset = tf.split(f(mine[:, : 2 * hidden] + theirs[:, : 2 * hidden]), 2, axis=1)
            new = g(mine[:, 2 * hidden :] + reset * theirs[:, 2 * hidden :])
        else:
            first = tf.linalg.matmul(before, cell.r[:, : 2 * hidden]) + cell.r_bias[: 2 * hidden]
            update, reset = tf.split(f(mine[:, : 2 * hidden] + first), 2, axis=1)
            last = tf.linalg.matmul(reset * before, cell.r[:, 2 * hidden :]) + cell.r_bias[2 * hidden :]
            new = g(mine[:, 2 * hidden :] + last)
        return ((1 - update) * new + update * before,)

    return step


def _rnn(node: Node, cell: _Cell) -> Callable[[Any, State], State]:
    bias = cell.w_bias + cell.r_bias

    def step(x: Any, state: State) -> State:
        return (cell.act[0](tf.linalg.matmul(x, cell.w) + tf.linalg.matmul(state[0], cell.r) + bias),)

    return step
