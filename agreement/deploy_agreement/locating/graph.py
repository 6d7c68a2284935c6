"""The tensors inside a model as a graph: what comes from what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

from deploy_agreement.locating.operators import MOVES, RECURRENT, family
from deploy_agreement.locating.seen import Seen
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array, Tensors


class Graph:
    """One model's intermediates by name, in the order of computation; its inputs are nodes, too, of operator `input`."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        given = [Intermediate(name, value, "input") for name, value in seen.inputs.items()]
        made = {step.name for step in seen.steps}
        self.inputs = tuple(one.name for one in given if one.name not in made)
        every = [*(one for one in given if one.name not in made), *seen.steps]
        self.nodes = {one.name: one for one in every}
        self.order = {name: place for place, name in enumerate(self.nodes)}
        self.family = {name: _family(one) for name, one in self.nodes.items()}
        self.parents = {name: self._parents(one) for name, one in self.nodes.items()}
        self.outputs = outputs(seen.outputs, seen.steps)

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """Who uses a tensor."""
        found: dict[str, list[str]] = {name: [] for name in self.nodes}
        for name, parents in self.parents.items():
            for parent in parents:
                found[parent].append(name)
        return found

    def is_move(self, name: str) -> bool:
        """Whether a tensor only holds another's values, lying otherwise."""
        return self.family[name] in MOVES

    def value(self, name: str) -> Array:
        """Give the values of a tensor."""
        return self.nodes[name].value

    def above(self, ends: Iterable[str], stop: Callable[[str], bool]) -> tuple[set[str], set[str]]:
        """Walk from `ends`, which are among them, towards the inputs: the tensors on the way, and those it stopped at."""
        found, edge = set(ends), set[str]()
        todo = list(found)
        while todo:
            for parent in self.parents[todo.pop()]:
                if parent in found or parent in edge:
                    continue
                if stop(parent):
                    edge.add(parent)
                else:
                    found.add(parent)
                    todo.append(parent)
        return found, edge

    def ordered(self, names: Iterable[str]) -> list[str]:
        """Give names in the order of computation."""
        return sorted(names, key=self.order.__getitem__)

    def _parents(self, one: Intermediate) -> tuple[str, ...]:
        known = (name for name in one.inputs if name in self.nodes and name not in one.weights and name != one.name)
        return tuple(dict.fromkeys(name for name in known if self.order[name] < self.order[one.name]))


def _family(one: Intermediate) -> str:
    # Keras has one layer for all of them, which says which by an attribute.
    told = str(one.attributes.get("activation") or "") if one.operator == "Activation" else ""
    return family(told or one.operator)


def activation(one: Intermediate) -> str:
    """Give the family of the activation that an operator has fused into it; empty for none."""
    if one.operator == "Activation" or family(one.operator) in RECURRENT:
        return ""  # what a recurrent layer has, it computes with
    for key in ("fused_activation_function", "fusedActivationFunction", "activation"):
        told = str(one.attributes.get(key, "") or "").lower()
        if told not in ("", "none", "linear", "0"):
            return family(told)
    return ""


def outputs(answered: Tensors, steps: tuple[Intermediate, ...]) -> dict[str, str]:
    """Give which tensor is which output: the one of its name, else the last that holds its values."""
    names = {step.name for step in steps}
    found = {}
    for output, value in answered.items():
        same = (step.name for step in reversed(steps) if _is(step.value, value))
        name = output if output in names else next(same, "")
        if name:
            found[output] = name
    return found


def _is(one: Array, other: Array) -> bool:
    if one.shape != other.shape or one.dtype.kind != other.dtype.kind:
        return False
    if one.dtype.kind not in "fc":
        return bool((one == other).all())
    # The answer was computed once more, by a runtime that may fuse.
    scale = float(abs(other).max(initial=0.0))
    return bool((abs(one - other) <= 1e-5 * scale).all())
