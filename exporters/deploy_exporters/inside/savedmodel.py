"""Looking into a SavedModel: its signature with variables as constants and functions written out, run to every tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from deploy_core.errors import UsageError, reason
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array, Tensors
from deploy_exporters.inside import layers
from deploy_exporters.inside.kept import Kept

_PASSING = ("Identity", "IdentityN", "StopGradient", "PreventGradient", "Snapshot")
_SILENT = ("Placeholder", "NoOp", "Const", "Assert")
_UNTOLD = ("dtype", "Index", "SrcT", "use_cudnn_on_gpu", "grad_a", "grad_b", "grad_x", "grad_y", "output_shapes")
_AT_ONCE = 64
_EPSILON = "batchnorm/add/y"  # where tf.nn.batch_normalization has it: a constant, and no attribute


def intermediates(
    function: Any, inputs: Tensors, outputs: Iterable[str], *, most_bytes: int | None = None
) -> list[Intermediate]:
    """Give the tensors inside a signature for inputs by its own names; a choice or a loop is one operator.

    Raises UsageError if they take more than `most_bytes`, or for a signature that has no constant form.
    """
    graph = _Graph(_frozen(function), function, tuple(outputs))
    kept = Kept(most_bytes)
    weights: dict[str, Array] = {}
    for values in graph.values(inputs):
        for name, value in values.items():
            if name in graph.constant:
                weights[name] = value
            else:
                kept.add(graph.intermediate(name, value, weights))
    return kept.told(graph.outputs)


def tensors(function: Any, outputs: Iterable[str]) -> dict[str, Any]:
    """Give the tensors of the graph with constant weights by the names that `intermediates` gives them, inputs, too."""
    graph = _Graph(_frozen(function), function, tuple(outputs))
    return graph.by_name()


def _frozen(function: Any) -> Any:
    try:
        return convert_variables_to_constants_v2(function, lower_control_flow=False)
    except Exception as error:
        raise UsageError(
            f"the SavedModel has no form with constant weights: {reason(error)}",
            hint="look into another format of the same model",
        ) from error


class _Graph:
    """The operators of a frozen signature that compute: what only passes a tensor on goes by the tensor's own name."""

    def __init__(self, frozen: Any, function: Any, outputs: tuple[str, ...]) -> None:
        self._frozen = frozen
        self._inputs = dict(zip(function._arg_keywords, frozen.inputs, strict=True))
        ends = dict(zip(sorted(function.structured_outputs), frozen.outputs, strict=True))
        self._names: dict[str, str] = {
            **_variables(function),
            **{self._behind(ends[name]).name: name for name in reversed(outputs)},
            **{each.name: name for name, each in self._inputs.items()},
        }
        # The tensor that each is; two may be one, which bears the name of the first.
        self.outputs = {name: self._name(self._behind(ends[name]).name) for name in outputs}
        self._tensors = {each.name: each for op in frozen.graph.get_operations() for each in self._made(op)}

    @cached_property
    def constant(self) -> frozenset[str]:
        """The tensors that no input can change."""
        found: set[str] = set()
        for op in self._frozen.graph.get_operations():
            stateful = op.op_def is not None and op.op_def.is_stateful
            if op.type == "Const" or (op.inputs and not stateful and all(each.name in found for each in op.inputs)):
                found.update(each.name for each in op.outputs)
        return frozenset(found)

    def values(self, inputs: Tensors) -> Iterator[dict[str, Array]]:
        """Give the value of every tensor, some at once, constants first."""
        given = [tf.constant(inputs[name], each.dtype) for name, each in self._inputs.items()]
        names = sorted(self._tensors, key=lambda name: name not in self.constant)
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            pruned = self._frozen.prune(self._frozen.inputs, [self._tensors[name] for name in some])
            yield {name: np.array(value) for name, value in zip(some, pruned(*given), strict=True)}

    def intermediate(self, name: str, value: Array, weights: Mapping[str, Array]) -> Intermediate:
        """Tell of a tensor; one that is answered goes by the name of the output."""
        op = self._tensors[name].op
        used = tuple(dict.fromkeys(self._used(op)))
        own = {self._name(each): weights[each] for each in used if each in weights}
        names = tuple(self._name(each) for each in used)
        return Intermediate(
            self._name(name), value, op.type, names, self._attributes(op), own, layers.of_tensorflow(op.name)
        )

    def by_name(self) -> dict[str, Any]:
        """Give every tensor by the name that it goes by."""
        found = {**{self._name(name): each for name, each in self._tensors.items()}, **self._inputs}
        return {**found, **{name: found[tensor] for name, tensor in self.outputs.items() if tensor in found}}

    def _name(self, tensor: str) -> str:
        return self._names.get(tensor, tensor)

    def _behind(self, tensor: Any) -> Any:
        while tensor.op.type in _PASSING and tensor.op.inputs:
            tensor = tensor.op.inputs[tensor.op.outputs.index(tensor) if tensor.op.type == "IdentityN" else 0]
        return tensor

    def _made(self, op: Any) -> list[Any]:
        if op.type in _SILENT and op.type != "Const":
            return []
        return [
            each for each in op.outputs if self._behind(each) is each and each.dtype not in (tf.resource, tf.variant)
        ]

    def _used(self, op: Any) -> Iterator[str]:
        """Give what an operator takes; of what is no array, such as the list of a loop, what that was made of."""
        for each in map(self._behind, op.inputs):
            if each.dtype == tf.variant:
                yield from self._used(each.op)
            else:
                yield each.name

    def _attributes(self, op: Any) -> dict[str, Any]:
        keys = (key for key in op.node_def.attr if key not in _UNTOLD and not key.startswith(("T", "_")))
        told = {key: value for key in keys if (value := _plain(op.get_attr(key))) is not None}
        scope = op.name.rpartition("/batchnorm/")[0]
        epsilon = self._tensors.get(f"{scope}/{_EPSILON}:0") if scope else None
        return told if epsilon is None else {**told, "epsilon": float(tf.get_static_value(epsilon))}


def _variables(function: Any) -> dict[str, str]:
    """Give the names of the variables by those of the constants that they become."""
    handles = {id(variable.handle): variable.name.partition(":")[0] for variable in function.variables}
    captures = ((id(outer), inner.name) for outer, inner in function.graph.captures)
    return {inner: handles[outer] for outer, inner in captures if outer in handles}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, tf.DType):
        return value.name
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    return value if isinstance(value, bool | int | float | str) else None
