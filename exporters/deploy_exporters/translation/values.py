"""What flows between operators: numpy arrays (known before the model runs) and TensorFlow tensors (not known)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from deploy_core.errors import ExportError
from deploy_core.signature import Array

Value = Any  # Array | tf.Tensor; TensorFlow has no types that mypy could check

_HELD_BYTES = 1024


@dataclass(frozen=True)
class Node:
    """One operator of the graph; subgraphs among its attributes are functions from values to values."""

    op: str
    opset: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    outputs: tuple[str, ...] = ("",)
    layer: str = ""

    def get(self, name: str, default: Any = None) -> Any:
        """Give an attribute, or the default if the node does not carry it."""
        return self.attributes.get(name, default)

    def error(self, problem: str, hint: str = "") -> ExportError:
        """Make the error that says which node cannot be translated and why."""
        where = f"{self.op} ({self.name})" if self.name else self.op
        return ExportError(f"{where} cannot be translated to TensorFlow: {problem}", hint=hint)


class Weights:
    """The variables made for one model, one per array."""

    def __init__(self) -> None:
        self.variables: list[Any] = []
        self._known: dict[int, tuple[Array, Any]] = {}

    def variable(self, array: Array) -> Any:
        """Give the variable that holds this array."""
        if id(array) not in self._known:
            # tf.function forbids new variables on the thread that traces it, but not variables as such
            with ThreadPoolExecutor(1) as other:
                variable = other.submit(
                    tf.Variable, array, trainable=False, name=f"weight_{len(self.variables)}"
                ).result()
            self.variables.append(variable)
            self._known[id(array)] = array, variable  # the array is kept, or its id could be given away
        return self._known[id(array)][1]


WEIGHTS: ContextVar[Weights | None] = ContextVar("weights", default=None)


def tensor(value: Value) -> Any:
    """Give a value as a tensor; a large array becomes a variable, because a graph holds at most 2 GB."""
    if not isinstance(value, np.ndarray):
        return value
    weights = WEIGHTS.get()
    if weights is None or value.nbytes < _HELD_BYTES or tf.executing_eagerly() or value.dtype.kind not in "fiu":
        return tf.constant(value)
    return tf.identity(weights.variable(value))


def static(value: Value) -> Array | None:
    """Give a value as an array if it is known before the model runs, else None."""
    if value is None or isinstance(value, np.ndarray):
        return value
    known = tf.get_static_value(value)
    return None if known is None else np.asarray(known)


def known(node: Node, value: Value, what: str) -> Array:
    """Give a value as an array. Raises ExportError where it is known only when the model runs."""
    array = static(value)
    if array is None:
        raise node.error(
            f"its {what} is computed while the model runs", hint=f"make {what} a constant of the ONNX model"
        )
    return array


def integers(node: Node, value: Value, what: str) -> list[int]:
    """Give a statically known value as a list of integers. Raises ExportError."""
    return [int(v) for v in np.ravel(known(node, value, what))]


def entries(value: Value) -> list[Value]:
    """Give the elements of a vector, each an int where it is known and else a scalar tensor."""
    if isinstance(value, np.ndarray):
        return [int(v) for v in value]
    if not tf.executing_eagerly() and value.op.type == "Pack":
        return [scalar if (number := static(scalar)) is None else int(number) for scalar in value.op.inputs]
    if not tf.executing_eagerly() and value.op.type == "Cast" and value.dtype in (tf.int32, tf.int64):
        return [e if isinstance(e, int) else tf.cast(e, value.dtype) for e in entries(value.op.inputs[0])]
    partial = tf.get_static_value(value, partial=True)
    length = len(partial) if partial is not None else value.shape[0]
    if length is None:
        raise ExportError("a shape of unknown length cannot be translated to TensorFlow")
    found = [None] * length if partial is None else list(partial)
    return [value[i] if v is None else int(v) for i, v in enumerate(found)]


def vector(elements: Sequence[Value], dtype: Any = None) -> Value:
    """Join ints and scalar tensors to a vector; an array if all are known. The inverse of `entries`."""
    if all(isinstance(e, int | np.integer) for e in elements):
        return np.array(elements, dtype=np.int64 if dtype is None else dtype.as_numpy_dtype)
    kind = tf.int64 if dtype is None else dtype
    return tf.stack([tf.cast(e, kind) if tf.is_tensor(e) else tf.constant(int(e), kind) for e in elements])


def dims(value: Value) -> list[Value]:
    """Give the size of each dimension, an int where it is known and else an int64 scalar tensor."""
    sizes = list(value.shape)
    if all(size is not None for size in sizes):
        return [int(size) for size in sizes]
    run_time = tf.shape(value, out_type=tf.int64)
    return [run_time[i] if size is None else int(size) for i, size in enumerate(sizes)]


def same_size(a: Value, b: Value) -> bool:
    """Tell whether two scalar tensors are the same element of the same tensor's shape."""
    return not tf.executing_eagerly() and _origin(a) is not None and _origin(a) == _origin(b)


