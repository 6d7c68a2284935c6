"""Single elements of an output: how each answer compares with what was wanted, the worst of them, and some to be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deploy_agreement.blocks import Block, blocks
from deploy_agreement.figures import Figures, deviation, figures, is_text
from deploy_agreement.results.outputs import Element, Points
from deploy_agreement.tolerances.limits import Tolerance
from deploy_core.signature import Array

POINTS = 2000
WORST = 50  # of the points


@dataclass(frozen=True)
class Pair:
    """What was wanted of one output and what one answer holds, which fit each other."""

    want: Array
    got: Array
    limit: Tolerance
    nan_agrees: bool = False

    def part(self, block: Block) -> Pair:
        """Give some of the elements."""
        limit = self.limit.part(block, self.want.shape)
        return Pair(np.asarray(self.want[block]), np.asarray(self.got[block]), limit, self.nan_agrees)

    def parts(self) -> Iterator[Pair]:
        """Give all elements, part by part."""
        return map(self.part, blocks(self.want.shape))

    def agrees(self, times: float = 1.0) -> bool:
        """Tell whether every element lies within so many times the tolerance."""
        return all(part.same() or not part.beyond(times).any() for part in self.parts())

    def beyond(self, times: float = 1.0) -> Array:
        """Tell of each element whether it lies beyond so many times the tolerance."""
        apart = deviation(self.want, self.got, nan_agrees=self.nan_agrees)
        return np.asarray(~(apart <= self.limit.limit(self.want) * times))

    def same(self) -> bool:
        """Tell, quickly, whether everything is equal; not always where there is more to see."""
        return self.want.dtype == self.got.dtype and bool((self.want == self.got).all())

    def times(self) -> tuple[Array, Array, Array]:
        """Give the deviation of each element, the greatest one that agrees, and the first in units of the second."""
        apart = deviation(self.want, self.got, nan_agrees=self.nan_agrees)
        limits = self.limit.limit(self.want)
        with np.errstate(over="ignore"):
            if limits.all():
                return apart, limits, np.asarray(apart / limits)
            must_equal = np.where(apart > 0, np.inf, 0.0)
            return apart, limits, np.divide(apart, limits, out=must_equal, where=limits > 0)


@dataclass(frozen=True)
class Judged:
    """What is known of one output of one answer once every element was looked at.

    `times` is how often the worst element's deviation is what agrees, and `place` where that lies; `needed` is the least
    number that would have passed for all elements, beside the relative part. `drawn` holds times, wanted, got and limit of
    some elements and the worst.
    """

    compared: int
    ok: bool
    figures: Figures
    needed: float
    times: float
    place: tuple[int, ...]
    worst: Element
    drawn: tuple[Array, ...]


def judged(pair: Pair, scale: float, random: np.random.Generator, count: int) -> Judged:
    """Look at every element, at some of them after the other, and draw `count` beside the worst; `scale` as for `figures`."""
    seen = _Seen(scale, pair.want.size)
    for part in pair.parts():
        seen.add(part)
    place = tuple(int(i) for i in np.unravel_index(seen.worst, pair.want.shape))
    drawn = _drawn(pair, seen.most, random, count)
    found = Figures(seen.max_abs, seen.max_rel, seen.max_ulp)
    return Judged(pair.want.size, seen.ok, found, seen.needed, seen.times, place, _worst(pair, place), drawn)


def points(found: Sequence[Judged], random: np.random.Generator) -> Points | None:
    """Keep up to `POINTS` of the elements that were drawn of all answers, among them the `WORST` that are; None for text."""
    times, want, got, limit = (np.concatenate(column) for column in zip(*(each.drawn for each in found), strict=True))
    if not len(times):
        return None
    order = np.argsort(-times, kind="stable")
    rest = order[WORST:]
    if len(order) > POINTS:
        rest = np.sort(random.choice(rest, POINTS - WORST, replace=False))
    kept = np.concatenate([order[:WORST], rest])
    return Points(want[kept], got[kept], limit[kept])


class _Seen:
    """What the parts that were looked at so far have shown."""

    def __init__(self, scale: float, size: int) -> None:
        self.scale = scale
        self.at = 0
        self.ok = True
        self.max_abs = self.max_rel = self.max_ulp = self.needed = self.times = 0.0
        self.worst = 0
        self.most = np.zeros(0, np.intp)  # where the `WORST` elements lie
        self._times = np.zeros(0)

    def add(self, part: Pair) -> None:
        """Look at the next elements."""
        if not part.same():
            apart, limits, times = part.times()
            self.ok = self.ok and bool((apart <= limits).all())
            self._figures(part, apart, limits)
            self._find(times.ravel())
        self.at += part.want.size

    def _figures(self, part: Pair, apart: Array, limits: Array) -> None:
        found = figures(part.want, apart, self.scale)
        self.max_abs = max(self.max_abs, found.max_abs)
        self.max_rel = max(self.max_rel, found.max_rel)
        self.max_ulp = max(self.max_ulp, found.max_ulp)
        relative = limits - part.limit.value if part.limit.rtol else 0.0
        self.needed = max(self.needed, float((apart - relative).max(initial=0.0)))

    def _find(self, times: Array) -> None:
        least = self._times.min() if len(self._times) == WORST else -1.0
        more = np.flatnonzero(times > least)
        if not more.size:
            return
        first = more[times[more].argmax()]
        if times[first] > self.times:
            self.times, self.worst = float(times[first]), self.at + int(first)
        self.most = np.concatenate([self.most, self.at + more])
        self._times = np.concatenate([self._times, times[more]])
        if len(self.most) > WORST:
            kept = np.argpartition(-self._times, WORST)[:WORST]
            self.most, self._times = self.most[kept], self._times[kept]


def _drawn(pair: Pair, worst: Array, random: np.random.Generator, count: int) -> tuple[Array, ...]:
    """Give times, wanted, got and limit of some elements and the worst, each once; nothing of text."""
    if is_text(pair.want):
        return (np.zeros(0),) * 4
    some = pair
    if pair.want.size > count + WORST:
        chosen = np.union1d(worst, random.integers(0, pair.want.size, count))
        some = pair.part(np.unravel_index(chosen, pair.want.shape))
    _, limits, times = some.times()
    return times.ravel(), _plain(some.want).ravel(), _plain(some.got).ravel(), limits.ravel()


def _worst(pair: Pair, place: tuple[int, ...]) -> Element:
    one = pair.part(place)
    return Element(place, _exact(one.want), _exact(one.got), float(one.limit.limit(one.want)))


def _exact(value: Array) -> float | str:
    """Give an element as it came: float64 does not hold every integer."""
    if is_text(value):
        text = value.item()
        return text.decode(errors="backslashreplace") if isinstance(text, bytes) else str(text)
    return value.item() if value.dtype.kind in "iub" else float(_plain(value))


def _plain(values: Array) -> Array:
    if values.dtype.kind in "iu":
        return values
    return np.asarray(np.abs(values) if values.dtype.kind == "c" else values, np.float64)
