"""The first place at which two models part: a tensor that differs though all that it is made of agrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from deploy_agreement.figures import deviation
from deploy_agreement.locating import names
from deploy_agreement.locating.alignment import aligned
from deploy_agreement.locating.graph import Graph, activation
from deploy_agreement.locating.laying import apart
from deploy_agreement.locating.layouts import nearness
from deploy_agreement.locating.matching import Matching, Pair, by_value
from deploy_agreement.locating.operators import ACTIVATIONS, HEADS, NORMS
from deploy_agreement.locating.seen import Seen

_MOST = 64  # operators that are aligned; the first that differs is among them
_OF_ONE_NAME = 0.5  # of a likeness
_TIGHTER = (1.0, 4.0, 16.0, 64.0)  # outputs may differ by less than what tensors inside are allowed


@dataclass(frozen=True)
class Region:
    """What lies between tensors that agree and the first that does not, on each side, in the order of computation.

    `edge` pairs the tensors that agree and that it begins with.
    """

    first: Pair
    one: tuple[str, ...]
    other: tuple[str, ...]
    edge: tuple[Pair, ...]


@dataclass(frozen=True)
class Parted:
    """All pairs, and where the models part; no region if they do not."""

    matching: Matching
    region: Region | None = None

    def pairs(self) -> list[Pair]:
        """Give the pairs in the order of computation."""
        return [self.matching.pairs[name] for name in self.matching.one.ordered(self.matching.pairs)]


def parted(
    one: Seen,
    other: Seen,
    *,
    precision: str = "",
    limits: Mapping[str, float] | None = None,
    tighter: Sequence[float] = _TIGHTER,
) -> Parted:
    """Match two models and find where they part first; `limits` are what is tolerated of each output.

    Where outputs differ and no tensor inside does by more than it may, it may so many times less, one after the other.
    """
    graphs = Graph(one), Graph(other)
    found = Parted(Matching(*graphs, precision))
    for tight in tighter:
        matching = Matching(*graphs, precision, tight)
        by_value(matching)
        bad = _bad_outputs(matching, limits)
        found = Parted(matching, _region(matching, bad) if bad else None)
        if found.region or not bad:
            return found
    return found


def _bad_outputs(matching: Matching, limits: Mapping[str, float] | None) -> list[Pair]:
    """Pair the outputs of one name that are not equal; an output may be equal to another tensor, and its pair wrong."""
    bad = []
    for output, name in matching.one.outputs.items():
        theirs = matching.other.outputs.get(output) or _only(matching.other.outputs, matching.one.outputs)
        if not theirs:
            continue
        mine, got = matching.one.seen.outputs[output], matching.other.value(theirs)
        pair = apart(matching, name, theirs, "name")
        allowed = (limits or {}).get(output, pair.limit * matching.tight)
        off = pair.off if mine.shape != got.shape else float(deviation(mine, got, nan_agrees=True).max(initial=0.0))
        if off > allowed:
            bad.append(pair)
    return bad


def _only(theirs: Mapping[str, str], mine: Mapping[str, str]) -> str:
    return next(iter(theirs.values())) if len(theirs) == len(mine) == 1 else ""


def _region(matching: Matching, bad: list[Pair]) -> Region | None:
    one, other = matching.one, matching.other
    for pair in bad:
        _part(matching, pair)
    mine, _ = one.above([pair.one for pair in bad if not _extra(matching, pair)], matching.agrees)
    theirs, _ = other.above([pair.other for pair in bad], matching.agreed)
    _pair_differing(matching, one.ordered(mine), other.ordered(theirs))
    ends = [name for name in one.ordered(mine) if name in matching.pairs and not matching.pairs[name].ok]
    first = matching.pairs[ends[0]] if ends else bad[0]
    return around(matching, first) if not first.ok else None


def _extra(matching: Matching, pair: Pair) -> bool:
    # What `one` answers is inside of `other`, which goes on after it.
    return pair.one in matching.pairs and matching.pairs[pair.one].ok and matching.pairs[pair.one].other != pair.other


def _part(matching: Matching, pair: Pair) -> None:
    if not _extra(matching, pair):
        if taken := matching.taken.pop(pair.other, None):
            matching.pairs.pop(taken, None)
        matching.add(pair)


def around(matching: Matching, first: Pair) -> Region:
    """Give what lies between a pair and the tensors before it that agree."""
    extra = _extra(matching, first)
    mine, edge = (set(), {first.one}) if extra else matching.one.above([first.one], matching.agrees)
    theirs, far = matching.other.above([first.other], matching.agreed)
    edge |= {matching.taken[name] for name in far}
    pairs = tuple(matching.pairs[name] for name in matching.one.ordered(edge))
    return Region(first, tuple(matching.one.ordered(mine)), tuple(matching.other.ordered(theirs)), pairs)


def _pair_differing(matching: Matching, mine: list[str], theirs: list[str]) -> None:
    """Pair what differs: by name, else operator by operator in the order of computation."""
    left = [name for name in mine if name not in matching.pairs and not matching.one.is_move(name)]
    free = [name for name in theirs if name not in matching.taken and not matching.other.is_move(name)]
    for name, twin in _of_one_name(matching, left, free):
        matching.add(apart(matching, name, _with_bias(matching, name, twin), "name"))
    left = [name for name in left if name not in matching.pairs][:_MOST]
    free = [name for name in free if name not in matching.taken][:_MOST]
    for name, twin in aligned(left, free, partial(_likeness, matching)):
        if twin not in matching.taken and _in_order(matching, name, twin):
            end = _with_bias(matching, name, twin)
            matching.add(apart(matching, name, end if end not in matching.taken else twin, "order"))
    _drop_folded(matching)


def _of_one_name(matching: Matching, left: list[str], free: list[str]) -> list[tuple[str, str]]:
    """Give those that no other of the same family shares its name with, on either side."""
    found = {name: [each for each in free if _named(matching, name, each)] for name in left}
    counts = Counter(twin for twins in found.values() for twin in twins)
    return [(name, twins[0]) for name, twins in found.items() if len(twins) == 1 and counts[twins[0]] == 1]


def _with_bias(matching: Matching, one: str, other: str) -> str:
    """Give the tensor to which a bias has been added, where the one's operator adds it itself."""
    node, graph = matching.one.nodes[one], matching.other
    after = graph.children[other]
    if matching.one.family[one] not in HEADS or graph.family[other] not in HEADS or len(after) != 1:
        return other
    own = any(array.ndim == 1 for array in node.weights.values())
    theirs = any(array.ndim == 1 for array in graph.nodes[other].weights.values())
    adds = graph.family[after[0]] == "add" and len(graph.parents[after[0]]) == 1 and after[0] not in matching.taken
    return after[0] if own and not theirs and adds else other