def _origin(scalar: Any) -> tuple[str, int] | None:
    while scalar.op.type in ("Cast", "Identity", "Squeeze", "ExpandDims", "Reshape"):
        scalar = scalar.op.inputs[0]
    if scalar.op.type == "Pack" and len(scalar.op.inputs) == 1:
        return _origin(scalar.op.inputs[0])
    if scalar.op.type != "StridedSlice" or scalar.op.inputs[0].op.type != "Shape":
        return None
    begin = static(scalar.op.inputs[1])
    return None if begin is None else (scalar.op.inputs[0].op.inputs[0].name, int(begin.reshape(-1)[0]))


_OF_SIZES = frozenset(
    [
        "AddV2",
        "BroadcastTo",
        "Cast",
        "ConcatV2",
        "ExpandDims",
        "Fill",
        "FloorDiv",
        "FloorMod",
        "GatherV2",
        "Identity",
        "Maximum",
        "Minimum",
        "Mul",
        "Neg",
        "Pack",
        "Prod",
        "Range",
        "Reshape",
        "Squeeze",
        "StridedSlice",
        "Sub",
        "Transpose",
        "TruncateDiv",
    ]
)


def is_size(value: Value) -> bool:
    """Tell whether a tensor is made of shapes and small constants only, so that 32 bits hold it."""
    seen: set[str] = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if (array := static(each)) is not None:
            if (np.abs(array.astype(np.float64)) >= _LARGEST_SIZE).any():
                return False
        elif each.op.type != "Shape" and each.op.name not in seen:
            if each.op.type not in _OF_SIZES or len(seen) == _MOST_STEPS:
                return False
            seen.add(each.op.name)
            waiting += each.op.inputs
    return True


_LARGEST_SIZE = 2**31
_MOST_STEPS = 500  # each convolution of a stack has some, and nobody wants to search a whole model


def rank(value: Value) -> int:
    """Give the number of dimensions. Raises ExportError if even that is unknown."""
    count = len(value.shape) if isinstance(value, np.ndarray) else value.shape.rank
    if count is None:
        raise ExportError(f"a tensor of unknown rank ({value}) cannot be translated to TensorFlow")
    return int(count)


def axis_of(node: Node, value: Value, default: int) -> int:
    """Give the attribute `axis` counted from the front."""
    axis = int(node.get("axis", default))
    return axis + rank(value) if axis < 0 else axis


def dtype_of(value: Value) -> Any:
    """Give TensorFlow's dtype of an array or tensor."""
    return tf.as_dtype(value.dtype)


def reshaped(value: Value, sizes: Sequence[Value]) -> Value:
    """Reshape to ints and scalar tensors; one unknown size alone becomes -1, so that the shape stays a constant."""
    unknown = [i for i, size in enumerate(sizes) if not isinstance(size, int)]
    if len(unknown) == 1 and all(size > 0 for size in sizes if isinstance(size, int)):
        sizes = [-1 if i == unknown[0] else size for i, size in enumerate(sizes)]
    return tf.reshape(value, vector(sizes))


def as_array(value: Value) -> Array:
    """Give an eager tensor as an array."""
    return value if isinstance(value, np.ndarray) else np.asarray(value.numpy())
