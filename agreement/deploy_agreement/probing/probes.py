"""Inputs that every predictor is asked, with the right answers to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from deploy_agreement.figures import deviation
from deploy_agreement.probing import doubt
from deploy_agreement.rows import concatenated
from deploy_agreement.scales import wide
from deploy_agreement.tolerances.rounding import Noise
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import DeployError
from deploy_core.predictor import HasFloat64, Predictor
from deploy_core.signature import Array, Tensors

_AWAY = 2.0**-19  # of an input's own size, 16 units in the last place of float32
_PAIRS = 1  # of inputs moved there and back
_MORE_PAIRS = 4  # for integers, whose ties are seen only if what ties moves apart


@dataclass(frozen=True)
class Probe:
    """Named inputs, the reference's own answers, and how much these move by rounding alone.

    `sizes` are those of symbols that differ from the golden inputs, `times` how many times as much as for these each output
    moves there. With `counts` false a difference is told, and no
    disagreement. `label` says which inputs of that name these are. `unsure` says by output how unsure of each element the
    reference itself is: see `doubt`. `shaky` is by output how far it moves at elements where that
    is more than is tolerated for the golden ones, else 0. If it refuses the inputs, `refused` says why, and there are no
    outputs. `refusable` inputs may be refused by others, too, but not answered otherwise.
    """

    name: str  # golden, drawn, edges, given, or sizes: `height = 13`
    inputs: Tensors
    outputs: Tensors
    noise: Noise
    sizes: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)
    counts: bool = True
    label: str = ""
    unsure: Mapping[str, Array] = field(default_factory=dict)
    shaky: Mapping[str, Array] = field(default_factory=dict)
    refused: str = ""
    refusable: bool = False

    @property
    def sure(self) -> bool:
        """Whether there is an element to hold anybody to."""
        return any(array.size and not self._doubtful(name).all() for name, array in self.outputs.items())

    @property
    def without_numbers(self) -> str:
        """The first output of which nothing but NaN is wanted; empty if there is none."""
        return next((name for name, array in self.outputs.items() if array.size and doubt.nan(array).all()), "")

    def _doubtful(self, name: str) -> Array:
        return np.asarray(self._grades(name) != doubt.SURE)

    def _grades(self, name: str) -> Array:
        return np.broadcast_to(self.unsure.get(name, np.uint8(doubt.SURE)), self.outputs[name].shape)

    def settled(self, got: Tensors) -> tuple[dict[str, Array], dict[str, Array]]:
        """Give wanted and got outputs with zeros in both where nobody is held to the value.

        That is where the reference is unsure, where both are NaN, and where they lie no further apart than the reference
        moves there by rounding. What is no number where the reference clearly has one stays.
        """
        want, seen = dict(self.outputs), dict(got)
        for name, array in self._comparable(got):
            aside = (doubt.nan(array) & doubt.nan(got[name])) | self._doubtful(name)
            if name in self.unsure:
                aside &= (self._grades(name) != doubt.CLEAR) | doubt.finite(got[name])
            if name in self.shaky:
                aside |= deviation(wide(got[name]), array) <= np.where(self.shaky[name] > 0, self.shaky[name], -1)
            if aside.any():
                want[name], seen[name] = _without(array, aside), _without(got[name], aside)
        return want, seen

    def strays(self, got: Tensors) -> str:
        """Say what is no number where the reference always has one, though it is unsure which; empty if nothing is."""
        for name in [name for name, _ in self._comparable(got) if name in self.unsure]:
            found = (self._grades(name) >= doubt.NUMBER) & ~doubt.finite(got[name])
            if found.any():
                at = tuple(map(int, np.argwhere(found)[0]))
                return f"output {name!r} is {got[name][at]} at {list(at)}, where the reference has a number"
        return ""

    def _comparable(self, got: Tensors) -> Iterator[tuple[str, Array]]:
        return ((n, array) for n, array in self.outputs.items() if n in got and got[n].shape == array.shape)


def answered(
    reference: Predictor,
    name: str,
    inputs: Tensors,
    measured: Noise,
    *,
    label: str = "",
    counts: bool = True,
    refusable: bool = False,
    scales: Mapping[str, float] | None = None,
) -> Probe:
    """Ask the reference, and how sure it is. `measured` is its noise on the golden inputs, the least that holds here.

    With `scales`, the size of golden inputs, these are too few and too far from the golden ones to say which element moves by
    how much: all have the greatest noise, also that of inputs moved by some units in the last place of that size. So
    a layer that divides by the spread of what is all the same, and makes much of any rounding, accuses nobody.

    It is not sure of an element that its answer in float64, or to inputs moved by some units in the last place, has
    otherwise: with another finiteness, as another integer, or by a jump. Raises what the reference does.
    """
    outputs = reference.predict(inputs)
    exact = _exact(reference, inputs)
    pairs = _PAIRS if _are_floats(outputs) else _MORE_PAIRS
    moved = [reference.predict(one) for one in _all_moved(inputs, pairs, scales)]
    others = [*moved, *([exact] if exact else [])]
    unsure = {key: doubt.unsure(array, [other[key] for other in others]) for key, array in outputs.items()}
    own = doubt.all_apart(outputs, exact or outputs, unsure)
    if scales is not None:
        own = _greatest(own, *(doubt.all_apart(outputs, one, unsure) for one in moved))
    noise = _noise(measured, own)
    marked = {key: doubt.graded(mask, outputs[key], others, key, exact) for key, mask in unsure.items() if mask.any()}
    shaky = {} if scales is not None else doubt.shaky(noise, outputs, moved, unsure)
    return Probe(
        name, inputs, outputs, noise, counts=counts, label=label, unsure=marked, shaky=shaky, refusable=refusable
    )


def refused(name: str, inputs: Tensors, why: str, *, label: str = "") -> Probe:
    """Give inputs that the reference does not take."""
    return Probe(name, inputs, {}, Noise({}, "none"), counts=False, label=label, refused=why)


def joined(probes: Sequence[Probe], axes: tuple[Mapping[str, int], Mapping[str, int]]) -> Probe:
    """Give several probes of one kind as one, by the axes of the rows of inputs and outputs."""
    first = probes[0]
    if len(probes) == 1:
        return first
    values: dict[str, Any] = {}
    for name in first.outputs:
        values[name] = reduce(np.maximum, (probe.noise.values.get(name, 0.0) for probe in probes))
    return Probe(
        first.name,
        concatenated([probe.inputs for probe in probes], axes[0]),
        concatenated([probe.outputs for probe in probes], axes[1]),
        Noise(values, first.noise.origin),
        counts=first.counts,
        label=first.label,
        unsure=_all_rows(probes, [probe.unsure for probe in probes], axes[1]),
        shaky=_all_rows(probes, [probe.shaky for probe in probes], axes[1]),
    )


def _all_rows(
    probes: Sequence[Probe], marks: Sequence[Mapping[str, Array]], axes: Mapping[str, int]
) -> dict[str, Array]:
    """Give marks of several probes as one, of those outputs that have any."""
    named = {name: mask.dtype for each in marks for name, mask in each.items()}
    full = [
        {name: each.get(name, np.zeros(probe.outputs[name].shape, kind)) for name, kind in named.items()}
        for probe, each in zip(probes, marks, strict=True)
    ]
    return concatenated(full, axes)


def _exact(reference: Predictor, inputs: Tensors) -> Tensors | None:
    if not isinstance(reference, HasFloat64):
        return None
    try:
        return reference.predict_float64(inputs)
    except DeployError:  # a model with float32 written into it has no float64; its answers to moved inputs remain
        return None


def are_flags(array: Array) -> bool:
    """Tell whether values say yes or no: booleans, and numbers that are all 0 or 1, as a mask's are."""
    kind = array.dtype.kind
    return kind == "b" or (kind in "iuf" and bool(array.size) and bool(((array == 0) | (array == 1)).all()))


