"""Why two models part where they do, in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from deploy_agreement.figures import eps, spread
from deploy_agreement.locating import attributes, batch_norms, folding, replay, weights
from deploy_agreement.locating.layouts import same_values
from deploy_agreement.locating.matching import Matching
from deploy_agreement.locating.names import place
from deploy_agreement.locating.operators import ACTIVATIONS, HEADS, MOVES, NORMS, PARTS, named
from deploy_agreement.locating.parting import Region, activation, chain
from deploy_agreement.locating.windows import channels_first
from deploy_agreement.patterns import patterns
from deploy_core.signature import Array

_TELLING = ACTIVATIONS | NORMS | HEADS | {"max pool", "average pool", "padding", "mean"}


@dataclass(frozen=True)
class Reason:
    """The tensor of the reference whose operator is to blame, and what is wrong with it; in `other`, if it has none."""

    tensor: str
    told: str
    other: bool = False


@dataclass(frozen=True)
class Case:
    """What there is to reason about."""

    matching: Matching
    region: Region

    @property
    def want(self) -> Array:
        """What the reference has there."""
        return self.matching.one.value(self.region.first.one)

    @property
    def got(self) -> Array | None:
        """What came, laid out as the reference has it; None if it is of another size."""
        layout = self.region.first.layout
        value = self.matching.other.value(self.region.first.other)
        return layout.back(value, self.want.shape) if layout else None

    @property
    def bound(self) -> float:
        """How near made-up values must come to those that came, to explain them."""
        return max(8 * self.region.first.limit, 64 * eps("float32") * spread(self.want))

    def families(self) -> tuple[dict[str, str], dict[str, str]]:
        """Give the families on each side, by tensor, without what only moves values."""
        one, other = self.matching.one, self.matching.other
        mine = {name: one.family[name] for name in self.region.one if one.family[name] not in MOVES}
        theirs = {name: other.family[name] for name in self.region.other if other.family[name] not in MOVES}
        return mine, theirs


def reason(matching: Matching, region: Region) -> Reason:
    """Find out why; that nothing was found is said, too."""
    case = Case(matching, region)
    for find in _FINDERS:
        if found := next(iter(find(case)), None):
            return found
    return Reason(region.first.one, _nothing(case))


def _attributes(case: Case) -> Iterator[Reason]:
    """Attributes of operators of one family on both sides."""
    one, other = case.matching.one, case.matching.other
    mine, theirs = case.families()
    left = dict(theirs)
    for name, family in mine.items():
        twin = next((each for each, theirs_ in left.items() if theirs_ == family), None)
        if twin is None:
            continue
        del left[twin]
        shapes = one.value(name).ndim == other.value(twin).ndim and channels_first(one.nodes[name]) == channels_first(
            other.nodes[twin]
        )
        told = [
            f"{key} {attributes.told(got)}, wanted is {attributes.told(want)}"
            for key, want, got in attributes.differences(
                one, name, other, twin, alike=shapes or one.value(name).ndim < 3
            )
        ]
        if told:
            yield Reason(name, f"{named(family)} has " + "; and ".join(told))


def _normed(case: Case) -> Iterator[Reason]:
    """A batch norm, which may be folded into what comes before it."""
    one = case.matching.one
    if case.got is None:
        return
    for name in (each for each in case.region.one if one.family[each] == "batch norm"):
        after = [one.family[each] for each in chain(one, name)[1:]]
        if name != case.region.first.one and not _only_relu(case, name, after):
            continue
        x = one.value(one.parents[name][0])
        axis = 1 if channels_first(one.nodes[name]) else x.ndim - 1
        if x.shape != case.got.shape:
            continue
        told = batch_norms.told_of(one.nodes[name], x, case.got, axis, positive=name != case.region.first.one)
        if told:
            yield Reason(name, told)


def _only_relu(case: Case, name: str, after: list[str]) -> bool:
    follows = chain(case.matching.one, name)
    return len(after) > 0 and after[0] == "relu" and follows[1] == case.region.first.one


def _kinds(case: Case) -> Iterator[Reason]:
    """Operators that only one side has."""
    mine, theirs = case.families()
    fused = {activation(case.matching.other, name) for name in case.region.other}
    for name, family in mine.items():
        explained = PARTS.get(family, set()) | {family}
        if (
            family in _TELLING
            and not explained & set(theirs.values())
            and family not in fused
            and not _inside(case, family)
        ):
            instead = [each for _, each in _surplus(mine, theirs) if each in _TELLING]
            is_there = f"{named(instead[0])} is there, wanted is {named(family)}" if instead else ""
            yield Reason(name, is_there or f"{named(family)} is missing")
    for name, family in _surplus(mine, theirs):
        parts = {part for each in mine.values() for part in PARTS.get(each, ())}
        if family in ACTIVATIONS | {"max pool", "average pool"} and family not in parts:
            again = any(case.matching.one.family[pair.one] == family for pair in case.region.edge)
            yield Reason(
                name, f"{named(family)} is applied {'once more' if again else 'that the reference has not'}", other=True
            )


def _inside(case: Case, family: str) -> bool:
    # A folded batch norm is in the weights.
    return family == "batch norm" and any(f in HEADS for f in case.families()[1].values())


def _surplus(mine: dict[str, str], theirs: dict[str, str]) -> list[tuple[str, str]]:
    left = list(mine.values())
    found = []
    for name, family in theirs.items():
        if family in left:
            left.remove(family)
        else:
            found.append((name, family))
    return found


def _activations(case: Case) -> Iterator[Reason]:
    """Another function of the same input."""
    one = case.matching.one
    name = case.region.first.one
    if case.got is None or one.family[name] not in ACTIVATIONS or not one.parents[name]:
        return
    x = one.value(one.parents[name][0])
    if not case.matching.agrees(one.parents[name][0]) or x.dtype.kind != "f":
        return
    for words in replay.ways(x, case.got, case.bound):
        gives = f"gives {words}" if words.startswith("its input") else f"is {words}"
        yield Reason(name, f"{gives}, wanted is {one.nodes[name].operator}")


def _dense(case: Case) -> Iterator[Reason]:
    """A matrix that lies the other way round."""
    one = case.matching.one
    for name in (each for each in case.region.one if one.family[each] == "dense"):
        matrix = next((w for w in one.nodes[name].weights.values() if w.ndim == 2 and w.shape[0] == w.shape[1]), None)
        if matrix is None or case.got is None or name != case.region.first.one or not one.parents[name]:
            continue
        x = one.value(one.parents[name][0]).astype(np.float64)
        ways = [x @ matrix, x @ matrix.T]
        off = [float(np.ptp(case.want - way, axis=tuple(range(way.ndim - 1))).max()) for way in ways]
        right = int(off[1] < off[0])
        if float(np.abs(case.got - ways[1 - right] - (case.want - ways[right])).max()) <= case.bound:
            yield Reason(name, "the weight is transposed")


def _weights(case: Case) -> Iterator[Reason]:
    """Weights that differ; a batch norm that the other side has folded is folded first."""
    one, other = case.matching.one, case.matching.other
    theirs = {f"{name}:{key}": array for name in case.region.other for key, array in other.nodes[name].weights.items()}
    wanted = folding.folded(one, case.region.one, set(case.families()[1].values()))
    for name, told in weights.differences(wanted, theirs, weights.everywhere(one)):
        yield Reason(name, told)


def _takes(case: Case) -> Iterator[Reason]:
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


def _moved(case: Case) -> Iterator[Reason]:
    """Values that were laid out otherwise on their way into the operator."""
    one, other = case.matching.one, case.matching.other
    for name in (each for each in case.region.one if one.is_move(each)):
        for twin in (each for each in case.region.other if other.is_move(each)):
            mine, theirs = one.value(name), other.value(twin)
            if mine.shape == theirs.shape and same_values(mine, theirs, case.matching.limit(name)):
                before = [other.nodes[each] for each in case.region.other if other.family[each] == "transposition"]
                why = f": {before[0].operator} {dict(before[0].attributes) or ''} is before it" if before else ""
                yield Reason(region_end(case, name), f"takes its input in another order of the same values{why}")


def region_end(case: Case, name: str) -> str:
    """Give the operator that takes what a move made."""
    return next((each for each in case.region.one if name in case.matching.one.parents[each]), name)


def _values(case: Case) -> Iterator[Reason]:
    """What may have been done to the right values."""
    name = case.region.first.one
    if case.got is None:
        yield Reason(
            name, f"gives shape {case.matching.other.value(case.region.first.other).shape}, wanted is {case.want.shape}"
        )
        return
    if case.want.dtype.kind == "f" and np.isfinite(case.got).all() and np.isfinite(case.want).all():
        for _, words in patterns(case.want, case.got, case.bound):
            yield Reason(name, words)
    if same_values(case.want, case.got, case.region.first.limit):
        yield Reason(name, "gives the same values in another order")


def _nothing(case: Case) -> str:
    one, other = case.matching.one, case.matching.other
    mine, theirs = one.nodes[case.region.first.one], other.nodes[case.region.first.other]
    return f"{theirs.operator} gives other values than {mine.operator}, with attributes and weights that do not differ"


_FINDERS: tuple[Callable[[Case], Iterator[Reason]], ...] = (
    _attributes, _normed, _activations, _dense, _weights, _kinds, _takes, _moved, _values,
)  # fmt: skip


def at(case: Case, found: Reason) -> str:
    """Give the place to name."""
    graph = case.matching.other if found.other else case.matching.one
    return place(graph.nodes[found.tensor])
