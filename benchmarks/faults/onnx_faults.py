"""Faults in an ONNX file: a weight, an attribute or a node of the honest one changed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from benchmarks.faults.fault import Fault, Plant
    from benchmarks.faults.ground import Ground
    from deploy_core.signature import Array

Edit = Callable[[Any], None]  # of the ModelProto in place


def edited(edit: Edit) -> Plant:
    """Plant by editing the honest file."""

    def plant(fault: Fault, ground: Ground) -> AbstractContextManager[str]:
        return _written(fault, ground, edit)

    return plant


@contextmanager
def _written(fault: Fault, ground: Ground, edit: Edit) -> Generator[str]:
    yield str(write(fault, ground, edit))


def write(fault: Fault, ground: Ground, edit: Edit) -> Path:
    """Write the edited file; give its path."""
    model = onnx.load(ground.artifact(fault.model, "onnx"))
    edit(model)
    path = ground.faulty / f"{fault.name}.onnx"
    onnx.save(model, path)
    return path


def all_of(*edits: Edit) -> Edit:
    """Do several edits that are one fault."""

    def edit(model: Any) -> None:
        for one in edits:
            one(model)

    return edit


def weight(name: str, change: Callable[[Array], Array]) -> Edit:
    """Change an initialiser, found by the end of its name."""

    def edit(model: Any) -> None:
        tensor = _initializer(model, name)
        changed = np.ascontiguousarray(change(numpy_helper.to_array(tensor).copy())).reshape(tensor.dims)
        tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))

    return edit


def operand(operator: str, place: int, change: Callable[[Array], Array]) -> Edit:
    """Change the weight that is the input at a place of the first node of a kind."""

    def edit(model: Any) -> None:
        node = next(node for node in model.graph.node if node.op_type == operator)
        weight(node.input[place], change)(model)

    return edit


def swapped(one: str, other: str) -> Edit:
    """Swap two initialisers of one shape."""

    def edit(model: Any) -> None:
        left, right = _initializer(model, one), _initializer(model, other)
        left.name, right.name = right.name, left.name

    return edit


def rounded_weights(dtype: type[np.generic]) -> Edit:
    """Round every weight to a coarser dtype."""

    def edit(model: Any) -> None:
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT:
                array = numpy_helper.to_array(tensor).astype(dtype).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    return edit


def attribute(operator: str, name: str, value: Any, index: int = 0) -> Edit:
    """Give the n-th node of a kind another attribute."""

    def edit(model: Any) -> None:
        node = [node for node in model.graph.node if node.op_type == operator][index]
        kept = [one for one in node.attribute if one.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return edit


def appended(output: str, operator: str, **attributes: Any) -> Edit:
    """Put one more node behind an output."""

    def edit(model: Any) -> None:
        for node in model.graph.node:
            node.output[:] = [f"{name}_before" if name == output else name for name in node.output]
        model.graph.node.append(helper.make_node(operator, [f"{output}_before"], [output], "one_more", **attributes))

    return edit


def before(operator: str, *nodes: tuple[str, dict[str, Any]], index: int = 0) -> Edit:
    """Put nodes of one input before the first input of the n-th node of a kind."""

    def edit(model: Any) -> None:
        place, node = [(i, n) for i, n in enumerate(model.graph.node) if n.op_type == operator][index]
        value = node.input[0]
        for number, (kind, attributes) in enumerate(nodes):
            made = helper.make_node(kind, [value], [f"between_{number}"], f"put_{number}", **attributes)
            model.graph.node.insert(place + number, made)
            value = f"between_{number}"
        node.input[0] = value

    return edit


def renamed(names: dict[str, str]) -> Edit:
    """Give inputs and outputs other names; two may change places."""

    def edit(model: Any) -> None:
        graph = model.graph
        for node in graph.node:
            node.input[:] = [names.get(name, name) for name in node.input]
            node.output[:] = [names.get(name, name) for name in node.output]
        for value in (*graph.input, *graph.output):
            value.name = names.get(value.name, value.name)

    return edit


def reordered(names: Sequence[str]) -> Edit:
    """List outputs in another order under the names of the first one, as a server that goes by places would."""

    def edit(model: Any) -> None:
        renamed({name: f"{name}_moved" for name in names})(model)
        renamed({f"{name}_moved": other for name, other in zip(names, (*names[1:], names[0]), strict=True)})(model)

    return edit


def frozen(rows: int) -> Edit:
    """Fix the batch."""

    def edit(model: Any) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = rows

    return edit


def frozen_reshape(rows: int) -> Edit:
    """Fix the batch inside alone, where the signature does not tell."""

    def edit(model: Any) -> None:
        node = next(node for node in model.graph.node if node.op_type == "Reshape")
        tensor = _initializer(model, node.input[1])
        shape = numpy_helper.to_array(tensor).copy()
        shape[0], shape[1:] = rows, [size if size > 0 else -1 for size in shape[1:]]
        tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))

    return edit


def replaced(operator: str, make: Callable[[Any], Sequence[Any]], index: int = 0) -> Edit:
    """Put other nodes in the place of the n-th of a kind."""

    def edit(model: Any) -> None:
        place, node = [(i, n) for i, n in enumerate(model.graph.node) if n.op_type == operator][index]
        made = make(node)
        model.graph.node.remove(node)
        for number, new in enumerate(made):
            model.graph.node.insert(place + number, new)

    return edit


def noise_on(scale: float) -> Edit:
    """Add noise behind the first activation, as in training. (ONNX Runtime leaves a Dropout out, whatever it says.)"""

    def edit(model: Any) -> None:
        place, node = next((i, n) for i, n in enumerate(model.graph.node) if n.op_type == "Gelu")
        made = helper.make_node("RandomNormalLike", [node.output[0]], ["noise"], "noise", scale=scale)
        added = helper.make_node("Add", [node.output[0], "noise"], ["noisy"], "noisy")
        follower = model.graph.node[place + 1]
        follower.input[:] = ["noisy" if name == node.output[0] else name for name in follower.input]
        model.graph.node.insert(place + 1, made)
        model.graph.node.insert(place + 2, added)

    return edit


def summed() -> Edit:
    """Add int64 by ReduceSum, which ONNX Runtime does in float64."""

    def edit(model: Any) -> None:
        graph = model.graph
        last = next(node for node in graph.node if "total" in node.output)
        product = next(node for node in graph.node if node.op_type == "Mul")
        graph.initializer.append(numpy_helper.from_array(np.array([1]), "sum_axes"))
        graph.node.remove(last)
        graph.node.append(helper.make_node("ReduceSum", [product.output[0], "sum_axes"], ["total"], "sum", keepdims=0))

    return edit


def _initializer(model: Any, name: str) -> Any:
    found = [tensor for tensor in model.graph.initializer if tensor.name == name or tensor.name.endswith(f".{name}")]
    if len(found) != 1:
        raise ValueError(f"{name} is the name of {len(found)} weights, not of one")
    return found[0]
