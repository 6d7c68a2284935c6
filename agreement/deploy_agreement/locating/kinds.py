"""Operators that differ: in an attribute, or of another kind, or one too many or too few."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy_agreement.locating import attributes, names
from deploy_agreement.locating.case import Case, Reason
from deploy_agreement.locating.graph import Graph, activation
from deploy_agreement.locating.operators import ACTIVATIONS, HEADS, MOVES, NORMS, PARTS, named
from deploy_core.predictor import Intermediate

_TELLING = ACTIVATIONS | NORMS | HEADS | {"max pool", "average pool", "padding", "mean", "maximum over", "choice"}
_ADDED = ACTIVATIONS | {"max pool", "average pool"}


def of_attributes(case: Case) -> Iterator[Reason]:
    """Compare attributes of operators of one family on both sides."""
    one, other = case.matching.one, case.matching.other
    mine, theirs = case.families()
    left = dict(theirs)
    for name, family in mine.items():
        twin = next((each for each, its in left.items() if its == family), None)
        if twin is None:
            continue
        del left[twin]
        alike = case.alike or one.value(name).ndim < 3
        told = [
            f"{key} {attributes.told(got)}, wanted is {attributes.told(want)}"
            for key, want, got in attributes.differences(one, name, other, twin, alike=alike)
        ]
        if told:
            yield Reason(name, f"{named(family)} has " + "; and ".join(sorted(told)))


def of_kinds(case: Case) -> Iterator[Reason]:
    """Tell operators that only one side has, those among them that are fused into others."""
    mine, theirs = _kinds(case.matching.one, case.region.one), _kinds(case.matching.other, case.region.other)
    lacking, surplus = _beyond(mine[::-1], theirs[::-1])[::-1], _beyond(theirs, mine)
    # What both have as often is no part of what is lacking.
    parts = {each.family for each in surplus}
    instead = sorted(parts & _TELLING)
    for each in lacking:
        if each.family not in _TELLING or PARTS.get(each.family, set()) & parts or _folded(each.family, theirs):
            continue
        there = f"{named(instead[0])} is there, wanted is {named(each.family)}" if instead else ""
        yield Reason(each.tensor, there or f"{named(each.family)} is missing")
    known = {part for each in mine for part in PARTS.get(each.family, ())}
    before = {each.family for each in _kinds(case.matching.one, tuple(pair.one for pair in case.region.edge))}
    for each in surplus:
        if each.family in _ADDED and each.family not in known:
            how = "once more" if each.family in before else "that the reference has not"
            yield Reason(each.tensor, f"{named(each.family)} is applied {how}", other=True)


@dataclass(frozen=True)
class _Kind:
    """An operator, or what is fused into one: the tensor that it makes, its family, its place."""

    tensor: str
    family: str
    node: Intermediate


def _kinds(graph: Graph, tensors: tuple[str, ...]) -> list[_Kind]:
    found = []
    for name in tensors:
        node = graph.nodes[name]
        if graph.family[name] not in MOVES:
            found.append(_Kind(name, graph.family[name], node))
        if fused := activation(node):
            found.append(_Kind(name, fused, node))
    return found


def _beyond(ones: list[_Kind], others: list[_Kind]) -> list[_Kind]:
    """Give those of which the others have too few; each of the others stands for one of its place, else for the next."""
    left, found = list(others), []
    for one in ones:
        akin = [each for each in left if each.family == one.family]
        same = [each for each in akin if names.same(one.node, each.node)]
        if akin:
            left.remove((same or akin)[0])
        else:
            found.append(one)
    return found


def _folded(family: str, theirs: list[_Kind]) -> bool:
    """Whether a norm may lie in the weights of what comes before it."""
    return family == "batch norm" and any(each.family in HEADS for each in theirs)
