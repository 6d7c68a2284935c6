"""What may have been done to right values on their way: a softmax too many, a scale, permuted classes, few digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import ml_dtypes
import numpy as np

from deploy_agreement.figures import eps
from deploy_core.signature import Array

_ENOUGH = 16  # values; fewer could look rounded by chance
_SLACK = 4.0  # rounding of the pattern itself, in tolerances


def patterns(want: Array, got: Array, value: float) -> Iterator[tuple[str, str]]:
    """Give kind and words of each pattern that turns `want` into `got` within about the tolerance `value`; both are finite."""
    if want.dtype.kind == "c":
        return
    wide, seen = want.astype(np.float64), got.astype(np.float64)
    yield from _rounded(want, got)
    # A pattern that only brings the values somewhat nearer, or to where any value would do, explains nothing.
    rounding = _SLACK * (value + eps("float32") * float(np.abs(seen).max()))
    bound = min(rounding, float(np.abs(wide - seen).max()) / 4, float(np.ptp(wide)) / 4, float(np.ptp(seen)) / 4)
    yield from _transformed(wide, seen, bound)
    yield from _permuted(wide, seen, bound)
    yield from _scaled(wide, seen, bound)


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
            if _close(transform(want), got, bound):
                yield "extra-activation", f"looks like a {name} too many"
            if _close(transform(got), want, bound):
                yield "missing-activation", f"looks as if a {name} is missing"


def _permuted(want: Array, got: Array, bound: float) -> Iterator[tuple[str, str]]:
    """Whether the features of the last axis, or the last two axes, changed places."""
    if want.ndim < 2 or len(want) < 2:
        return
    if want.ndim > 2 and want.shape[-1] == want.shape[-2] and _close(want.swapaxes(-1, -2), got, bound):
        yield "transposed-output", "has its last two axes swapped"
    columns, seen = want.reshape(-1, want.shape[-1]), got.reshape(-1, want.shape[-1])
    if not 1 < columns.shape[1] <= 1024:
        return
    order = []
    for place in range(columns.shape[1]):
        apart = np.abs(columns - seen[:, place : place + 1]).max(axis=0)
        order.append(int(apart.argmin()))
        if apart[order[-1]] > bound:
            return
    if sorted(order) == list(range(len(order))) and order != sorted(order):
        place = next(i for i, owner in enumerate(order) if i != owner)
        yield (
            "permuted-features",
            f"has its last axis in another order: place {place} holds what belongs to {order[place]}",
        )


def _scaled(want: Array, got: Array, bound: float) -> Iterator[tuple[str, str]]:
    if want.size < _ENOUGH or want.std() == 0:
        return
    centred = want - want.mean()
    scale = float((centred * got).sum() / (centred * centred).sum())
    offset = float(got.mean() - scale * want.mean())
    if abs(scale) > eps("float32") and _close(scale * want + offset, got, bound):
        yield "scaled", f"is {scale:.6g} times the wanted values" + (f" {offset:+.6g}" if abs(offset) > bound else "")


def few_digits(want: Array, got: Array) -> int | None:
    """Give the number of digits that all of `got` were printed with on the way, if that is 6 or less.

    Sixteen different values cannot all be short by chance, so this holds even where they lie within a tolerance.
    """
    if got.dtype not in (np.float32, np.float64) or want.dtype != got.dtype or not np.isfinite(got).all():
        return None
    seen, wanted = _sample(got), _sample(want)
    if np.unique(seen[seen != np.round(seen)]).size < _ENOUGH:
        return None
    for digits in range(2, 7):
        if _printed(seen, digits):
            return None if _printed(wanted, digits) else digits
    return None


def _rounded(want: Array, got: Array) -> Iterator[tuple[str, str]]:
    seen, wanted = _sample(got), _sample(want)
    if seen.size < _ENOUGH or not seen.any():
        return
    for dtype in (np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)):
        if _held_by(seen, dtype) and not _held_by(wanted, dtype):
            yield "half-precision", f"has values rounded to {dtype.name}"
            return


def _sample(array: Array) -> Array:
    return array.ravel()[:512]


def _held_by(values: Array, dtype: np.dtype[np.generic]) -> bool:
    with np.errstate(over="ignore"):
        return bool((values.astype(dtype).astype(values.dtype) == values).all())


def _printed(values: Array, digits: int) -> bool:
    texts = [f"{float(value):.{digits - 1}e}" for value in values]
    return bool((np.array(texts, np.float64).astype(values.dtype) == values).all())


def _close(left: Array, right: Array, bound: float) -> bool:
    return bool((np.abs(left - right) <= bound).all())