def _are_floats(outputs: Tensors) -> bool:
    return all(is_float(dtype_name(array.dtype)) for array in outputs.values())


def _all_moved(inputs: Tensors, pairs: int, scales: Mapping[str, float] | None) -> Iterator[Tensors]:
    if any(array.dtype.kind == "f" for array in inputs.values()):
        for seed, way in product(range(pairs), (1, -1)):
            random = np.random.default_rng(seed)
            yield {
                name: _away(array, random, way, None if scales is None else scales.get(name, 0.0))
                for name, array in inputs.items()
            }


def _away(array: Array, random: np.random.Generator, way: int, scale: float | None) -> Array:
    if array.dtype.kind != "f" or (are_flags(array) and not scale):
        return array
    by = way * _AWAY * random.uniform(-1, 1, array.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(array * (1 + by) + (scale or 0.0) * by).astype(array.dtype)


def _noise(measured: Noise, own: Tensors) -> Noise:
    values: dict[str, Any] = {}
    for name, array in own.items():
        known = np.asarray(measured.values.get(name, 0.0), np.float64)
        values[name] = np.maximum(known, _pooled(array, known.shape))
    return Noise(values, measured.origin)


def _greatest(*each: Tensors) -> dict[str, Array]:
    return {name: np.asarray(max(float(one[name].max(initial=0.0)) for one in each)) for name in each[0]}


def _pooled(own: Array, shape: tuple[int, ...]) -> Array:
    """Give the greatest of each place that noise of that shape knows; of all, if the shapes have nothing in common."""
    if len(shape) != own.ndim or any(size not in (1, there) for size, there in zip(shape, own.shape, strict=True)):
        return np.asarray(own.max(initial=0.0))
    axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return np.asarray(own.max(axis=axes, keepdims=True, initial=0.0))


def _without(array: Array, aside: Array) -> Array:
    kept = array.copy()
    kept[aside] = b"" if dtype_name(array.dtype) == "string" else 0
    return kept
