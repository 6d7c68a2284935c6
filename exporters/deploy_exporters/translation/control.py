"""If, Loop and Scan: operators whose attributes are graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.sequences import Rows
from deploy_exporters.translation.values import Node, Value, dims, rank, static, tensor, vector


def branch(node: Node, condition: Value) -> tuple[Value, ...]:
    """Translate If; a condition known beforehand picks its branch now."""
    then, other = node.get("then_branch"), node.get("else_branch")
    fixed = static(condition)
    if fixed is not None:
        return tuple((then if bool(fixed.reshape(())) else other)())
    chosen = tf.cond(tf.reshape(condition, []), lambda: tuple(map(tensor, then())), lambda: tuple(map(tensor, other())))
    return tuple(chosen)


def loop(node: Node, limit: Value = None, condition: Value = None, *initial: Value) -> tuple[Value, ...]:
    """Translate Loop by TensorFlow's while; what each round yields is collected, a sequence that grows as well."""
    body = _Body(node, initial)
    most = tf.constant(np.iinfo(np.int64).max) if limit is None else tf.cast(tf.reshape(limit, []), tf.int64)
    go = tf.constant(True) if condition is None else tf.reshape(tensor(condition), [])
    start = tuple(tensor(value) for value in initial if not isinstance(value, list))
    fixed = static(most)
    room = None if fixed is not None and fixed > _MOST_ROOM else tf.cast(most, tf.int32)
    columns = [_Column(y, room) for y in body.first_round(go, start)]

    def turn(i: Any, going: Any, state: tuple[Any, ...], collected: list[Any]) -> tuple[Any, ...]:
        again, after, yielded = body(i, going, state)
        written = [c.written(kept, i, y) for c, kept, y in zip(columns, collected, yielded, strict=True)]
        return i + 1, again, after, written

    shapes = tuple(tf.TensorShape([None] * rank(value)) for value in start)
    invariants = (tf.TensorShape([]), tf.TensorShape([]), shapes, [column.shape for column in columns])
    count, _, final, collected = tf.while_loop(
        lambda i, again, *_: tf.logical_and(i < most, again),
        turn,
        (tf.constant(0, tf.int64), go, start, [column.start for column in columns]),
        shape_invariants=invariants,
    )
    return body.results(final, [c.finished(kept, count) for c, kept in zip(columns, collected, strict=True)])


_MOST_ROOM = 2**20  # rounds for which room is made beforehand


class _Body:
    """One round of a loop: from the state to the next state and what is yielded; sequences only grow at their end."""

    def __init__(self, node: Node, initial: Sequence[Value]) -> None:
        self._node, self._graph = node, node.get("body")
        self._growing = [isinstance(value, list) for value in initial]
        if any(isinstance(value, list) and value for value in initial):
            raise node.error("a sequence that is not empty enters it", hint="export with a fixed number of rounds")

    def __call__(self, i: Any, going: Any, state: Sequence[Any]) -> tuple[Any, tuple[Any, ...], list[Any]]:
        rest = iter(state)
        again, *results = self._graph(i, going, *([] if growing else next(rest) for growing in self._growing))
        after, yielded = results[: len(self._growing)], results[len(self._growing) :]
        grown = [self._added(value) for value, growing in zip(after, self._growing, strict=True) if growing]
        plain = [tensor(value) for value, growing in zip(after, self._growing, strict=True) if not growing]
        return tf.reshape(tensor(again), []), tuple(plain), [tensor(y) for y in (*grown, *yielded)]

    def _added(self, parts: list[Value]) -> Value:
        if len(parts) != 1:
            raise self._node.error(
                f"each round adds {len(parts)} tensors to a sequence, not one", hint="export with fixed sizes"
            )
        return parts[0]

    def first_round(self, going: Any, state: Sequence[Any]) -> list[Any]:
        """Give what the first round yields, for its shapes; where they are known, nothing of it is left in the file."""
        return self(tf.constant(0, tf.int64), going, state)[2]

    def results(self, final: Sequence[Any], collected: Sequence[Any]) -> tuple[Value, ...]:
        """Put the outputs in their order."""
        rest, columns = iter(final), iter(collected)
        state = [Rows(next(columns)) if growing else next(rest) for growing in self._growing]
        return (*state, *columns)


class _Column:
    """What one output yields round by round, as one tensor, because TFLite has no tensor lists.

    It has room for all rounds from the start where their number has a bound, else it grows.
    """

    def __init__(self, row: Any, room: Any) -> None:
        self._grows = room is None
        sizes = vector(dims(row), tf.int32)
        self.start = tf.zeros(tf.concat([[0 if room is None else room], sizes], 0), row.dtype)
        self.shape = tf.TensorShape([None, *row.shape])

    def written(self, kept: Any, i: Any, row: Any) -> Any:
        if self._grows:
            return tf.concat([kept, row[tf.newaxis]], 0)
        return tf.tensor_scatter_nd_update(kept, tf.reshape(tf.cast(i, tf.int32), [1, 1]), row[tf.newaxis])

    def finished(self, kept: Any, count: Any) -> Any:
        return kept if self._grows else kept[: tf.cast(count, tf.int32)]


def scan(node: Node, *inputs: Value) -> tuple[Value, ...]:
    """Translate Scan, unrolled over an axis of known length."""
    if node.opset < 9:
        raise node.error("the Scan of opset 8", hint="convert the model to a newer opset")
    sequences = int(node.get("num_scan_inputs"))
    state, scanned = list(map(tensor, inputs[:-sequences])), inputs[-sequences:]
    ways, axes = node.get("scan_input_directions", [0] * sequences), node.get("scan_input_axes", [0] * sequences)
    length = dims(scanned[0])[axes[0] % rank(scanned[0])]
    if not isinstance(length, int):
        raise node.error("its number of rounds is dynamic", hint="export with a fixed sequence length")
    columns = [
        tf.unstack(tensor(v), num=length, axis=a)[:: -1 if w else 1]
        for v, a, w in zip(scanned, axes, ways, strict=True)
    ]
    rounds = []
    for parts in zip(*columns, strict=True):
        results = node.get("body")(*state, *parts)
        state = list(map(tensor, results[: len(state)]))
        rounds.append([tensor(y) for y in results[len(state) :]])
    return (*state, *_joined(node, [list(column) for column in zip(*rounds, strict=True)]))


def _joined(node: Node, columns: list[list[Any]]) -> list[Any]:
    ways = node.get("scan_output_directions", [0] * len(columns))
    axes = node.get("scan_output_axes", [0] * len(columns))
    return [tf.stack(column[:: -1 if w else 1], axis=a) for column, w, a in zip(columns, ways, axes, strict=True)]
