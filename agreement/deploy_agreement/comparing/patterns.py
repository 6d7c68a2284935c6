"""What may have been done to right values on their way: a softmax too many, a scale, permuted classes, few digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import ml_dtypes
import numpy as np

from deploy_agreement.blocks import MOST, blocks
from deploy_agreement.figures import eps
from deploy_agreement.scales import reach
from deploy_core.signature import Array

_ENOUGH = 16  # values; fewer could look rounded by chance
_ROWS = 4096  # enough to know a column by
_SLACK = 4.0  # rounding of the pattern itself, in tolerances


def patterns(want: Array, got: Array, value: float) -> Iterator[tuple[str, str]]:
    """Give kind and words of each pattern that turns `want` into `got` within about the tolerance `value`; both are finite."""
    if want.dtype.kind == "c":
        return
    yield from _rounded(want, got)
    bound = _bound(want, got, value)
    yield from _transformed(want, got, bound)
    yield from _permuted(want, got, bound)
    yield from _scaled(want, got, bound)


def _bound(want: Array, got: Array, value: float) -> float:
    # A pattern that only brings the values somewhat nearer, or to where any value would do, explains nothing.
    rounding = _SLACK * (value + eps("float32") * reach(got))
    apart = max(float(np.abs(one - other).max()) for one, other in _wide_parts(want, got))
    return min(rounding, apart / 4, _range(want) / 4, _range(got) / 4)


def _range(array: Array) -> float:
    return float(array.max()) - float(array.min())


def _wide_parts(want: Array, got: Array, axes: int | None = None) -> Iterator[tuple[Array, Array]]:
    """Give both in float64, part by part; with `axes` only along so many of the first."""
    shape = want.shape[:axes]
    most = max(1, MOST * math.prod(shape) // want.size)
    for block in blocks(shape, most):
        yield want[block].astype(np.float64), got[block].astype(np.float64)


def _softmax(values: Array) -> Array:
    raised = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _sigmoid(values: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-values)))


_TRANSFORMS: dict[str, Callable[[Array], Array]] = {"softmax": _softmax, "sigmoid": _sigmoid, "tanh": np.tanh}


def _transformed(want: Array, got: Array, bound: float) -> Iterator[tuple[str, str]]:
    for name, transform in _TRANSFORMS.items():
        if want.ndim < 2 or (name == "softmax" and want.shape[-1] == 1):
            continue
        with np.errstate(over="ignore"):
            if all(_close(transform(one), other, bound) for one, other in _wide_parts(want, got, -1)):
                yield "extra-activation", f"looks like a {name} too many"
            if all(_close(transform(other), one, bound) for one, other in _wide_parts(want, got, -1)):
                yield "missing-activation", f"looks as if a {name} is missing"


def _permuted(want: Array, got: Array, bound: float) -> Iterator[tuple[str, str]]:
    """Whether the features of the last axis, or the last two axes, changed places."""
    if want.ndim < 2 or len(want) < 2:
        return
    if want.ndim > 2 and want.shape[-1] == want.shape[-2] and _all_close(want.swapaxes(-1, -2), got, bound):
        yield "transposed-output", "has its last two axes swapped"
    columns, seen = want.reshape(-1, want.shape[-1]), got.reshape(-1, want.shape[-1])
    if not 1 < columns.shape[1] <= 1024:
        return
    order = _order(columns, seen, bound)
    if sorted(order) == list(range(columns.shape[1])) and order != sorted(order):
        if not _all_close(columns[:, order], seen, bound):
            return
        place = next(i for i, owner in enumerate(order) if i != owner)
        yield (
            "permuted-features",
            f"has its last axis in another order: place {place} holds what belongs to {order[place]}",
        )


def _order(columns: Array, seen: Array, bound: float) -> list[int]:
    """Find the column that holds what each place should hold, by some of the rows; fewer, if there is one without."""
    step = max(1, len(columns) // _ROWS)
    wide, came = columns[::step].astype(np.float64), seen[::step].astype(np.float64)
    order: list[int] = []
    for place in range(columns.shape[1]):
        apart = np.abs(wide - came[:, place : place + 1]).max(axis=0)
        if apart.min() > bound:
            break
        order.append(int(apart.argmin()))
    return order


def _scaled(want: Array, got: Array, bound: float) -> Iterator[tuple[str, str]]:
    if want.size < _ENOUGH or _range(want) == 0:
        return
    scale, offset = _line(want, got)
    fits = all(_close(scale * one + offset, other, bound) for one, other in _wide_parts(want, got))
    if abs(scale) > eps("float32") and fits:
        # What fits to six digits, and is added, is not said to be multiplied by 1.
        factor = "the wanted values" if f"{scale:.6g}" == "1" else f"{scale:.6g} times the wanted values"
        yield "scaled", f"is {factor}" + (f" {offset:+.6g}" if abs(offset) > bound else "")


def _line(want: Array, got: Array) -> tuple[float, float]:
    """Give slope and offset of the straight line through both that fits best."""
    mean = usual = products = squares = 0.0
    for one, other in _wide_parts(want, got):
        mean += float(one.sum()) / want.size
        usual += float(other.sum()) / want.size
    for one, other in _wide_parts(want, got):
        one -= mean
        products += float((one * other).sum())
        squares += float(np.square(one).sum())
    return products / squares, usual - products / squares * mean


def few_digits(want: Array, got: Array) -> int | None:
    """Give the number of digits that all of `got` were printed with on the way, if that is 6 or less.

    Sixteen different values cannot all be short by chance, so this holds even where they lie within a tolerance.
    """
    if got.dtype not in (np.float32, np.float64) or want.dtype != got.dtype:
        return None
    seen, wanted = _sample(got), _sample(want)
    if not np.isfinite(seen).all() or np.unique(seen[seen != np.round(seen)]).size < _ENOUGH:
        return None
    digits = next((digits for digits in range(2, 7) if _printed(seen, digits)), None)
    if (
        digits is None
        or _printed(wanted, digits)
        or not all(np.isfinite(got[block]).all() for block in blocks(got.shape))
    ):
        return None
    return digits


def _rounded(want: Array, got: Array) -> Iterator[tuple[str, str]]:
    seen, wanted = _sample(got), _sample(want)
    if seen.size < _ENOUGH or not seen.any():
        return
    for dtype in (np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)):
        if _held_by(seen, dtype) and not _held_by(wanted, dtype):
            yield "half-precision", f"has values rounded to {dtype.name}"
            return


def _sample(array: Array) -> Array:
    return np.asarray(array.flat[:512])


def _held_by(values: Array, dtype: np.dtype[np.generic]) -> bool:
    with np.errstate(over="ignore"):
        return bool((values.astype(dtype).astype(values.dtype) == values).all())


def _printed(values: Array, digits: int) -> bool:
    kind = values.dtype.type
    return all(kind(float(f"{value:.{digits - 1}e}")) == kind(value) for value in values.tolist())


def _all_close(left: Array, right: Array, bound: float) -> bool:
    return all(_close(one, other, bound) for one, other in _wide_parts(left, right))


def _close(left: Array, right: Array, bound: float) -> bool:
    return bool((np.abs(left - right) <= bound).all())
