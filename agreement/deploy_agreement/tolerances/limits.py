"""How far an element of an output may lie from the wanted one; it follows from rounding, not from taste."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from deploy_agreement.blocks import Block
from deploy_agreement.figures import eps, magnitude, tiny
from deploy_agreement.scales import Scales, scales
from deploy_agreement.tolerances.pooling import IMAGE, fit
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array

NOISE_FACTOR = 8.0
IMAGE_FACTOR = 48.0
SPREAD_FACTOR = 4.0
SIZE_FACTOR = 2.0
MEAN_FACTOR = 16.0
PUBLISHED_FACTOR = 2.0
_PROBABLE = 1e-3  # outputs that lie between 0 and 1, and reach this, may be probabilities


@dataclass(frozen=True)
class Tolerance:
    """An element agrees if it lies at most its tolerance + `rtol` × |want| from the wanted one; `origin` names the rule.

    `value` is the tolerance of all elements, or the greatest where `each` holds one for each: an array that broadcasts,
    with an axis of 1 for the rows. Then `origin` is the rule that gave the greatest, and `at` tells that of any other.
    """

    value: float
    origin: str
    rtol: float = 0.0
    each: Array | None = field(default=None, compare=False, repr=False)
    ruling: Array | None = field(default=None, compare=False, repr=False)  # number of the rule of `rules`, as `each`
    rules: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def limit(self, want: Array) -> Array:
        """Give the greatest deviation that agrees, per element."""
        base = self.value if self.each is None else self.each
        if not self.rtol:
            return np.broadcast_to(base, want.shape)
        size = magnitude(want)
        return np.broadcast_to(base + self.rtol * np.where(np.isfinite(size), size, 0.0), want.shape)

    def part(self, block: Block, shape: tuple[int, ...]) -> Tolerance:
        """Give the tolerance of a part of arrays of that shape."""
        return self if self.each is None else replace(self, each=np.broadcast_to(self.each, shape)[block])

    def at(self, place: tuple[int, ...]) -> str:
        """Name the rule that gave the tolerance of one element."""
        if self.ruling is None:
            return self.origin
        here = tuple(min(i, size - 1) for i, size in zip(place, self.ruling.shape, strict=True))
        return self.rules[int(self.ruling[here])]


# Whatever is finite passes: only the form of an answer is judged. A sum of such limits is finite, too.
ANY = Tolerance(sys.float_info.max / 2**10, "any number")


def published(error: float, derived: Tolerance, kind: str) -> Tolerance:
    """Give the tolerance of an int8 variant: it must predict what it predicted when it was published.

    It is twice the greatest error against the source that was measured then, and never less than the float file's.
    Steps of int8 cannot be added up to a bound as rounding can: each layer has a step of its own, known to the file
    only, and their sum would let everything pass. Twice, because CPUs round and join rows in other ways. What is not a
    float may differ by as much as it did then.
    """
    if not is_float(kind):
        return Tolerance(error, "the difference when it was published")
    if PUBLISHED_FACTOR * error <= derived.value:
        return derived
    return Tolerance(PUBLISHED_FACTOR * error, "2 × the error when it was published")


def tolerance(
    want: Array,
    noise: Array | float,
    *,
    noise_origin: str = "",
    precision: str = "",
    atol: float | None = None,
    rtol: float | None = None,
) -> Tolerance:
    """Derive the tolerance of each element of an output from its noise, its values and the dtype that it is computed in.

    It is the greatest of these, each at the element's own scale (its values in all rows), but for the last:

    - 8 × its noise: how much other orders of sums, fused and split operators, and other kernels move it. 48 × for outputs
      of four or more axes, which a convolution may have made by Winograd's transform, and that rounds far more;
    - 4 × eps × its spread, and 2 × eps × its greatest magnitude: the last places of its values;
    - 16 × eps × its mean magnitude: a sum that begins with its bias rounds at the bias's size with every term that it adds;
    - eps, or eps × the output's greatest magnitude where that is below 1, for elements that are never on both sides of 0:
      runtimes compute a sigmoid, a softplus or an erf to so much, however small it is. Where they look like probabilities,
      which lie between 0 and 1, it is eps itself;
    - the least normal number: some runtimes flush to 0 what is smaller.

    Noise that is one number is that of all elements together, and so are the other scales then. A `precision` such as
    `float16` scales noise and eps up from the dtype's own. What is not a float must be equal, unless `atol` or `rtol`
    say otherwise for integers.
    """
    kind = dtype_name(want.dtype)
    if (atol is not None or rtol is not None) and kind not in ("string", "bool"):
        return Tolerance(atol or 0.0, "as asked", rtol or 0.0)
    if not is_float(kind):
        return Tolerance(0.0, "must be equal")
    coarse = precision if eps(precision) > eps(kind) else kind
    half = f" in {precision}" if coarse != kind else ""
    moved = np.asarray(noise, np.float64)
    moved = moved if fit(moved.shape, want.shape) else moved.max(initial=0.0)
    factor = NOISE_FACTOR if want.ndim < IMAGE else IMAGE_FACTOR
    told = f"{factor:g} × noise{half}" + (f" ({noise_origin})" if noise_origin else "")
    floors = ((f"{told}{half}", limit) for told, limit in _floors(want, moved.shape, coarse))
    return _greatest(chain([(told, factor * moved * eps(coarse) / eps(kind))], floors))


def _floors(want: Array, shape: tuple[int, ...], dtype: str) -> Iterator[tuple[str, Array]]:
    """Give, one by one, the tolerances that follow from wanted values, for elements as an array of that shape has them."""
    of = scales(want, (axis for axis in range(want.ndim) if not shape or shape[axis] == 1))
    yield "4 × eps × spread", SPREAD_FACTOR * eps(dtype) * of.spread
    yield "2 × eps × the greatest value", SIZE_FACTOR * eps(dtype) * of.greatest
    yield "16 × eps × the mean", MEAN_FACTOR * eps(dtype) * of.mean
    yield "eps, as for a sigmoid", eps(dtype) * _unit(of)
    yield "the least normal number", np.asarray(tiny(dtype))


def _unit(of: Scales) -> Array:
    """Give what the absolute errors of functions such as sigmoid are to be measured by; 0 for what is no such function."""
    greatest = float(of.greatest.max(initial=0.0))
    unit = np.where((of.low >= 0) | (of.high <= 0), min(greatest, 1.0), 0.0)
    if greatest < _PROBABLE:
        return unit
    return np.where((of.low >= 0) & (of.high <= 1), 1.0, unit)


def _greatest(rules: Iterable[tuple[str, Array]]) -> Tolerance:
    each, ruling = np.zeros(()), np.zeros((), np.uint8)
    names: tuple[str, ...] = ()
    for number, (name, limits) in enumerate(rules):
        names += (name,)
        ruling = np.where(limits > each, np.uint8(number), ruling)
        each = np.maximum(each, limits)
    if each.size == 1:
        return Tolerance(float(each.max()), names[int(ruling.max())])
    if not each.size:
        return Tolerance(0.0, names[0])
    top = int(each.argmax())
    return Tolerance(float(each.flat[top]), names[int(ruling.flat[top])], 0.0, each, ruling, names)
