"""The class of a row, a token or a pixel: where the greatest value lies, and whether it lies elsewhere."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deploy_agreement.blocks import MOST, blocks, least
from deploy_agreement.results.decisions import CLASS, PIXELS, SHOWN, TOKENS, Decisions, Flip, told
from deploy_core.signature import Array

K = 5
_SUMS_TO_ONE = 1e-2  # what rounding to bfloat16 leaves of a sum of one
_NAMES = re.compile(r"logit|prob|softmax|score|class|label|categor|segment", re.IGNORECASE)
_KINDS = {2: (CLASS, "rows"), 3: (TOKENS, "tokens"), 4: (PIXELS, "pixels")}


def named(name: str) -> bool:
    """Tell whether an output is called what scores of classes are called."""
    return _NAMES.search(name) is not None


def are_probabilities(want: Array) -> bool:
    """Tell whether the last axis holds shares of one."""
    if not (want.min() >= 0 and want.max() <= 1 + _SUMS_TO_ONE):
        return False  # so that no sum is too great for its dtype
    return bool(np.abs(want.sum(axis=-1) - 1).max() < _SUMS_TO_ONE)


def sure(name: str, want: Array, labels: Sequence[str]) -> bool:
    """Tell whether these are scores of classes, and not just several numbers."""
    return named(name) or len(labels) == want.shape[-1] or are_probabilities(want)


def decide(want: Array, got: Array, limit: Array, labels: Sequence[str], *, sure: bool) -> Decisions:
    """Compare where the greatest value along the last axis lies; `limit` is how far each value may lie off."""
    kind, noun = _KINDS[want.ndim]
    usable = np.asarray(~np.isnan(want).any(axis=-1))
    flips = _flips(want, got, limit, usable)
    k = min(K, want.shape[-1] - 1) if kind == CLASS else 0
    margin = float(np.nanmax(flips.margin)) if np.isfinite(flips.margin).any() else None
    close, count = int(flips.close.sum()), len(flips.place)
    verb = _verb(count, sure=sure)
    return Decisions(
        kind=kind,
        rows=int(usable.sum()),
        flips=count,
        flipped=tuple(map(int, np.unique(flips.place[:, 0])[:SHOWN])),
        margin=margin,
        k=k if k > 1 else None,
        top_k=_same_top(want, got, limit, k) if k > 1 else None,
        said=told(noun, int(usable.sum()), count, verb, close=close, margin=margin),
        close=close,
        shown=tuple(flips.told(labels)),
    )


def answers(want: Array, got: Array, labels: Sequence[str]) -> Decisions | None:
    """Compare rows of what is no float: class numbers, words; each row as a whole."""
    other = (want != got).reshape(len(want), -1).any(axis=1)
    rows = np.flatnonzero(other)
    single = want.size == len(want)
    flips = tuple(
        Flip(int(row), _word(want[row], labels, single=single), _word(got[row], labels, single=single))
        for row in rows[:SHOWN]
    )
    verb = "get another answer" if len(rows) > 1 else "gets another answer" if len(rows) else "keep their answer"
    said = told("rows", len(want), len(rows), verb, close=0, margin=None)
    return Decisions(CLASS, len(want), len(rows), tuple(map(int, rows[:SHOWN])), said=said, shown=flips)


def word(number: int, labels: Sequence[str]) -> str:
    """Give the name of a class."""
    return str(labels[number]) if 0 <= number < len(labels) else f"class {number}"


def named_class(value: Any, labels: Sequence[str]) -> str:
    """Give the name of a class that is an element of an output: a number of whatever dtype, or text."""
    if isinstance(value, bytes | str):
        return value.decode(errors="replace") if isinstance(value, bytes) else value
    return word(int(value), labels) if np.isfinite(value) else f"class {value}"


def _verb(flips: int, *, sure: bool) -> str:
    if not flips:
        return "keep their class" if sure else "keep their greatest value in its column"
    if sure:
        return f"{'gets' if flips == 1 else 'get'} another class"
    return f"{'has its' if flips == 1 else 'have their'} greatest value in another column"


@dataclass(frozen=True)
class _Flips:
    """Where it flips, from which class to which, by what margin (NaN where NaN came), and whether rounding decides."""

    place: Array
    best: Array
    came: Array
    margin: Array
    close: Array

    def told(self, labels: Sequence[str]) -> Iterator[Flip]:
        """Give the clearest one by one."""
        for at in least(np.nan_to_num(-self.margin, nan=-np.inf), SHOWN):
            row, *inside = map(int, self.place[at])
            margin = float(self.margin[at])
            came = "NaN" if math.isnan(margin) else word(int(self.came[at]), labels)
            told = None if math.isnan(margin) else margin
            yield Flip(row, word(int(self.best[at]), labels), came, told, bool(self.close[at]), tuple(inside))


def _flips(want: Array, got: Array, limit: Array, usable: Array) -> _Flips:
    best, came = _best(want), _best(got)
    nan: Array = np.asarray(np.isnan(got).any(axis=-1))
    place = np.argwhere(usable & ((best != came) | nan))
    at = tuple(place.T)
    first, second = (*at, best[at]), (*at, came[at])
    with np.errstate(invalid="ignore"):  # of two infinities
        margin = np.where(nan[at], np.nan, want[first].astype(np.float64) - want[second])
    # Each of the two may lie off by its own limit, in opposite directions.
    return _Flips(place, best[at], came[at], margin, margin <= limit[first] + limit[second])


def _best(scores: Array) -> Array:
    """Give the first class with the greatest score, part by part: numpy copies what has its classes on another axis."""
    best = np.empty(scores.shape[:-1], np.intp)
    for block in blocks(best.shape, max(1, MOST // scores.shape[-1])):
        best[block] = scores[block].argmax(axis=-1)
    return best


def _same_top(want: Array, got: Array, limit: Array, k: int) -> float:
    """Give the share of rows with the same `k` best; what lies within the tolerance of the last of them is as good."""
    chosen = np.argpartition(got, -k, axis=-1)[..., -k:]
    last = np.partition(want, -k, axis=-1)[..., -k, None]
    slack = np.take_along_axis(limit, chosen, -1) + limit.max(axis=-1, keepdims=True)
    same = np.take_along_axis(want, chosen, -1) >= last - slack
    return float(same.all(axis=-1).mean())


def _word(value: Array, labels: Sequence[str], *, single: bool) -> str:
    if not single:
        return np.array2string(value, threshold=8, edgeitems=3)
    one = np.asarray(value).reshape(-1)[0]
    if isinstance(one, bytes):
        return one.decode(errors="replace")
    is_number = isinstance(one, np.integer) and labels
    return word(int(one), labels) if is_number else str(one)
