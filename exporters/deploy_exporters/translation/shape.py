"""Operators that make or change shapes; they stay numbers as long as the shape is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from deploy_exporters.translation.model import dtype_of_tensor_type
from deploy_exporters.translation.values import (
    Node,
    Value,
    dims,
    dtype_of,
    entries,
    integers,
    rank,
    reshaped,
    same_size,
    tensor,
    vector,
)


def constant(node: Node) -> Value:
    """Translate Constant."""
    for name, kind in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64)):
        if name in node.attributes:
            return np.asarray(node.get(name), dtype=kind)
    if "value_ints" in node.attributes:
        return np.asarray(node.get("value_ints"), dtype=np.int64)
    if "value" not in node.attributes:
        raise node.error(f"a constant given as {', '.join(node.attributes)}", hint="store it as a dense tensor")
    return node.get("value")


def shape(node: Node, x: Value) -> Value:
    """Translate Shape."""
    return vector(dims(x)[slice(node.get("start", 0), node.get("end"))])


def size(node: Node, x: Value) -> Value:
    """Translate Size."""
    sizes = dims(x)
    if all(isinstance(s, int) for s in sizes):
        return np.array(np.prod(sizes, dtype=np.int64))
    return tf.size(x, out_type=tf.int64)


def reshape(node: Node, x: Value, target: Value = None) -> Value:
    """Translate Reshape; a 0 keeps the size of the input, and one unknown size alone becomes -1."""
    wanted = list(node.get("shape")) if target is None else entries(target)
    if not node.get("allowzero", 0):
        own = dims(x) if 0 in [w for w in wanted if isinstance(w, int)] else []
        wanted = [own[i] if isinstance(w, int) and w == 0 else w for i, w in enumerate(wanted)]
    return _with_one_unknown(x, wanted)


def _with_one_unknown(x: Value, wanted: list[Value]) -> Value:
    sizes = dims(x)
    if -1 in [w for w in wanted if isinstance(w, int)]:
        unknown = [i for i, w in enumerate(wanted) if not isinstance(w, int)]
        whole = all(isinstance(s, int) for s in sizes)
        # beside a size known only at run time, -1 can often be worked out from the other sizes
        if len(unknown) == 1 and not whole and (rest := _missing(sizes, wanted)) is not None:
            wanted = [rest if isinstance(w, int) and w == -1 else w for w in wanted]
    return reshaped(tensor(x), wanted)


def _missing(sizes: Sequence[Value], wanted: Sequence[Value]) -> int | None:
    """Work out -1 where the one unknown size of the input is the one unknown size of the result."""
    mine = [s for s in sizes if not isinstance(s, int)]
    theirs = [w for w in wanted if not isinstance(w, int)]
    if len(mine) != 1 or not same_size(theirs[0], mine[0]):
        return None
    have = int(np.prod([s for s in sizes if isinstance(s, int)]))
    want = int(np.prod([w for w in wanted if isinstance(w, int) and w != -1]))
    return have // want if want and have % want == 0 else None


def flatten(node: Node, x: Value) -> Value:
    """Translate Flatten."""
    axis, sizes = int(node.get("axis", 1)), dims(x)
    axis = axis + len(sizes) if axis < 0 else axis
    return reshaped(tensor(x), [_product(sizes[:axis]), _product(sizes[axis:])])


def _product(sizes: Sequence[Value]) -> Value:
    result: Value = 1
    for s in sizes:
        result = result * s
    return result


def _axes(node: Node, axes: Value) -> list[int] | None:
    found = node.get("axes") if axes is None else integers(node, axes, "axes")
    return None if found is None else list(found)


def squeeze(node: Node, x: Value, axes: Value = None) -> Value:
    """Translate Squeeze."""
    return tf.squeeze(tensor(x), _axes(node, axes))


def unsqueeze(node: Node, x: Value, axes: Value = None) -> Value:
    """Translate Unsqueeze."""
    where = _axes(node, axes) or []
    total = rank(x) + len(where)
    places = {a % total for a in where}
    rest = iter(dims(x))
    if isinstance(x, np.ndarray) or rank(x) > 0:
        return reshaped(tensor(x), [1 if i in places else next(rest) for i in range(total)])
    for _ in places:
        x = tf.expand_dims(x, 0)
    return x


def transpose(node: Node, x: Value) -> Value:
    """Translate Transpose."""
    return tf.transpose(tensor(x), node.get("perm", list(range(rank(x)))[::-1]))


def expand(node: Node, x: Value, target: Value) -> Value:
    """Translate Expand: a size of 1 on either side gives way to the other."""
    wanted, sizes = entries(target), dims(x)
    total = max(len(wanted), len(sizes))
    wanted, sizes = [1] * (total - len(wanted)) + wanted, [1] * (total - len(sizes)) + sizes
    sized = [_broader(s, w) for s, w in zip(sizes, wanted, strict=True)]
    if all(a is b or (isinstance(a, int) and a == b) for a, b in zip(sized, dims(x), strict=False)) and total == rank(
        x
    ):
        return tensor(x)
    return tf.broadcast_to(tensor(x), vector(sized))


def _broader(size: Value, wanted: Value) -> Value:
    if isinstance(size, int) and size == 1:
        return wanted
    if isinstance(wanted, int) and wanted == 1:
        return size
    if isinstance(size, int) and isinstance(wanted, int):
        return size
    return size if isinstance(size, int) else tf.maximum(tf.cast(size, tf.int64), tf.cast(wanted, tf.int64))


def tile(node: Node, x: Value, repeats: Value) -> Value:
    """Translate Tile."""
    return tf.tile(tensor(x), vector(entries(repeats)))


def constant_of_shape(node: Node, target: Value) -> Value:
    """Translate ConstantOfShape."""
    value = np.asarray(node.get("value", np.zeros(1, np.float32))).reshape(())
    return tf.fill(vector(entries(target)), tf.constant(value))


def number_range(node: Node, start: Value, limit: Value, delta: Value) -> Value:
    """Translate Range."""
    dtype = dtype_of(start)
    wide = dtype if dtype in (tf.int32, tf.int64, tf.float32, tf.float64) else tf.float32
    return tf.cast(tf.range(*(tf.cast(tf.reshape(v, []), wide) for v in (start, limit, delta))), dtype)


def trilu(node: Node, x: Value, k: Value = None) -> Value:
    """Translate Trilu by comparing row and column numbers."""
    x = tensor(x)
    *_, rows, columns = dims(x)
    offset = tf.constant(0, tf.int64) if k is None else tf.cast(tf.reshape(k, []), tf.int64)
    row = tf.range(tf.cast(rows, tf.int64))[:, tf.newaxis] + offset
    column = tf.range(tf.cast(columns, tf.int64))[tf.newaxis, :]
    keep = column >= row if node.get("upper", 1) else column <= row
    return tf.where(keep, x, tf.zeros_like(x))


def eye_like(node: Node, x: Value) -> Value:
    """Translate EyeLike."""
    kind = tf.as_dtype(dtype_of_tensor_type(node.get("dtype"))) if "dtype" in node.attributes else dtype_of(x)
    rows, columns = (tf.cast(s, tf.int64) for s in dims(x))
    on = tf.range(columns)[tf.newaxis, :] - tf.range(rows)[:, tf.newaxis] == node.get("k", 0)
    return tf.cast(on, kind)


def depth_to_space(node: Node, x: Value) -> Value:
    """Translate DepthToSpace."""
    block, (batch, channels, high, wide) = int(node.get("blocksize")), dims(x)
    rest = channels // (block * block)
    if node.get("mode", "DCR") == "DCR":
        parts = tf.transpose(reshaped(x, [batch, block, block, rest, high, wide]), [0, 3, 4, 1, 5, 2])
    else:
        parts = tf.transpose(reshaped(x, [batch, rest, block, block, high, wide]), [0, 1, 4, 2, 5, 3])
    return reshaped(parts, [batch, rest, high * block, wide * block])


def space_to_depth(node: Node, x: Value) -> Value:
    """Translate SpaceToDepth."""
    block, (batch, channels, high, wide) = int(node.get("blocksize")), dims(x)
    parts = reshaped(x, [batch, channels, high // block, block, wide // block, block])
    moved = tf.transpose(parts, [0, 3, 5, 1, 2, 4] if node.get("mode", "DCR") == "DCR" else [0, 1, 3, 5, 2, 4])
    return reshaped(moved, [batch, channels * block * block, high // block, wide // block])
