"""Pairs of tensors that differ: how the one lies in the other, which their values do not say."""

from __future__ import annotations

from collections import Counter

from deploy_agreement.figures import deviation
from deploy_agreement.locating import recurrent
from deploy_agreement.locating.batch_norms import axis
from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.layouts import Layout, judged, layouts
from deploy_agreement.locating.matching import Matching, Pair
from deploy_agreement.locating.windows import SLIDING, channels_first
from deploy_core.signature import Array

_MUCH = 0.2  # of a nearness: chance does not make as much


def apart(matching: Matching, one: str, other: str, by: str) -> Pair:
    """Pair two tensors whatever their values are, lying as those lie that agree."""
    mine, theirs, allowed = matching.one.value(one), matching.other.value(other), matching.limit(one)
    layout = (
        _by_cells(matching, one, other)
        or _by_operator(matching, one, other)
        or _usual(matching, mine.shape, theirs.shape)
        or _likeliest(mine, theirs)
    )
    if layout is None:
        return Pair(one, other, by, float("inf"), allowed)
    whole = deviation(layout.of(mine), theirs, nan_agrees=True)
    return Pair(one, other, by, float(whole.max(initial=0.0)), allowed, layout)


def _usual(matching: Matching, one: tuple[int, ...], other: tuple[int, ...]) -> Layout | None:
    """Give the layout in which most tensors of as many axes lie that agree: values that differ say little of it."""
    layouts_ = {layout.axes: layout for layout in layouts(one, other) if not layout.parts}
    seen = Counter(
        pair.layout.axes
        for pair in matching.pairs.values()
        if pair.ok
        and pair.layout
        and not pair.layout.parts
        and pair.one not in matching.one.inputs
        and pair.layout.axes in layouts_
        and len(pair.layout.shape) == len(other)
    )
    return layouts_[seen.most_common(1)[0][0]] if seen else None


def _likeliest(one: Array, other: Array) -> Layout | None:
    """Give the plain layout, unless another is nearer by far."""
    ways = judged(one, other)
    best = max(ways, key=lambda way: way[1], default=None)
    if best is None or best[1] <= ways[0][1] + _MUCH:
        return ways[0][0] if ways else None
    return best[0]


def _by_operator(matching: Matching, one: str, other: str) -> Layout | None:
    """Give the layout that follows from where both operators have their channels, if both say it."""
    mine, theirs = matching.one.value(one), matching.other.value(other)
    ends = _channels(matching.one, one), _channels(matching.other, other)
    if mine.ndim != theirs.ndim or mine.ndim < 3 or None in ends:
        return None
    rest = [place for place in range(mine.ndim) if place != ends[0]]
    rest.insert(int(ends[1] or 0), int(ends[0] or 0))
    found = Layout(tuple(rest), theirs.shape)
    return found if tuple(mine.shape[place] for place in rest) == theirs.shape else None


def _by_cells(matching: Matching, one: str, other: str) -> Layout | None:
    """Give the layout of what recurrent operators make, by what their formats have along each axis."""
    shape, wanted = matching.one.value(one).shape, matching.other.value(other).shape
    mine = _parts(recurrent.axes(matching.one, one), shape)
    theirs = _parts(recurrent.axes(matching.other, other), wanted)
    if not mine or {letter: n for letter, n in mine.items() if n != 1} != {k: n for k, n in theirs.items() if n != 1}:
        return None
    letters = list(mine)
    order = [letter for letter in mine if letter not in theirs] + [letter for letter in theirs if letter in mine]
    return Layout(tuple(map(letters.index, order)), wanted, tuple(mine.values()))


def _parts(axes: tuple[str, ...], shape: tuple[int, ...]) -> dict[str, int]:
    """Give the size of what lies along axes; of two in one, the first are the two directions."""
    sizes: dict[str, int] = {}
    for letters, size in zip(axes, shape, strict=False):
        sizes |= {letters: size} if len(letters) == 1 else {letters[0]: 2, letters[1]: size // 2}
    return sizes


def _channels(graph: Graph, name: str) -> int | None:
    node = graph.nodes[name]
    if graph.family[name] == "batch norm":
        return axis(node)
    if graph.family[name] not in SLIDING:
        return None
    return 1 if channels_first(node) else node.value.ndim - 1
