"""Sequences and optional values: Python lists while a graph is translated; nothing of them is left in the file.

What a loop appends to, round by round, is kept as one tensor instead (`Rows`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.slicing import split
from deploy_exporters.translation.values import Node, Value, axis_of, dims, integers, known, tensor, vector


@dataclass(frozen=True)
class Rows:
    """A sequence of as many tensors of one shape as the model finds when it runs, stacked."""

    stacked: Any


def construct(node: Node, *parts: Value) -> list[Value]:
    """Translate SequenceConstruct."""
    return list(parts)


def empty(node: Node) -> list[Value]:
    """Translate SequenceEmpty."""
    return []


def insert(node: Node, sequence: list[Value], part: Value, position: Value = None) -> list[Value]:
    """Translate SequenceInsert."""
    at = len(sequence) if position is None else int(known(node, position, "position"))
    return [*sequence[:at], part, *sequence[at:]]


def erase(node: Node, sequence: list[Value], position: Value = None) -> list[Value]:
    """Translate SequenceErase."""
    at = range(len(sequence))[-1 if position is None else int(known(node, position, "position"))]
    return [part for i, part in enumerate(sequence) if i != at]


def at(node: Node, sequence: list[Value] | Rows, position: Value) -> Value:
    """Translate SequenceAt."""
    if isinstance(sequence, Rows):
        return sequence.stacked[tf.cast(tf.reshape(tensor(position), []), tf.int32)]
    return sequence[int(known(node, position, "position"))]


def length(node: Node, sequence: list[Value] | Rows) -> Value:
    """Translate SequenceLength."""
    if isinstance(sequence, Rows):
        return tf.shape(sequence.stacked, out_type=tf.int64)[0]
    return np.array(len(sequence), np.int64)


def split_to_sequence(node: Node, x: Value, sizes: Value = None) -> list[Value]:
    """Translate SplitToSequence: by sizes, by one size for all parts, or into single elements."""
    axis = axis_of(node, x, 0)
    whole = dims(x)[axis]
    if not isinstance(whole, int):
        raise node.error("it splits a dynamic size into a sequence", hint="export with that size fixed")
    if sizes is None:
        each, keep = [1] * whole, bool(node.get("keepdims", 1))
    else:
        each, keep = integers(node, sizes, "split"), True
        if np.ndim(sizes) == 0:
            each = [min(each[0], whole - begin) for begin in range(0, whole, each[0])]
    names = tuple(str(i) for i in range(len(each)))
    parts = split(Node("Split", 18, {"axis": axis}, node.name, names), x, np.array(each, np.int64))
    return list(parts) if keep else [tf.squeeze(part, axis) for part in parts]


def concat_from_sequence(node: Node, sequence: list[Value] | Rows) -> Value:
    """Translate ConcatFromSequence: joined along an axis, or stacked along a new one."""
    axis, fresh = int(node.get("axis")), bool(node.get("new_axis", 0))
    if isinstance(sequence, Rows):
        return _joined(sequence.stacked, axis, fresh)
    parts = [tensor(part) for part in sequence]
    return tf.stack(parts, axis) if fresh else tf.concat(parts, axis)


def _joined(stacked: Any, axis: int, fresh: bool) -> Value:
    """Move the axis of the rows to where they are joined."""
    count = stacked.shape.rank
    place = axis % count if fresh else axis % (count - 1)
    moved = tf.transpose(stacked, [*range(1, place + 1), 0, *range(place + 1, count)])
    if fresh:
        return moved
    sizes = dims(moved)
    return tf.reshape(moved, vector([*sizes[:place], -1, *sizes[place + 2 :]]))


def optional(node: Node, value: Value = None) -> Value:
    """Translate Optional and OptionalGetElement: here an optional value is the value, or None."""
    return value


def has_element(node: Node, value: Value = None) -> Value:
    """Translate OptionalHasElement."""
    return np.array(value is not None)
