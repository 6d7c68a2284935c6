"""What an input may be: numbers in the range of the golden inputs, whatever its dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deploy_agreement.figures import encoded, eps
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array

_EXACT = 2**53  # beyond, float64 has no place for every integer
_ALIKE = 4.0


@dataclass(frozen=True)
class Space:
    """One input: candidates are float64 numbers between `low` and `high`, integers if it is `whole`.

    What is no number, integers that float64 does not hold, and all values of an input with NaN or infinities among them
    are places in `choices`, the values seen; complex numbers are two numbers each. `sample` are the golden values, one candidate on each place of the first axis; `size` is how big
    a value usually is.
    """

    dtype: str
    sample: Array
    low: Array
    high: Array
    size: Array
    whole: bool
    choices: Array | None = None

    @property
    def span(self) -> Array:
        """How far the range goes."""
        return np.asarray(self.high - self.low)

    @property
    def free(self) -> bool:
        """Whether anything can be varied."""
        return bool(self.sample.size) and bool((self.span > 0).any())

    def fitted(self, numbers: Array) -> Array:
        """Give numbers that are admitted."""
        inside = np.clip(numbers, self.low, self.high)
        return np.asarray(np.rint(inside) if self.whole else inside)

    def decoded(self, numbers: Array, like: Array) -> Array:
        """Give what the model takes, in the dtype of `like`."""
        fitted = self.fitted(numbers)
        if self.choices is not None:
            return np.asarray(self.choices[fitted.astype(np.int64)])
        if like.dtype.kind == "c":
            return np.ascontiguousarray(fitted).view(np.complex128)[..., 0].astype(like.dtype)
        return fitted.astype(like.dtype)

    def nudged(self, numbers: Array, ulps: float, precision: str, rng: np.random.Generator) -> Array:
        """Give numbers moved by as many units in the last place, up or down at random."""
        if self.whole:
            return numbers
        step = ulps * max(eps(self.dtype), eps(precision)) * np.maximum(np.abs(numbers), self.size)
        return np.asarray(numbers + step * rng.choice([-1.0, 1.0], numbers.shape))


def space_of(array: Array) -> Space:
    """Find out what an input may be from golden candidates, one on each place of the first axis."""
    kind = dtype_name(array.dtype)
    if kind in ("string", "bool") or _is_wide(array) or not _is_finite(array):
        choices, places = np.unique(encoded(array).ravel(), return_inverse=True)
        numbers = places.reshape(array.shape).astype(np.float64)
        top = np.asarray(float(max(0, len(choices) - 1)))
        return Space(kind, numbers, np.asarray(0.0), top, np.asarray(1.0), whole=True, choices=choices)
    numbers = _pairs(array) if array.dtype.kind == "c" else array.astype(np.float64)
    low, high = _range(numbers)
    size = np.asarray(np.sqrt(np.mean(numbers**2))) if numbers.size else np.asarray(0.0)
    return Space(kind, numbers, low, high, size, whole=not is_float(kind))


def spaces_of(candidates: Mapping[str, Array]) -> dict[str, Space]:
    """Find out what every input may be."""
    return {name: space_of(array) for name, array in candidates.items()}


def _is_wide(array: Array) -> bool:
    return array.dtype.kind in "iu" and bool(array.size) and max(abs(int(array.min())), int(array.max())) > _EXACT


def _is_finite(array: Array) -> bool:
    return not is_float(dtype_name(array.dtype)) or bool(np.isfinite(array).all())


def _pairs(array: Array) -> Array:
    return np.ascontiguousarray(array.astype(np.complex128))[..., None].view(np.float64)


def _range(numbers: Array) -> tuple[Array, Array]:
    """The range of each feature; of all together where they are of one kind, as pixels or token ids are.

    A single candidate, as of a model with a fixed batch, is taken for rows.
    """
    if not numbers.size:
        return np.asarray(0.0), np.asarray(0.0)
    rows = numbers if len(numbers) > 1 else numbers[0]
    low, high = (rows.min(axis=0), rows.max(axis=0)) if rows.ndim and len(rows) > 1 else (rows, rows)
    spans = np.asarray(high - low)
    if not spans.any() or spans.max() <= _ALIKE * np.median(spans):
        return np.asarray(numbers.min()), np.asarray(numbers.max())
    return np.asarray(low), np.asarray(high)
