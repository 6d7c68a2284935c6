"""If, Loop and Scan: operators whose attributes are graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.values import Node, Value, dims, rank, static, tensor


def branch(node: Node, condition: Value) -> tuple[Value, ...]:
    """Translate If; a condition known beforehand picks its branch now."""
    then, other = node.get("then_branch"), node.get("else_branch")
    fixed = static(condition)
    if fixed is not None:
        return tuple((then if bool(fixed.reshape(())) else other)())
    chosen = tf.cond(tf.reshape(condition, []), lambda: tuple(map(tensor, then())), lambda: tuple(map(tensor, other())))
    return tuple(chosen)


def loop(node: Node, limit: Value = None, condition: Value = None, *initial: Value) -> tuple[Value, ...]:
    """Translate Loop by TensorFlow's while; what each round yields is collected in arrays."""
    body, count = node.get("body"), len(initial)
    most = tf.constant(np.iinfo(np.int64).max) if limit is None else tf.cast(tf.reshape(limit, []), tf.int64)
    go = tf.constant(True) if condition is None else tf.reshape(tensor(condition), [])
    kinds = body.output_dtypes[1 + count :]
    arrays = [tf.TensorArray(kind, 0, dynamic_size=True, infer_shape=False, element_shape=None) for kind in kinds]

    def turn(i: Any, going: Any, state: tuple[Any, ...], collected: list[Any]) -> tuple[Any, ...]:
        again, *rest = body(i, going, *state)
        after, yielded = rest[:count], rest[count:]
        written = [ta.write(tf.cast(i, tf.int32), tensor(y)) for ta, y in zip(collected, yielded, strict=True)]
        return i + 1, tf.reshape(tensor(again), []), tuple(map(tensor, after)), written

    start = (tf.constant(0, tf.int64), go, tuple(map(tensor, initial)), arrays)
    open_shapes = tuple(tf.TensorShape([None] * rank(value)) for value in initial)
    invariants = (tf.TensorShape([]), tf.TensorShape([]), open_shapes, [tf.TensorShape(None)] * len(arrays))
    _, _, final, collected = tf.while_loop(
        lambda i, again, *_: tf.logical_and(i < most, again), turn, start, shape_invariants=invariants
    )
    return (*final, *(array.stack() for array in collected))


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
