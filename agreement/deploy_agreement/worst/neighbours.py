"""Inputs beside a candidate: how far answers move with them is what the roundings inside amount to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from deploy_agreement.figures import eps
from deploy_agreement.worst.asking import Frame, Numbers
from deploy_core.signature import Array

NUDGES, FEW_NUDGES = 24, 6
ULPS = 8.0
Random = np.random.Generator


@dataclass(frozen=True)
class Neighbours:
    """A candidate and those beside it, `candidates`: first itself, then `near` ones, moved by 8 units in the last place.

    Halves that go into float32 are exact to it, and cannot be moved by as little. So the rest are moved in these: one half
    by a unit in the last place of theirs, the other half by 8, in the same directions. `part` is how much smaller a unit of
    what is computed in is.
    """

    candidates: list[Numbers]
    near: int
    part: float = 1.0

    def moved(self, apart: Array) -> Array:
        """Give how far each element of an answer moves by rounding, from how far those of the candidates lie from it."""
        near, rest = apart[: 1 + self.near].max(axis=0), apart[1 + self.near :]
        if not len(rest):
            return np.asarray(near)
        one, eight = (half.max(axis=0) for half in np.split(rest, 2))
        # Moved by eight units, a slope gives eight times as much, and an edge between two inputs as much as by one. Which
        # side of it is right is nobody's to say, however near to one of them it lies.
        return np.asarray(np.maximum(near, np.where(2 * one >= eight, one, ULPS * self.part * one)))


def neighbours(candidate: Numbers, frame: Frame, parts: Mapping[str, float], precision: str, rng: Random) -> Neighbours:
    """Draw those beside a candidate; `parts` are by input what `tolerances.nudges.part` gives."""
    coarser = max(1.0, eps(precision) / eps("float32"))
    own = {name: min(1.0, parts.get(name, 1.0) * coarser) for name in frame.spaces}
    exact = tuple(name for name, part in own.items() if part < 1)
    others = tuple(name for name in own if name not in exact)
    near = list(_moved(candidate, frame, others, ULPS, precision, rng)) if others else []
    if not exact:
        return Neighbours([candidate, *near], len(near))
    seed = int(rng.integers(2**32))
    halves = [
        list(_moved(candidate, frame, exact, ulps, precision, np.random.default_rng(seed))) for ulps in (1.0, ULPS)
    ]
    return Neighbours([candidate, *near, *halves[0], *halves[1]], len(near), max(own[name] for name in exact))


def _moved(
    candidate: Numbers, frame: Frame, names: tuple[str, ...], ulps: float, precision: str, rng: Random
) -> Iterator[Numbers]:
    for _ in range(NUDGES if frame.axes else FEW_NUDGES):
        moved = {name: frame.spaces[name].nudged(candidate[name], ulps, precision, rng) for name in names}
        yield {**candidate, **moved}
