"""The weights of two operators that should be the same: equal, permuted, transposed, of another layer, scaled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from deploy_agreement.figures import deviation, eps, spread
from deploy_agreement.locating import narrow
from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.layouts import Layout, equal, layouts, nearest
from deploy_agreement.locating.names import place
from deploy_core.signature import Array

SLACK = 16 * eps("float32")
_BY_MUCH = "is off by"
_MUCH = 0.2  # of a correlation: chance does not reach it with as many values as weights have
_FEW = 1e-2  # of the spread: what half precision or folding leaves


@dataclass(frozen=True)
class Known:
    """What there is to know of weights: `others` are those of all layers, by their place.

    `slopes` are by what each weight of that name was multiplied when something was folded into it; `slack` is how far
    equal ones may lie apart, in units of the greatest of them.
    """

    others: Mapping[str, Array]
    slopes: Mapping[str, Array] = field(default_factory=dict)
    slack: float = SLACK


def differences(
    wanted: Mapping[str, Mapping[str, Array]], theirs: Mapping[str, Array], known: Known
) -> Iterator[tuple[str, str]]:
    """Give the tensor whose weights differ and say how, for each that none of `theirs` is.

    `wanted` has the weights of each tensor's operator by name.
    """
    free = {key: array for key, array in theirs.items() if _is(array)}
    missing = []
    for name, key, array in ((n, k, a) for n, arrays in wanted.items() for k, a in arrays.items() if _is(a)):
        twin = next((each for each, got in free.items() if same(array, got, known.slack)), None)
        if twin is None:
            missing.append((name, key, array))
        else:
            del free[twin]
    for name, key, array in missing:
        fitting = (got for got in free.values() if got.size == array.size)
        got = min(fitting, key=lambda each: _off(array, each), default=None)
        if got is not None:
            yield name, f"{_called(key)} {_how_folded(array, got, known, known.slopes.get(key))}"


def _how_folded(want: Array, got: Array, known: Known, slope: Array | None) -> str:
    """Say how they differ as they are, or before something was folded into them, whichever is told by more than numbers."""
    told = how(want, got, known)
    if slope is None or not slope.all() or not told.startswith(_BY_MUCH):
        return told
    before = how(want / slope, laid(want, got).back(got, want.shape) / slope, known)
    return told if before.startswith(_BY_MUCH) else before


def how(want: Array, got: Array, known: Known) -> str:
    """Say how weights differ from those that are wanted."""
    owner = next((where for where, array in known.others.items() if same(array, got, known.slack)), "")
    if owner:
        return f"is that of {owner}"
    mine = laid(want, got).of(want)
    if kind := narrow.rounded(mine, got):
        return f"is rounded to {kind}"
    if narrow.in_steps(mine, got):
        return "is rounded to 8 bits"
    for axis in range(mine.ndim):
        if moved := _permuted(mine, got, axis, known.slack):
            return f"has axis {axis} in another order: place {moved[0]} holds what belongs to {moved[1]}"
    if np.allclose(np.sort(mine, None), np.sort(got, None), rtol=0, atol=known.slack * scale(mine)):
        return "holds the same values in another order"
    return _by_much(mine, got, known.slack)


def laid(want: Array, got: Array) -> Layout:
    """Find how one lies in the other although they differ: in the way in which they go together best."""
    ways = list(layouts(want.shape, got.shape))
    if not ways:
        return Layout(tuple(range(want.ndim)), got.shape)
    together = [_together(way.of(want), got) for way in ways]
    best = int(np.argmax(together))
    return ways[best] if together[best] > together[0] + _MUCH else ways[0]


def _together(one: Array, other: Array) -> float:
    mine, theirs = (each.astype(np.float64) - each.mean() for each in (one, other))
    size = float(np.sqrt((mine * mine).sum() * (theirs * theirs).sum()))
    return float((mine * theirs).sum()) / size if size else 0.0


def _by_much(mine: Array, got: Array, slack: float) -> str:
    apart = deviation(mine, got)
    wrong = int((apart > slack * scale(mine)).sum())
    if times := _times(mine, got):
        return f"is {times} times the wanted one"
    for axis in range(mine.ndim if mine.ndim > 1 else 0):
        if scaled := _scaled_row(mine, got, axis):
            return f"is {scaled[1]} times the wanted one at place {scaled[0]} of axis {axis}"
    return f"{_BY_MUCH} up to {float(apart.max()):.3g} in {wrong} of {mine.size} values"


def _times(mine: Array, got: Array) -> str:
    """Give the number by which one is multiplied, in as many digits as it has; empty if it is not, or by 1."""
    one, other = mine.astype(np.float64).ravel(), got.astype(np.float64).ravel()
    square = float(one @ one)
    number = float(one @ other) / square if square else 1.0
    left = float(np.sqrt(np.mean((other - number * one) ** 2)) / np.sqrt(np.mean(other**2))) if other.any() else 1.0
    if abs(number - 1) < 2 * _FEW or left > _FEW:
        return ""
    return f"{number:.6g}" if left < SLACK else f"{number:.3g}"


def _scaled_row(mine: Array, got: Array, axis: int) -> tuple[int, str] | None:
    """Find the first place along an axis that is multiplied, if each is, be it by 1, and some are not."""
    rows, seen = (np.moveaxis(each, axis, 0).reshape(each.shape[axis], -1) for each in (mine, got))
    if rows.shape[1] < 3:
        return None
    found = [_times(one, other) for one, other in zip(rows, seen, strict=True)]
    alike = [
        bool(told) or np.allclose(a, b, rtol=0, atol=_FEW * scale(a))
        for told, a, b in zip(found, rows, seen, strict=True)
    ]
    first = next((place for place, told in enumerate(found) if told), None)
    return None if first is None or not all(alike) else (first, found[first])


def _permuted(mine: Array, got: Array, axis: int, slack: float) -> tuple[int, int] | None:
    """Find whether what lies along an axis changed places; give the first place, and whose values it holds."""
    rows, seen = (np.moveaxis(each, axis, 0).reshape(each.shape[axis], -1) for each in (mine, got))
    if not 1 < len(rows) <= 1024 or rows.shape[1] < 2:
        return None
    order = []
    for row in seen:
        apart = np.abs(rows - row).max(axis=1)
        order.append(int(apart.argmin()))
        if apart[order[-1]] > slack * scale(mine):
            return None
    if sorted(order) != list(range(len(order))) or order == sorted(order):
        return None
    return next((place, owner) for place, owner in enumerate(order) if place != owner)


def everywhere(graph: Graph) -> dict[str, Array]:
    """Give all weights of a model that are more than a number, by the place of their layer."""
    found: dict[str, Array] = {}
    for node in graph.nodes.values():
        for key, array in node.weights.items():
            if _is(array) and array.size > 1:
                found[repr(key if place(node) in key else f"{place(node)}.{key}")] = array
    return found


def same(one: Array, other: Array, slack: float) -> bool:
    """Tell whether the one is the other, however it lies; `slack` is in units of the greatest value."""
    return one.size == other.size and equal(one, other, slack * scale(one)) is not None


def _off(one: Array, other: Array) -> float:
    found = nearest(one, other, 0.0)
    return found[1] if found else float("inf")


def near(one: Array, other: Array, limit: float) -> bool:
    """Tell whether two arrays of one shape lie within a limit, as they are."""
    return bool((deviation(one, other, nan_agrees=True) <= limit).all())


def scale(array: Array) -> float:
    """Give the greatest of the values, by their size; never 0."""
    return float(np.abs(array.astype(np.float64)).max(initial=0.0)) or spread(array) or 1.0


def _is(array: Array) -> bool:
    return array.dtype.kind == "f" and array.size > 0


def _called(key: str) -> str:
    last = key.rsplit(".", 1)[-1].rsplit("/", 1)[-1]
    return f"weight {last!r}" if last.isidentifier() else f"weight {key!r}"
