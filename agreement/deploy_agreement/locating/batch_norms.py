"""What a batch norm did with its input, found from values alone: it may be folded into something else by then."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from deploy_agreement.locating.attributes import attribute, told
from deploy_agreement.locating.replay import affine
from deploy_agreement.locating.windows import channels_first
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array

_ROLES = {
    "variance": r"var",
    "mean": r"mean",
    "scale": r"gamma|scale|weight",
    "offset": r"beta|offset|bias|^b$",
}
_ORDER = ("scale", "offset", "mean", "variance")
_ENOUGH = 1e-3  # of the spread: a fit that leaves more explains nothing


@dataclass(frozen=True)
class Parameters:
    """Those of one batch norm, a value for each channel."""

    scale: Array
    offset: Array
    mean: Array
    variance: Array
    epsilon: float

    @property
    def slope(self) -> Array:
        """By what each channel is multiplied."""
        return np.asarray(self.scale / np.sqrt(self.variance + self.epsilon))

    @property
    def shift(self) -> Array:
        """What is added to each channel."""
        return np.asarray(self.offset - self.mean * self.slope)


def parameters(node: Intermediate) -> Parameters | None:
    """Find which weight is which, by their names, else by their order."""
    arrays = {name: np.asarray(node.weights[name], np.float64) for name in node.inputs if name in node.weights}
    arrays = arrays or {name: np.asarray(value, np.float64) for name, value in node.weights.items()}
    found = dict(zip(_ORDER, arrays.values(), strict=True)) if len(arrays) == len(_ORDER) else _by_name(arrays)
    named = _by_name(arrays)
    found = named if len(named) == len(_ORDER) else found
    if not {"mean", "variance"} <= set(found):
        return None
    one = np.ones_like(found["mean"])
    epsilon = float(attribute(node.attributes, "epsilon", 1e-5))
    return Parameters(found.get("scale", one), found.get("offset", one * 0), found["mean"], found["variance"], epsilon)


def axis(node: Intermediate) -> int:
    """Give the axis of the channels."""
    told = attribute(node.attributes, "axis")
    if told is not None:
        return int(np.atleast_1d(told)[0]) % node.value.ndim
    return 1 if channels_first(node) else node.value.ndim - 1


def told_of(node: Intermediate, x: Array, got: Array, *, positive: bool) -> str:
    """Say in what a batch norm that made `got` of `x` differs from `node`; empty if it was none, or does not differ."""
    own = parameters(node)
    fit = affine(x, got, axis(node), positive=positive)
    if own is None or len(own.mean) != len(fit[0]):
        return ""
    slopes, offsets, residuals = fit
    if not np.isfinite(slopes).any() or np.nanmax(residuals) > _ENOUGH * float(np.std(got)):
        return ""
    known = np.isfinite(slopes)
    wrong = known & ~np.isclose(slopes, own.slope, rtol=2e-5, atol=1e-7)
    if not wrong.any():
        return _shifted(own, offsets, float(np.std(got)))
    if not np.allclose(
        (offsets + own.mean * slopes)[known], own.offset[known], rtol=1e-3, atol=1e-4 * float(np.std(got))
    ):
        return ""  # a batch norm that multiplies by something else adds something else, too: it is what comes before
    with np.errstate(divide="ignore", invalid="ignore"):
        others = (own.scale / slopes) ** 2 - own.variance
    # Where the variance is great an epsilon is not seen: channels of little variance tell it best.
    epsilon = _rounded(float(np.average(others[known], weights=1 / np.maximum(own.variance[known], 1e-12))))
    if epsilon >= 0 and np.allclose((own.scale / np.sqrt(own.variance + epsilon))[known], slopes[known], rtol=1e-4):
        return f"batch norm has epsilon {told(epsilon)}, wanted is {told(own.epsilon)}"
    places = np.flatnonzero(wrong)
    first = places[0]
    return (
        f"batch norm multiplies {len(places)} of {len(slopes)} channels otherwise: channel {first} by {slopes[first]:.6g},"
        f" wanted is {own.slope[first]:.6g}"
    )


def _shifted(own: Parameters, offsets: Array, spread: float) -> str:
    wrong = np.flatnonzero(np.abs(offsets - own.shift) > 1e-4 * spread)
    if not wrong.size:
        return ""
    first = wrong[0]
    return (
        f"batch norm adds something else to {len(wrong)} of {len(offsets)} channels: to channel {first} {offsets[first]:.6g},"
        f" wanted is {own.shift[first]:.6g}"
    )


def _by_name(arrays: dict[str, Array]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, array in arrays.items():
        last = re.split(r"[./]", name)[-1].lower()
        # `running_mean` of a layer that is called `scale`: the end of a name tells.
        role = next((role for role, words in _ROLES.items() if re.search(words, last)), "")
        if role and role not in found:
            found[role] = array
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")