def _named(matching: Matching, one: str, other: str) -> bool:
    family = matching.one.family[one]
    if family != matching.other.family[other] or family not in HEADS | NORMS | ACTIVATIONS:
        return False
    return names.same(matching.one.nodes[one], matching.other.nodes[other])


def _likeness(matching: Matching, one: str, other: str) -> float:
    """Judge whether two tensors that differ are meant to be the same: the same family, the same size, nearly the same values."""
    mine, theirs = matching.one.value(one), matching.other.value(other)
    if mine.size != theirs.size:
        return 0.0
    akin = matching.one.family[one] == matching.other.family[other]
    # Converters number tensors: such a name may be another's by chance.
    named = _OF_ONE_NAME if one == other and not one.isdigit() else 0.0
    return akin + named + 1.2 * nearness(mine, theirs)


def _in_order(matching: Matching, one: str, other: str) -> bool:
    """Whether no pair crosses this one: what lies above the one is paired with what lies above the other."""
    for name in matching.one.above([one], lambda _: False)[0] - {one}:
        pair = matching.pairs.get(name)
        if pair and not pair.ok and matching.other.order[pair.other] >= matching.other.order[other]:
            return False
    return True


def _drop_folded(matching: Matching) -> None:
    """Forget the pair of a convolution with one that has the batch norm after it, or the activation, folded into it."""
    for pair in [pair for pair in matching.pairs.values() if not pair.ok]:
        if _folds(matching.one, pair.one, matching.other, pair.other):
            del matching.pairs[pair.one], matching.taken[pair.other]
            end = _end(matching, pair)
            if end not in matching.pairs:
                matching.add(apart(matching, end, pair.other, "order"))


def _end(matching: Matching, pair: Pair) -> str:
    """Give the last of what is folded: of what follows the one, all that does not follow the other as well."""
    follows = chain(matching.one, pair.one)
    if activation(matching.other.nodes[pair.other]):
        return follows[-1]
    theirs = chain(matching.other, pair.other)
    while len(follows) > 1 and len(theirs) > 1:
        if matching.one.family[follows[-1]] != matching.other.family[theirs[-1]]:
            break
        follows, theirs = follows[:-1], theirs[:-1]
    return follows[-1]


def _folds(one: Graph, name: str, other: Graph, theirs: str) -> bool:
    if one.family[name] not in HEADS:
        return False
    after = [one.family[each] for each in chain(one, name)[1:]]
    seen = [other.family[each] for each in chain(other, theirs)[1:]]
    return ("batch norm" in after and not {"batch norm", "multiply"} & set(seen)) or bool(
        activation(other.nodes[theirs]) and after and after[-1] in ACTIVATIONS
    )


def chain(graph: Graph, name: str) -> list[str]:
    """Give the tensors that follow one by one: a batch norm and an activation that only this one feeds."""
    found = [name]
    while len(after := graph.children[found[-1]]) == 1:
        if (
            graph.family[after[0]] not in {"batch norm", "multiply", "add"} | ACTIVATIONS
            or len(graph.parents[after[0]]) > 1
        ):
            break
        found.append(after[0])
    return found
