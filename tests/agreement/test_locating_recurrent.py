"""Recurrent layers as each format writes them: one order of gates, outputs laid out alike, and the gate that is off named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest

from deploy_agreement.locating import NOWHERE, Seen, locate
from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.laying import apart
from deploy_agreement.locating.matching import Matching
from deploy_agreement.locating.recurrent import cells
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array

BATCH, STEPS, WIDE, HIDDEN = 3, 5, 4, 6
GATES = {"lstm": "ifco", "gru": "rzh"}
Weights = Mapping[str, Array]  # by kind, side and gate: `W0f` is the forget gate's input weight of the first direction


def _weights(family: str, sides: int) -> dict[str, Array]:
    rng = np.random.default_rng(5)
    shapes = {"W": (HIDDEN, WIDE), "R": (HIDDEN, HIDDEN), "b": (HIDDEN,), "B": (HIDDEN,)}
    return {
        f"{kind}{side}{gate}": rng.standard_normal(shape).astype(np.float32)
        for (kind, shape), side, gate in product(shapes.items(), range(sides), GATES[family])
    }


def _stacked(weights: Weights, kind: str, side: int, order: str) -> Array:
    return np.concatenate([weights[f"{kind}{side}{gate}"] for gate in order])


def _torch(family: str, weights: Weights, sides: int) -> tuple[str, dict[str, Array], dict[str, Any]]:
    arrays = [_stacked(weights, kind, side, GATES[family]) for side in range(sides) for kind in "WRbB"]
    told = {"has_biases": True, "num_layers": 1, "bidirectional": sides == 2, "batch_first": True}
    return f"aten::{family}", {f"l._flat_weights.{place}": array for place, array in enumerate(arrays)}, told


def _sides(sides: int) -> str:
    return "bidirectional" if sides == 2 else "forward"


def _onnx(family: str, weights: Weights, sides: int) -> tuple[str, dict[str, Array], dict[str, Any]]:
    order = {"lstm": "iofc", "gru": "zrh"}[family]
    stacks = {kind: np.stack([_stacked(weights, kind, side, order) for side in range(sides)]) for kind in "WRbB"}
    both = np.concatenate([stacks["b"], stacks["B"]], axis=1)
    told = {"hidden_size": HIDDEN, "direction": _sides(sides), "layout": 0}
    told |= {"linear_before_reset": 1} if family == "gru" else {}
    return family.upper(), {"v_W": stacks["W"], "v_R": stacks["R"], "v_B": both}, told


def _openvino(family: str, weights: Weights, sides: int) -> tuple[str, dict[str, Array], dict[str, Any]]:
    order = {"lstm": "fico", "gru": "zrh"}[family]
    stacks = {kind: np.stack([_stacked(weights, kind, side, order) for side in range(sides)]) for kind in "WRbB"}
    bias = stacks["b"] + stacks["B"]
    if family == "gru":
        bias = np.concatenate([bias[:, :-HIDDEN], stacks["b"][:, -HIDDEN:], stacks["B"][:, -HIDDEN:]], axis=1)
    told = {"hidden_size": HIDDEN, "direction": _sides(sides), "activations": (), "clip": 0.0}
    told |= {"linear_before_reset": True} if family == "gru" else {}
    return f"{family.upper()}Sequence", {"c_W": stacks["W"], "c_R": stacks["R"], "c_B": bias}, told


def _keras(family: str, weights: Weights, sides: int) -> tuple[str, dict[str, Array], dict[str, Any]]:
    order = {"lstm": "ifco", "gru": "zrh"}[family]
    kernel, own, one, two = (_stacked(weights, kind, 0, order) for kind in "WRbB")
    named = {"kernel": kernel.T, "recurrent_kernel": own.T, "bias": np.stack([one, two])}
    told = {"units": HIDDEN, "activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": False}
    told |= {"reset_after": True} if family == "gru" else {}
    if family == "lstm":
        named["bias"] = one + two
    return family.upper(), {f"l/cell/{name}": array for name, array in named.items()}, told


def _laid(form: str, value: Array, sides: int) -> Array:
    """Lay [batch, steps, sides × hidden] out as a format has it."""
    parts = value.reshape(BATCH, STEPS, sides, HIDDEN)
    axes = {"onnx": (1, 2, 0, 3), "openvino": (0, 2, 1, 3)}.get(form)
    return np.ascontiguousarray(parts.transpose(axes)) if axes else value


FORMS: dict[str, Callable[..., tuple[str, dict[str, Array], dict[str, Any]]]] = {
    "torch": _torch, "onnx": _onnx, "openvino": _openvino, "keras": _keras,
}  # fmt: skip
OTHERS = [
    (form, family, sides) for form, family, sides in product(FORMS, GATES, (1, 2)) if (form, sides) != ("keras", 2)
]


def _seen(form: str, family: str, weights: Weights, sides: int, *, off: float = 0.0, **attributes: Any) -> Seen:
    """Look into a recurrent layer with a sum of its steps behind it; `off` is by how much what it makes is off."""
    rng = np.random.default_rng(9)
    x = rng.standard_normal((BATCH, STEPS, WIDE)).astype(np.float32)
    value = rng.standard_normal((BATCH, STEPS, sides * HIDDEN)).astype(np.float32)
    value += np.float32(off) * rng.standard_normal(value.shape).astype(np.float32)
    operator, arrays, told = FORMS[form](family, weights, sides)
    made = _laid(form, value, sides)
    layer = Intermediate("l/1", made, operator, ("x", *arrays), {**told, **attributes}, arrays, "l")
    end = value.sum(1)
    return Seen(form, {"x": x}, {"y": end}, (layer, Intermediate("y", end, "sum", ("l/1",))))


@pytest.mark.parametrize(("form", "family", "sides"), OTHERS)
def test_cells_are_the_same_in_every_format(form: str, family: str, sides: int) -> None:
    weights = _weights(family, sides)
    one, other = (Graph(_seen(each, family, weights, sides)) for each in ("torch", form))
    mine, theirs = cells(one, one.nodes), cells(other, other.nodes)
    assert [cell.direction for cell in mine] == [cell.direction for cell in theirs] == ["forward", "backward"][:sides]
    for want, got in zip(mine, theirs, strict=True):
        assert want.attributes == got.attributes
        assert want.parts.keys() == got.parts.keys()
        assert all(np.allclose(array, got.parts[part], rtol=0, atol=1e-6) for part, array in want.parts.items())


@pytest.mark.parametrize(("form", "family", "sides"), OTHERS)
def test_honest_pair_parts_nowhere(form: str, family: str, sides: int) -> None:
    weights = _weights(family, sides)
    ones = [_seen(each, family, weights, sides) for each in ("torch", form)]
    assert locate(*ones).located.said == NOWHERE


FAULTS = [
    ("gru", "bz", lambda w: w + 0.01, "l: bias of the update gate is off by up to 0.01 in 6 of 6 values"),
    ("gru", "Bh", lambda w: w * 2, "l: recurrent bias of the new gate is 2 times the wanted one"),
    ("gru", "Rr", lambda w: w * 1.5, "l: recurrent weight of the reset gate is 1.5 times the wanted one"),
    ("lstm", "Rf", lambda w: w * 1.05, "l: recurrent weight of the forget gate is 1.05 times the wanted one"),
    ("lstm", "Wc", lambda w: w[::-1], "l: input weight of the cell gate has axis 0 in another order"),
]


@pytest.mark.parametrize(("family", "part", "change", "told"), FAULTS)
@pytest.mark.parametrize("form", FORMS)
def test_guilty_gate_is_named(form: str, family: str, part: str, change: Callable[[Array], Array], told: str) -> None:
    weights = _weights(family, 1)
    name = f"{part[0]}0{part[1]}"
    bad = {**weights, name: np.ascontiguousarray(change(weights[name])).astype(np.float32)}
    found = locate(_seen("torch", family, weights, 1), _seen(form, family, bad, 1, off=0.01)).located
    assert found.said.startswith(told)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_guilty_direction_is_named(form: str) -> None:
    weights = _weights("lstm", 2)
    bad = {**weights, "R1f": weights["R1f"] + np.float32(0.25)}
    found = locate(_seen("torch", "lstm", weights, 2), _seen(form, "lstm", bad, 2, off=0.01)).located
    assert found.said == "l: recurrent weight of the forget gate is off by up to 0.25 in 36 of 36 values (backward)"


@pytest.mark.parametrize("form", FORMS)
def test_swapped_gates_are_told(form: str) -> None:
    weights = _weights("lstm", 1)
    bad = {**weights, "W0f": weights["W0c"], "W0c": weights["W0f"]}
    found = locate(_seen("torch", "lstm", weights, 1), _seen(form, "lstm", bad, 1, off=0.5)).located
    assert "input weight has its gates in another order: that of the forget gate is that of the cell gate" in found.said


@pytest.mark.parametrize(("form", "told"), [("onnx", {"linear_before_reset": 0}), ("keras", {"reset_after": False})])
def test_reset_before_the_product_is_told(form: str, told: dict[str, Any]) -> None:
    weights = _weights("gru", 1)
    found = locate(_seen("torch", "gru", weights, 1), _seen(form, "gru", weights, 1, off=0.5, **told)).located
    assert found.said == "l: the recurrent layer has linear_before_reset False, wanted is True"


def test_other_activation_and_direction_are_told() -> None:
    weights = _weights("lstm", 1)
    one = _seen("torch", "lstm", weights, 1)
    other = _seen("onnx", "lstm", weights, 1, off=0.5, activations=("HardSigmoid", "Tanh", "Tanh"))
    assert "activations hardsigmoid, tanh, tanh, wanted is sigmoid, tanh, tanh" in locate(one, other).located.said
    other = _seen("onnx", "lstm", weights, 1, off=0.5, direction="reverse")
    assert locate(one, other).located.said == "l: the recurrent layer runs backward, wanted is forward"


def test_gates_of_a_fault_elsewhere_are_no_fault() -> None:
    """Weights that lie in another order, as they should, are not what a difference is put down to."""
    weights = _weights("gru", 1)
    found = locate(_seen("torch", "gru", weights, 1), _seen("onnx", "gru", weights, 1, off=0.01)).located
    assert found.said == "l: GRU gives other values than aten::gru, with attributes and weights that do not differ"


@pytest.mark.parametrize("form", ["onnx", "openvino"])
@pytest.mark.parametrize("off", [0.01, 30.0])
def test_outputs_are_laid_out_by_what_lies_along_their_axes(form: str, off: float) -> None:
    """However far they lie apart: values that differ say little of how the one lies in the other."""
    weights = _weights("lstm", 2)
    one, other = _seen("torch", "lstm", weights, 2), _seen(form, "lstm", weights, 2, off=off)
    pair = apart(Matching(Graph(one), Graph(other)), "l/1", "l/1", "order")
    want, got = one.steps[0].value, other.steps[0].value
    assert pair.layout is not None
    assert np.array_equal(pair.layout.of(want), _laid(form, want, 2))
    assert np.array_equal(_laid(form, pair.layout.back(got, want.shape), 2), got)
    assert pair.off < 6 * off


def test_likely_cause_before_the_first_tensor_is_named() -> None:
    """A norm whose epsilon differs, with a result that is just tolerated; what adds it up goes beyond its limit."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((8, 16)).astype(np.float32)
    ones = np.ones(16, np.float32)

    def seen(epsilon: float, off: float, last: float) -> Seen:
        norm = Intermediate(
            "n", x * 2 + np.float32(off), "aten::layer_norm", ("x", "w"), {"eps": epsilon}, {"w": ones}, "n"
        )
        end = (x[:, :4] * 3 + last * x[::-1, 4:8]).astype(np.float32)
        return Seen("m", {"x": x}, {"y": end}, (norm, Intermediate("y", end, "aten::linear", ("n",), layer="o")))

    found = locate(seen(1e-5, 0.0, 0.0), seen(1e-6, 4e-6, 1e-3))
    assert not found.known
    assert found.located.first is not None
    assert found.located.first.one.layer == "o"
    assert found.upstream.startswith(
        "n: layer norm has epsilon 1e-06, wanted is 1e-05, though its result keeps to what is"
    )
    assert locate(seen(1e-5, 0.0, 0.0), seen(1e-5, 4e-6, 1e-3)).upstream == ""
    assert locate(seen(1e-5, 0.0, 0.0), seen(1e-6, 1e-7, 1e-3)).upstream == ""  # too little to have made it


def test_gates_are_known_where_a_runtime_has_no_such_operator() -> None:
    """Matrices of the layer in a loop's or plain operators' hands: in ONNX's order, turned, with the biases added up."""
    weights = _weights("lstm", 1)
    one = _seen("torch", "lstm", weights, 1)
    parts = {kind: _stacked(weights, kind, 0, "iofc") for kind in "WRbB"}
    made = one.steps[0].value + np.float32(0.01) * np.arange(STEPS, dtype=np.float32)[:, None] ** 2

    def other(own: Array) -> Seen:
        arrays = {"w": parts["W"].T, "r": own.T, "b": parts["b"] + parts["B"]}
        loop = Intermediate("l/1", made, "While", ("x", *arrays), {}, arrays, "l")
        return Seen("m", one.inputs, {"y": made.sum(1)}, (loop, Intermediate("y", made.sum(1), "sum", ("l/1",))))

    off = parts["R"].copy()
    off[3, 2] += 0.5
    assert (
        locate(one, other(off)).located.said == "l: weight 'l._flat_weights.1' is off by up to 0.5 in 1 of 144 values"
    )
    said = locate(one, other(parts["R"])).located.said
    assert said.endswith("do not differ, as far as they can be seen: what While does inside is not")
