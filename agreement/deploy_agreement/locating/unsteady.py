"""Operators that answer the same inputs otherwise each time: one that draws at random, and was to be switched off."""

from __future__ import annotations

from deploy_agreement.locating import attributes
from deploy_agreement.locating.case import Reason
from deploy_agreement.locating.laying import apart
from deploy_agreement.locating.matching import Matching
from deploy_agreement.locating.parting import Region

_SWITCHES = ("train", "training")


def unsteady(matching: Matching, region: Region | None) -> tuple[Region, Reason] | None:
    """Give the first operator of the subject that gives other values from one call to the next, unless models part before it.

    `region` is where they part, if they do. None as well if the reference has such an operator, too.
    """
    one, other = matching.one, matching.other
    if not other.seen.unsteady or one.seen.unsteady:
        return None
    name = other.ordered(other.seen.unsteady)[0]
    before = other.above([name], lambda _: False)[0]
    if region and region.first.other in before - {name}:
        return None
    twin = _twin(matching, name) or (region.first.one if region else "")
    if not twin:
        return None
    pair = apart(matching, twin, name, "order")
    edge = tuple(matching.pairs[matching.taken[each]] for each in other.parents[name] if matching.agreed(each))
    mine = (pair.one,) if pair.one not in {each.one for each in edge} else ()
    found = Region(pair, mine, (name,), edge)
    return found, Reason(name, _told(matching, pair.one, name), other=True)


def _twin(matching: Matching, name: str) -> str:
    """Give the tensor of the reference that stands for it: of the same family, else what goes into both; empty for none."""
    one = matching.one
    family = matching.other.family[name]
    above = matching.other.ordered(matching.other.above([name], matching.agreed)[1])
    for edge in (matching.taken[each] for each in reversed(above)):
        return next((child for child in one.children[edge] if one.family[child] == family), edge)
    return ""


def _told(matching: Matching, one: str, name: str) -> str:
    node = matching.other.nodes[name]
    told = f"{node.operator} gives other values from one call to the next"
    for switch in _SWITCHES:
        on, wanted = (attributes.attribute(graph[each].attributes, switch) for graph, each in
                      ((matching.other.nodes, name), (matching.one.nodes, one)))  # fmt: skip
        if on:
            return f"{told}: it has {switch} {on}" + ("" if wanted is None or on == wanted else f", wanted is {wanted}")
    return told
