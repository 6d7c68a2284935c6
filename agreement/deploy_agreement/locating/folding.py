"""Weights as a converter leaves them: a batch norm multiplied into the convolution before it, or made a slope and a shift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from deploy_agreement.locating.batch_norms import Parameters, parameters
from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.operators import HEADS
from deploy_agreement.locating.windows import channels_first
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array


def folded(graph: Graph, names: Iterable[str], theirs: set[str]) -> dict[str, Mapping[str, Array]]:
    """Give the weights of tensors' operators as a side that has the families `theirs` would hold them."""
    region = list(names)
    found = {name: graph.nodes[name].weights for name in region}
    for name in region:
        own = parameters(graph.nodes[name]) if graph.family[name] == "batch norm" else None
        if own is None or "batch norm" in theirs:
            continue
        before = next(iter(graph.parents[name]), "")
        if before in found and graph.family[before] in HEADS and "multiply" not in theirs:
            found[before] = _multiplied(graph.nodes[before], own)
            found[name] = {}
        else:
            found[name] = {"slope": own.slope.astype(np.float32), "shift": own.shift.astype(np.float32)}
    return found


def slopes(graph: Graph, names: Iterable[str]) -> dict[str, Array]:
    """Give by what each weight is multiplied, by its name, where a batch norm is folded into it."""
    found: dict[str, Array] = {}
    for name in names:
        own = parameters(graph.nodes[name]) if graph.family[name] == "batch norm" else None
        before = next(iter(graph.parents[name]), "")
        if own is not None and before and graph.family[before] in HEADS:
            node = graph.nodes[before]
            found |= {
                key: shape for key, array in node.weights.items() if (shape := _along(node, array, own)) is not None
            }
    return found


def _along(node: Intermediate, array: Array, own: Parameters) -> Array | None:
    axis = _outward(node, array)
    if array.ndim < 2 or array.shape[axis] != len(own.slope):
        return None
    return own.slope.reshape([-1 if place == axis else 1 for place in range(array.ndim)])


def _multiplied(node: Intermediate, own: Parameters) -> Mapping[str, Array]:
    made: dict[str, Array] = {}
    bias = np.zeros_like(own.slope)
    for key, array in node.weights.items():
        if array.ndim == 1 and array.shape == own.slope.shape:
            bias = array.astype(np.float64)
        elif (slope := _along(node, array, own)) is not None:
            made[key] = (array * slope).astype(np.float32)
    return {**made, "bias": (bias * own.slope + own.shift).astype(np.float32)}


def _outward(node: Intermediate, array: Array) -> int:
    """Give the axis of a weight along which outputs lie."""
    first = channels_first(node) or (node.operator.isupper() and "DEPTHWISE" not in node.operator)
    return 0 if first else array.ndim - 1
