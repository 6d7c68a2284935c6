"""A model that was looked into: what it was given, what it answered, and every tensor between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from deploy_agreement.figures import deviation, eps, magnitude, spread
from deploy_agreement.tolerances import nudges
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.predictor import HasIntermediates, Intermediate, Predictor
from deploy_core.signature import Array, Tensors

_NUDGES = 2
_NOISE_FACTOR = (
    16.0  # of a tensor that two inputs one ULP apart have moved: twice that of an output, measured over fewer
)
_SPREAD_FACTOR = 32.0  # in eps: what one operator's sums in another order are apart
# TF32 has the bits of float16 behind the point.
COARSE = {"float16": eps("float16"), "bfloat16": eps("bfloat16"), "TF32": eps("float16"), "int8": 2.0**-8}


class Inspectable(Predictor, HasIntermediates, Protocol):
    """A Predictor that has intermediates."""


@dataclass(frozen=True)
class Seen:
    """A model looked into; `noise` is by how much a tensor moves by rounding alone, where that was measured.

    `unsteady` are the tensors that had other values when the same was asked once more, by more than rounding explains.
    """

    name: str
    inputs: Tensors
    outputs: Tensors
    steps: tuple[Intermediate, ...]
    noise: Mapping[str, float] = field(default_factory=dict)
    unsteady: frozenset[str] = frozenset()


def look(name: str, predictor: Inspectable, inputs: Tensors, *, nudged: bool = False) -> Seen:
    """Look into a model twice, or four times with `nudged`, which measures its noise by inputs moved to the next float."""
    outputs = predictor.predict(inputs)
    steps = tuple(predictor.intermediates(inputs))
    unsteady = frozenset(_unsteady(steps, predictor.intermediates(inputs)))
    noise: dict[str, float] = {}
    floats = any(array.dtype.kind == "f" for array in inputs.values())
    random = np.random.default_rng(0)
    for _ in range(_NUDGES if nudged and floats else 0):
        again = {step.name: step.value for step in predictor.intermediates(_nudged(inputs, random))}
        for step in steps:
            noise[step.name] = max(noise.get(step.name, 0.0), _moved(step.value, again.get(step.name)))
    return Seen(name, inputs, outputs, steps, noise, unsteady)


def limit(value: Array, noise: float, *, precision: str = "", tight: float = 1.0) -> float:
    """Give how far the same tensor of another model may lie from `value`; what is not a float must be equal.

    The greatest of 16 × noise, 32 × eps × spread and 4 × eps × the greatest value, divided by `tight`. A `precision`
    scales all of it up to its own eps.
    """
    kind = dtype_name(value.dtype)
    if not is_float(kind):
        return 0.0
    coarse = max(eps(kind), eps("float32"), COARSE.get(precision, 0.0))
    size = magnitude(value)
    greatest = float(size[np.isfinite(size)].max(initial=0.0))
    rules = (
        _NOISE_FACTOR * noise * coarse / eps("float32"),
        _SPREAD_FACTOR * coarse * spread(value),
        4 * coarse * greatest,
    )
    return max(rules) / tight


def _unsteady(steps: Sequence[Intermediate], again: Sequence[Intermediate]) -> Iterator[str]:
    """Give those that lie further apart than sums in another order bring them."""
    values = {step.name: step.value for step in again}
    for step in steps:
        other = values.get(step.name)
        if (
            other is None
            or other.shape != step.value.shape
            or (step.value.size and deviation(step.value, other, nan_agrees=True).max() > limit(step.value, 0.0))
        ):
            yield step.name


def _nudged(inputs: Tensors, random: np.random.Generator) -> dict[str, Array]:
    return {name: nudges.nudged(array, random, narrow=False) for name, array in inputs.items()}


def _moved(value: Array, again: Array | None) -> float:
    if again is None or again.shape != value.shape or not is_float(dtype_name(value.dtype)):
        return 0.0
    apart = deviation(value, again)
    finite = apart[np.isfinite(apart)]
    return float(finite.max()) if finite.size else 0.0
