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
    start = body.start
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
    """One round of a loop: from the state to the next state and what is yielded.

    Sequences only grow at their end; what every round passes on as it is stays outside, where its shape is known.
    """

    def __init__(self, node: Node, initial: Sequence[Value]) -> None:
        self._node, self._graph, self._initial = node, node.get("body"), list(initial)
        self._kinds = [self._kind(index, value) for index, value in enumerate(initial)]
        self.start = tuple(tensor(v) for v, kind in zip(initial, self._kinds, strict=True) if kind == "changing")

    def _kind(self, index: int, value: Value) -> str:
        if not isinstance(value, list):
            return "fixed" if self._graph.passes_on(1 + index, 2 + index) else "changing"
        if value:
            raise self._node.error(
                "a sequence that is not empty enters it", hint="export with a fixed number of rounds"
            )
        return "growing"

    def __call__(self, i: Any, going: Any, state: Sequence[Any]) -> tuple[Any, tuple[Any, ...], list[Any]]:
        rest = iter(state)
        inputs = [next(rest) if k == "changing" else v for k, v in zip(self._kinds, self._initial, strict=True)]
        again, *results = self._graph(i, going, *inputs)
        after, yielded = results[: len(inputs)], results[len(inputs) :]
        grown = [self._added(value) for value, kind in zip(after, self._kinds, strict=True) if kind == "growing"]
        changed = [tensor(value) for value, kind in zip(after, self._kinds, strict=True) if kind == "changing"]
        return tf.reshape(tensor(again), []), tuple(changed), [tensor(y) for y in (*grown, *yielded)]

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
        state = []
        for kind, value in zip(self._kinds, self._initial, strict=True):
            state.append(Rows(next(columns)) if kind == "growing" else next(rest) if kind == "changing" else value)
        return (*state, *columns)


class _Column:
    """What one output yields round by round, as one tensor, because TFLite has no tensor lists.

    It has room for all rounds from the start where their number has a bound, else it grows from a row that does not
    count, because LiteRT takes no tensor without elements into a loop.
    """

    def __init__(self, row: Any, room: Any) -> None:
        self._grows = room is None
        sizes = vector(dims(row), tf.int32)
        self.start = tf.zeros(tf.concat([[1 if room is None else room], sizes], 0), row.dtype)
        self.shape = tf.TensorShape([None, *row.shape])

    def written(self, kept: Any, i: Any, row: Any) -> Any:
        if self._grows:
            return tf.concat([kept, row[tf.newaxis]], 0)
        return tf.tensor_scatter_nd_update(kept, tf.reshape(tf.cast(i, tf.int32), [1, 1]), row[tf.newaxis])

    def finished(self, kept: Any, count: Any) -> Any:
        return kept[1:] if self._grows else kept[: tf.cast(count, tf.int32)]


def scan(node: Node, *inputs: Value) -> tuple[Value, ...]:
    """Translate Scan: unrolled over an axis of known length, else as a loop."""
    if node.opset < 9:
        raise node.error("the Scan of opset 8", hint="convert the model to a newer opset")
    sequences = int(node.get("num_scan_inputs"))
    state, scanned = list(map(tensor, inputs[:-sequences])), [tensor(value) for value in inputs[-sequences:]]
    ways, axes = node.get("scan_input_directions", [0] * sequences), node.get("scan_input_axes", [0] * sequences)
    # the scanned axis comes first, in the order of the rounds
    lines = [_rounds_first(v, a % rank(v), w) for v, a, w in zip(scanned, axes, ways, strict=True)]
    length = dims(lines[0])[0]
    run = _unrolled if isinstance(length, int) and length <= _LONGEST_UNROLLED else _looped
    final, columns = run(node, state, lines, length)
    return (*final, *_turned(node, columns))


_LONGEST_UNROLLED = 256


def _rounds_first(value: Any, axis: int, backward: int) -> Any:
    moved = tf.transpose(value, [axis, *(a for a in range(rank(value)) if a != axis)]) if axis else value
    return tf.reverse(moved, [0]) if backward else moved


def _round(node: Node, state: Sequence[Any], parts: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    results = [tensor(value) for value in node.get("body")(*state, *parts)]
    return results[: len(state)], results[len(state) :]


def _unrolled(node: Node, state: list[Any], lines: Sequence[Any], length: int) -> tuple[list[Any], list[Any]]:
    rounds = []
    for parts in zip(*(tf.unstack(line, num=length) for line in lines), strict=True):
        state, yielded = _round(node, state, parts)
        rounds.append(yielded)
    return state, [tf.stack(column) for column in zip(*rounds, strict=True)]


def _looped(node: Node, state: list[Any], lines: Sequence[Any], length: Value) -> tuple[list[Any], list[Any]]:
    count = tf.cast(length, tf.int32)
    first = _round(node, state, [line[0] for line in lines])[1]  # for the shapes of what is yielded
    columns = [_Column(row, count) for row in first]

    def turn(i: Any, before: list[Any], collected: list[Any]) -> tuple[Any, list[Any], list[Any]]:
        after, yielded = _round(node, before, [tf.gather(line, i) for line in lines])
        return i + 1, after, [c.written(k, i, y) for c, k, y in zip(columns, collected, yielded, strict=True)]

    shapes = [value.shape for value in state], [column.shape for column in columns]
    start = (tf.constant(0), state, [column.start for column in columns])
    invariants = (tf.TensorShape([]), *shapes)
    _, final, collected = tf.while_loop(lambda i, *_: i < count, turn, start, shape_invariants=invariants)
    return final, collected


def _turned(node: Node, columns: Sequence[Any]) -> list[Any]:
    """Put what was collected in the direction and on the axis that the node wants."""
    ways = node.get("scan_output_directions", [0] * len(columns))
    axes = node.get("scan_output_axes", [0] * len(columns))
    return [_rounds_at(column, a % rank(column), w) for column, a, w in zip(columns, axes, ways, strict=True)]


def _rounds_at(column: Any, axis: int, backward: int) -> Any:
    ordered = tf.reverse(column, [0]) if backward else column
    return tf.transpose(ordered, [*range(1, axis + 1), 0, *range(axis + 1, rank(column))]) if axis else ordered
