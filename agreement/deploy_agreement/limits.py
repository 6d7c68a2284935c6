"""How far an output may lie from the wanted one; it follows from rounding, not from taste."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from deploy_agreement.figures import eps, magnitude, spread
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array

NOISE_FACTOR = 8.0
SPREAD_FACTOR = 4.0
PUBLISHED_FACTOR = 2.0


@dataclass(frozen=True)
class Tolerance:
    """An element agrees if it lies at most `value` + `rtol` × |want| from the wanted one; `origin` names the rule."""

    value: float
    origin: str
    rtol: float = 0.0

    def limit(self, want: Array) -> Array:
        """Give the greatest deviation that agrees, per element."""
        size = magnitude(want)
        return self.value + self.rtol * np.where(np.isfinite(size), size, 0.0)


# Whatever is finite passes: only the form of an answer is judged.
ANY = Tolerance(sys.float_info.max, "any number")


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
    noise: float,
    *,
    noise_origin: str = "",
    precision: str = "",
    atol: float | None = None,
    rtol: float | None = None,
) -> Tolerance:
    """Derive the tolerance of one output from its noise, its spread and the dtype that it is computed in.

    It is the greatest of 8 × noise, 4 × eps × spread (the standard deviation of the wanted output) and eps × the
    greatest wanted magnitude, which is the last place of that value: nobody can ask for less. A `precision` such as
    `float16` scales noise and eps up from the dtype's own. What is not a float must be equal, unless `atol` or `rtol`
    say otherwise for integers.
    """
    kind = dtype_name(want.dtype)
    if (atol is not None or rtol is not None) and kind not in ("string", "bool"):
        return Tolerance(atol or 0.0, "as asked", rtol or 0.0)
    if not is_float(kind):
        return Tolerance(0.0, "must be equal")
    coarse = max(eps(precision), eps(kind))
    size = magnitude(want)
    greatest = float(size[np.isfinite(size)].max(initial=0.0))
    half = f" in {precision}" if coarse > eps(kind) else ""
    rules = [
        (
            NOISE_FACTOR * noise * coarse / eps(kind),
            f"8 × noise{half}" + (f" ({noise_origin})" if noise_origin else ""),
        ),
        (SPREAD_FACTOR * coarse * spread(want), f"4 × eps × spread{half}"),
        (coarse * greatest, f"eps × the greatest value{half}"),
    ]
    return Tolerance(*max(rules, key=lambda rule: rule[0]))
