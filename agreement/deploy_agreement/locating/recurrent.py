"""LSTM, GRU and RNN as cells: one direction of one layer, its weights gate by gate, whatever order a format has them in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.operators import RECURRENT
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array

INPUT, STATE, BIAS, INPUT_BIAS, STATE_BIAS = (
    "input weight", "recurrent weight", "bias", "input bias", "recurrent bias"
)  # fmt: skip
FORWARD, BACKWARD = "forward", "backward"
# The order in which a format has the gates of a family.
_ORDERS = {
    ("lstm", "torch"): "ifco",
    ("lstm", "onnx"): "iofc",
    ("lstm", "openvino"): "fico",
    ("lstm", "keras"): "ifco",
    ("lstm", "tflite"): "ifco",
    ("gru", "torch"): "rzh",
    ("gru", "onnx"): "zrh",
    ("gru", "openvino"): "zrh",
    ("gru", "keras"): "zrh",
    ("rnn", "torch"): "h",
    ("rnn", "onnx"): "h",
    ("rnn", "openvino"): "h",
    ("rnn", "keras"): "h",
}
_USUAL = {"lstm": ("sigmoid", "tanh", "tanh"), "gru": ("sigmoid", "tanh"), "rnn": ("tanh",)}
Part = tuple[str, str]  # what of a cell, and of which gate


@dataclass(frozen=True)
class Cell:
    """One direction of one layer: the tensor that its operator makes, its weights by part, laid out as torch has them."""

    tensor: str
    direction: str
    parts: Mapping[Part, Array]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class _Raw:
    """The weights of one cell as a format has them: gates stacked, outputs first."""

    direction: str
    input: Array
    state: Array
    biases: Sequence[Array]  # added to the input's, and to the state's; one may be both in one


def cells(graph: Graph, names: Iterable[str]) -> list[Cell]:
    """Give the cells of the recurrent operators among tensors, in order, each once; those of an unknown form are left out."""
    nodes = {
        graph.nodes[name].inputs: name for name in reversed(graph.ordered(names)) if graph.family[name] in RECURRENT
    }
    return [cell for name in reversed(nodes.values()) for cell in _cells(graph, name)]


def as_parts(node: Intermediate, family: str) -> tuple[int, int]:
    """Give how many gates lie stacked in weights of a recurrent operator, and along which axis; 0 if that is unknown."""
    order = _ORDERS.get((family, form(node)), "")
    return len(order), {"torch": 0, "keras": -1}.get(form(node), 1)


def form(node: Intermediate) -> str:
    """Give the format that a recurrent operator is written in."""
    if "aten" in node.operator:
        return "torch"
    if "units" in node.attributes:
        return "keras"
    if node.operator.isupper() and "SEQUENCE" in node.operator:
        return "tflite"
    return "openvino" if node.operator.endswith("Sequence") else "onnx"


def _cells(graph: Graph, name: str) -> Iterator[Cell]:
    node, family = graph.nodes[name], graph.family[name]
    order = _ORDERS.get((family, form(node)), "")
    for raw in _READERS[form(node)](node, len(order)) if order else ():
        attributes = _attributes(node, family, raw)
        yield Cell(name, raw.direction, dict(_parts(raw, order, attributes)), attributes)


def _parts(raw: _Raw, order: str, attributes: Mapping[str, Any]) -> Iterator[tuple[Part, Array]]:
    for kind, stacked in ((INPUT, raw.input), (STATE, raw.state)):
        yield from (((kind, gate), each) for gate, each in zip(order, _gates(stacked, order), strict=True))
    biases = [_gates(each, order) for each in raw.biases if len(each) == len(raw.input)]
    split = bool(attributes.get("linear_before_reset"))
    for place, gate in enumerate(order):
        own = [each[place] for each in biases]
        if gate == "h" and split and len(raw.biases) > 1:
            second = own[1] if len(own) > 1 else raw.biases[1]  # OpenVINO has only that of one gate by itself
            yield from (((INPUT_BIAS, gate), own[0]), ((STATE_BIAS, gate), second))
        elif own:
            yield (BIAS, gate), np.asarray(np.sum(own, axis=0, dtype=np.float64))


def _gates(stacked: Array, order: str) -> list[Array]:
    return np.split(stacked, len(order))


def _of_torch(node: Intermediate, gates: int) -> Iterator[_Raw]:
    arrays = [node.weights[name] for name in node.inputs if name in node.weights and node.weights[name].ndim < 3]
    count = 4 if node.attributes.get("has_biases", True) else 2
    sides = (FORWARD, BACKWARD) if node.attributes.get("bidirectional") else (FORWARD,)
    if len(arrays) % (count * len(sides)) or any(each.ndim != 2 for each in arrays[:2]):
        return  # a projection has a matrix more
    for place in range(0, len(arrays), count):
        own = arrays[place : place + count]
        yield _Raw(sides[place // count % len(sides)], own[0], own[1], own[2:])


def _of_onnx(node: Intermediate, gates: int) -> Iterator[_Raw]:
    arrays = [node.weights[name] for name in node.inputs if name in node.weights]
    wide = int(node.attributes.get("hidden_size") or 0) * gates
    stacks = [each for each in arrays if each.ndim == 3 and each.shape[1] == wide]
    biases = [each for each in arrays if each.ndim == 2 and each.shape[1] == 2 * wide]
    # A constant state of as many rows looks like a third: it comes behind them.
    for side, direction in enumerate(_directions(node) if len(stacks) > 1 else ()):
        pair = np.split(biases[0][side], 2) if biases else []
        yield _Raw(direction, stacks[0][side], stacks[1][side], pair)


def _of_openvino(node: Intermediate, gates: int) -> Iterator[_Raw]:
    arrays = [node.weights[name] for name in node.inputs if name in node.weights]
    hidden = int(node.attributes.get("hidden_size") or 0)
    # A constant state of as many rows looks like another: it comes before them.
    stacks = [each for each in arrays if each.ndim == 3 and each.shape[1] == hidden * gates][-2:]
    biases = [each for each in arrays if each.ndim == 2 and each.shape[1] in (hidden * gates, hidden * (gates + 1))]
    for side, direction in enumerate(_directions(node) if len(stacks) == 2 else ()):
        own = np.split(biases[0][side], [hidden * gates]) if biases else []
        yield _Raw(direction, stacks[0][side], stacks[1][side], [each for each in own if each.size])


def _of_keras(node: Intermediate, gates: int) -> Iterator[_Raw]:
    named = {name.rsplit("/", 1)[-1]: array for name, array in node.weights.items()}
    if {"kernel", "recurrent_kernel"} <= set(named):
        direction = BACKWARD if node.attributes.get("go_backwards") else FORWARD
        biases = np.atleast_2d(named["bias"]) if "bias" in named else ()
        yield _Raw(direction, named["kernel"].T, named["recurrent_kernel"].T, list(biases))


def _of_tflite(node: Intermediate, gates: int) -> Iterator[_Raw]:
    arrays = [node.weights[name] for name in node.inputs if name in node.weights]
    stacks, biases = ([each for each in arrays if each.ndim == axes] for axes in (2, 1))
    if len(stacks) == 2 * gates and len(biases) == gates:
        one, other = np.concatenate(stacks[:gates]), np.concatenate(stacks[gates:])
        yield _Raw(FORWARD, one, other, [np.concatenate(biases)])


_READERS = {
    "torch": _of_torch,
    "onnx": _of_onnx,
    "openvino": _of_openvino,
    "keras": _of_keras,
    "tflite": _of_tflite,
}


def _directions(node: Intermediate) -> tuple[str, ...]:
    told = str(node.attributes.get("direction", FORWARD)).lower()
    return {"bidirectional": (FORWARD, BACKWARD), "reverse": (BACKWARD,)}.get(told, (FORWARD,))


def _attributes(node: Intermediate, family: str, raw: _Raw) -> dict[str, Any]:
    """Give what changes what a cell computes, in ONNX's words; clipping is 0 where nothing is clipped."""
    given = node.attributes
    found: dict[str, Any] = {"activations": _activations(node, family, raw.direction)}
    found["clip"] = float(given.get("clip") or 0.0)
    if family == "gru":
        after = given.get("linear_before_reset", given.get("reset_after", form(node) == "torch"))
        found["linear_before_reset"] = bool(after)
    if family == "lstm":
        found["input_forget"] = bool(given.get("input_forget", False))
    return found


