"""Which tensor of the one model is which of the other: by value, by name, and by order where values differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from deploy_agreement.figures import magnitude, spread
from deploy_agreement.locating import names
from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.layouts import Layout, equal
from deploy_agreement.locating.seen import limit
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array


@dataclass(frozen=True)
class Pair:
    """A tensor of each; `layout` is how the one lies in the other, None if they are of different sizes."""

    one: str
    other: str
    by: str
    off: float
    limit: float
    layout: Layout | None = None

    @property
    def over(self) -> float:
        """How far they lie apart in units of what is tolerated."""
        if self.off == 0:
            return 0.0
        return self.off / self.limit if self.limit else float("inf")

    @property
    def ok(self) -> bool:
        """Whether they agree."""
        return self.off <= self.limit


@dataclass
class Matching:
    """Two graphs and the pairs found so far."""

    one: Graph
    other: Graph
    precision: str = ""
    tight: float = 1.0
    pairs: dict[str, Pair] = field(default_factory=dict)  # by the tensor of `one`
    taken: dict[str, str] = field(default_factory=dict)  # tensor of `other` -> tensor of `one`
    _limits: dict[str, float] = field(default_factory=dict)

    def limit(self, name: str) -> float:
        """Give how far another's tensor may lie from this one of `one`."""
        if name not in self._limits:
            noise = self.one.seen.noise.get(name, 0.0)
            self._limits[name] = limit(self.one.value(name), noise, precision=self.precision, tight=self.tight)
        return self._limits[name]

    def add(self, pair: Pair) -> None:
        """Keep a pair."""
        self.pairs[pair.one] = pair
        self.taken[pair.other] = pair.one

    def agrees(self, name: str) -> bool:
        """Whether a tensor of `one` has an equal one."""
        return name in self.pairs and self.pairs[name].ok

    def agreed(self, name: str) -> bool:
        """Whether a tensor of `other` has an equal one."""
        return name in self.taken and self.pairs[self.taken[name]].ok


def by_value(matching: Matching) -> None:
    """Pair inputs and then every tensor with the likeliest of those that equal it."""
    one, other = matching.one, matching.other
    sizes: dict[int, list[str]] = {}
    for name in other.nodes:
        sizes.setdefault(other.value(name).size, []).append(name)
    marks = {name: _mark(other.value(name)) for name in other.nodes}
    # Those that only move values come last: they equal what they move.
    moves_last = sorted(one.nodes, key=lambda name: (one.is_move(name), one.order[name]))
    last = -1
    for name in moves_last:
        found = [pair for pair in _equals(matching, name, sizes, marks) if pair.other not in matching.taken]
        if one.is_move(name):
            found = [pair for pair in found if one.family[name] == other.family[pair.other]]
        if found:
            best = min(found, key=lambda pair: _rank(matching, pair, last))
            matching.add(best)
            last = other.order[best.other]


def _equals(
    matching: Matching, name: str, sizes: dict[int, list[str]], marks: dict[str, tuple[float, float]]
) -> Iterator[Pair]:
    value, allowed = matching.one.value(name), matching.limit(name)
    if not value.size:
        return
    mark, flat = _mark(value), value.size > 1 and spread(value) == 0
    for candidate in sizes.get(value.size, ()):
        theirs = matching.other.value(candidate)
        if not _comparable(value, theirs) or any(
            abs(a - b) > 2 * allowed for a, b in zip(mark, marks[candidate], strict=True)
        ):
            continue
        if flat and not _akin(matching, name, candidate):
            continue  # all the same: many a tensor is all zeros
        if found := equal(value, theirs, allowed):
            by = "name" if _akin(matching, name, candidate) else "value"
            yield Pair(name, candidate, by, found[1], allowed, found[0])


def _comparable(one: Array, other: Array) -> bool:
    return is_float(dtype_name(one.dtype)) == is_float(dtype_name(other.dtype)) and "string" not in (
        dtype_name(one.dtype),
        dtype_name(other.dtype),
    )


def _mark(value: Array) -> tuple[float, float]:
    """Two figures that no order of the values changes."""
    size = magnitude(value)
    finite = size[np.isfinite(size)]
    return (float(finite.mean()), float(finite.max())) if finite.size else (0.0, 0.0)


def _rank(matching: Matching, pair: Pair, last: int) -> tuple[bool, bool, bool, bool, int]:
    family = matching.one.family[pair.one]
    theirs = matching.other.family[pair.other]
    after = matching.other.order[pair.other] - last
    moves = matching.other.is_move(pair.other) and not matching.one.is_move(pair.one)
    layout = pair.layout
    return (
        not _akin(matching, pair.one, pair.other),
        family != theirs,
        moves,
        layout is None or not layout.plain or after <= 0,
        abs(after),
    )


def _akin(matching: Matching, one: str, other: str) -> bool:
    """Whether names and families say that they are the same."""
    if matching.one.family[one] != matching.other.family[other]:
        return False
    return one == other or names.same(matching.one.nodes[one], matching.other.nodes[other])
