"""What goes into an operator: another tensor, another order of the same values, nothing of an input, other ids."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deploy_agreement.locating.case import Case, Reason
from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.layouts import same_values
from deploy_agreement.locating.names import place
from deploy_agreement.locating.operators import ACTIVATIONS, named
from deploy_core.signature import Array

_ARITHMETIC = {"add", "subtract", "multiply", "divide", "clip", "power"}


def of_tensors(case: Case) -> Iterator[Reason]:
    """Another tensor as the input."""
    one, other, region = case.matching.one, case.matching.other, case.region
    if case.families() != (
        {region.first.one: one.family[region.first.one]},
        {region.first.other: other.family[region.first.other]},
    ):
        return
    wanted = {pair.one for pair in region.edge} & one.above([region.first.one], case.matching.agrees)[1]
    far = other.above([region.first.other], case.matching.agreed)[1]
    taken = {case.matching.taken[name] for name in far}
    for name, instead in zip(one.ordered(wanted - taken), one.ordered(taken - wanted), strict=False):
        if one.family[name] in ACTIVATIONS and instead in one.parents[name]:
            yield Reason(name, f"{named(one.family[name])} is missing")
        else:
            mine, theirs = (f"{one.nodes[each].operator} {place(one.nodes[each])!r}" for each in (name, instead))
            yield Reason(region.first.one, f"takes {theirs}, wanted is {mine}")


def of_order(case: Case) -> Iterator[Reason]:
    """Values that were laid out otherwise on their way into the operator."""
    one, other = case.matching.one, case.matching.other
    for name in (each for each in case.region.one if one.is_move(each)):
        for twin in (each for each in case.region.other if other.is_move(each)):
            mine, theirs = one.value(name), other.value(twin)
            if mine.shape == theirs.shape and same_values(mine, theirs, case.matching.limit(name)):
                before = [other.nodes[each] for each in case.region.other if other.family[each] == "transposition"]
                why = f": {before[0].operator} {dict(before[0].attributes) or ''} is before it" if before else ""
                yield Reason(_end(case, name), f"takes its input in another order of the same values{why}")


def _end(case: Case, name: str) -> str:
    """Give the operator that takes what a move made."""
    return next((each for each in case.region.one if name in case.matching.one.parents[each]), name)


def of_unused(case: Case) -> Iterator[Reason]:
    """Tell an input of the model that the reference uses here and the subject does not, such as a mask."""
    one = case.matching.one
    wanted = one.above([case.region.first.one], case.matching.agrees)[1]
    far = case.matching.other.above([case.region.first.other], case.matching.agreed)[1]
    taken = {case.matching.taken[name] for name in far}
    for name in one.inputs:
        if any(_only(one, each, name) for each in wanted) and not any(_only(one, each, name) for each in taken):
            yield Reason(case.region.first.one, f"takes no account of input {name!r}")


def of_preparation(case: Case) -> Iterator[Reason]:
    """Tell what is done to an input of the model before its first operator."""
    one, other = case.matching.one, case.matching.other
    mine, theirs = case.families()
    if not mine or not {pair.one for pair in case.region.edge} <= set(one.inputs):
        return
    head = next((name for name, family in theirs.items() if family == next(iter(mine.values()))), None)
    if head is None:
        return
    before = [name for name in theirs if name in other.above([head], case.matching.agreed)[0] - {head}]
    done = [f"{other.nodes[name].operator} {name!r}" for name in before if other.family[name] in _ARITHMETIC]
    if done:
        yield Reason(next(iter(mine)), f"its input is prepared otherwise: {', '.join(done)} is done to it before")


def of_lookups(case: Case) -> Iterator[Reason]:
    """Tell which ids were looked up instead of those that are given."""
    one = case.matching.one
    name = case.region.first.one
    if one.family[name] != "lookup" or case.got is None:
        return
    table = next((w for w in one.nodes[name].weights.values() if w.ndim == 2 and w.dtype.kind == "f"), None)
    ids = [one.value(parent) for parent in one.parents[name] if one.value(parent).dtype.kind in "iu"]
    if table is None or not ids or case.got.shape != (*ids[0].shape, table.shape[1]):
        return
    found = _rows(table, case.got.reshape(-1, table.shape[1]))
    wrong = found != ids[0].reshape(-1)
    if (found < 0).any() or not wrong.any():
        return
    off, counts = np.unique((found - ids[0].reshape(-1))[wrong], return_counts=True)
    first = int(np.flatnonzero(wrong)[0])
    told = f"id {int(ids[0].reshape(-1)[first])} is looked up as {int(found[first])}"
    most = int(counts.argmax())
    yield Reason(name, f"{told}; {int(counts[most])} of {len(found)} ids are off by {int(off[most]):+d}")


def _rows(table: Array, rows: Array) -> Array:
    """Give the place of each row in a table, -1 for one that is not there."""
    places = {row.tobytes(): place for place, row in reversed(list(enumerate(np.ascontiguousarray(table))))}
    return np.array([places.get(row.astype(table.dtype).tobytes(), -1) for row in np.ascontiguousarray(rows)])


def _only(graph: Graph, name: str, source: str) -> bool:
    """Whether a tensor follows from that input of the model alone."""
    return {each for each in graph.above([name], lambda _: False)[0] if each in graph.inputs} == {source}
