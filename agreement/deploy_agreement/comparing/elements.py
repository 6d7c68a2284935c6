"""Single elements of an output: how each answer compares with what was wanted, the worst of them, and some to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deploy_agreement.comparing.answers import Answer
from deploy_agreement.figures import Figures, deviation, figures, is_text
from deploy_agreement.results.outputs import Element, Points
from deploy_agreement.tolerances.limits import Tolerance
from deploy_core.signature import Array

POINTS = 2000
WORST = 50  # of the points


@dataclass(frozen=True)
class Pair:
    """What was wanted of one output and what one answer holds, which fit each other."""

    answer: Answer
    want: Array
    got: Array
    limit: Tolerance
    nan_agrees: bool = False

    @cached_property
    def apart(self) -> Array:
        """Give the deviation of each element."""
        return deviation(self.want, self.got, nan_agrees=self.nan_agrees)

    @cached_property
    def limits(self) -> Array:
        """Give the greatest deviation of each element that agrees."""
        return self.limit.limit(self.want)

    @cached_property
    def times(self) -> Array:
        """Give the deviation of each element in units of what agrees."""
        must_equal = np.where(self.apart > 0, np.inf, 0.0)
        with np.errstate(over="ignore"):
            return np.divide(self.apart, self.limits, out=must_equal, where=self.limits > 0)

    @property
    def ok(self) -> bool:
        """Whether every element agrees."""
        return bool((self.apart <= self.limits).all())

    @property
    def worst_times(self) -> float:
        """How often the worst element's deviation is what agrees."""
        return float(self.times.max())

    @property
    def needed(self) -> float:
        """The least number that would have passed for all elements, beside the relative part."""
        relative = self.limits - self.limit.value if self.limit.rtol else np.zeros(())
        return max(0.0, float((self.apart - relative).max()))

    @cached_property
    def place(self) -> tuple[int, ...]:
        """Where the element lies that is furthest beyond, or nearest to, its tolerance."""
        return tuple(int(i) for i in np.unravel_index(int(self.times.argmax()), self.times.shape))

    def row(self, axis: int | None) -> int | None:
        """Give the golden row of the worst element; None for an output without rows."""
        return None if axis is None else int(self.answer.index[self.place[axis]])

    def worst(self) -> Element | None:
        """Give the worst element; None for text."""
        if is_text(self.want):
            return None
        want, got = (float(_plain(array[self.place])) for array in (self.want, self.got))
        return Element(self.place, want, got, float(self.limits[self.place]))

    def figures(self, scale: float) -> Figures:
        """Give the greatest errors."""
        return figures(self.want, self.apart, scale)


def points(pairs: Sequence[Pair], seed: int = 0) -> Points | None:
    """Draw up to `POINTS` elements of all answers, among them the `WORST` that are; None for text."""
    if any(is_text(pair.want) for pair in pairs):
        return None
    random = np.random.default_rng(seed)
    total = sum(pair.want.size for pair in pairs)
    drawn = [_drawn(pair, random, (POINTS - WORST) * pair.want.size // total + 1) for pair in pairs]
    times, want, got, limit = (np.concatenate(column) for column in zip(*drawn, strict=True))
    order = np.argsort(-times, kind="stable")
    rest = order[WORST:]
    if len(order) > POINTS:
        rest = np.sort(random.choice(rest, POINTS - WORST, replace=False))
    kept = np.concatenate([order[:WORST], rest])
    return Points(want[kept], got[kept], limit[kept])


def _drawn(pair: Pair, random: np.random.Generator, count: int) -> tuple[Array, Array, Array, Array]:
    """Give times, wanted, got and limit of some elements and the worst, each once."""
    times = pair.times.ravel()
    if times.size > count + WORST:
        worst = np.argpartition(-times, WORST)[:WORST]
        chosen = np.union1d(worst, random.integers(0, times.size, count))
    else:
        chosen = np.arange(times.size)
    want, got = (_plain(array.reshape(-1)[chosen]) for array in (pair.want, pair.got))
    return times[chosen], want, got, pair.limits.reshape(-1)[chosen]


def _plain(values: Array) -> Array:
    return np.asarray(np.abs(values) if values.dtype.kind == "c" else values, np.float64)