def _activations(node: Intermediate, family: str, direction: str) -> tuple[str, ...]:
    given, usual = node.attributes, _USUAL[family]
    if "relu" in node.operator.lower():
        return ("relu",)
    if "units" in given:
        outer, inner = (str(given.get(key) or "linear") for key in ("activation", "recurrent_activation"))
        return {"lstm": (inner, outer, outer), "gru": (inner, outer), "rnn": (outer,)}[family]
    told = tuple(str(each).lower() for each in given.get("activations") or ())
    return (told[-len(usual) :] if direction == BACKWARD else told[: len(usual)]) or usual


# What lies along the axes of an output of so many axes: batch, time, direction, hidden; two in one are joined.
_AXES = {
    "onnx": {4: "T D B H", 3: "D B H"},
    "openvino": {4: "B D T H", 3: "B D H"},
    "keras": {3: "B T H", 2: "B H"},
    "tflite": {3: "B T H"},
}
_BATCH_FIRST = {"onnx": {4: "B T D H", 3: "B D H"}}


def axes(graph: Graph, name: str) -> tuple[str, ...]:
    """Give what lies along each axis of what a recurrent operator makes, a letter for each part; empty if unknown."""
    node = graph.nodes[name]
    if graph.family[name] not in RECURRENT:
        return ()
    if form(node) == "torch":
        return _torch_axes(graph, name)
    batch_first = node.attributes.get("layout") == 1 or node.attributes.get("timeMajor") is False
    table = (_BATCH_FIRST if batch_first and form(node) in _BATCH_FIRST else _AXES).get(form(node), {})
    return tuple(table.get(node.value.ndim, "").split())


def _torch_axes(graph: Graph, name: str) -> tuple[str, ...]:
    node = graph.nodes[name]
    siblings = [
        each for each, other in graph.nodes.items() if (other.operator, other.inputs) == (node.operator, node.inputs)
    ]
    if node.value.ndim != 3:
        return ()
    if name != siblings[0]:  # the states after the output: of all layers
        return ("D", "B", "H") if node.attributes.get("num_layers", 1) == 1 else ()
    joined = "DH" if node.attributes.get("bidirectional") else "H"
    return ("B", "T", joined) if node.attributes.get("batch_first") else ("T", "B", joined)
