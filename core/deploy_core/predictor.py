"""What everything that can answer a prediction has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from deploy_core.signature import Array, Signature, Tensors


@runtime_checkable
class Predictor(Protocol):
    """A model in memory, an exported file in its runtime, or a live endpoint."""

    @property
    def signature(self) -> Signature:
        """The named inputs and outputs."""

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch: arrays keyed by input name in, arrays keyed by output name out."""

    def close(self) -> None:
        """Let go of processes, connections and memory; may be called twice."""


@runtime_checkable
class HasFloat64(Protocol):
    """A predictor that can also compute in float64, which shows how much of an output is rounding."""

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer the same inputs (given in their own dtypes) with all arithmetic in float64."""


@dataclass(frozen=True)
class Intermediate:
    """A tensor inside a model: what its runtime calls it, its value, the operator that made it, and from what.

    `layer` is the name that its source gave the place, `features.1` or `block1_conv1`, where the file keeps it. `inputs`
    are names of other intermediates, of inputs or of weights; `weights` are the constants among them.
    """

    name: str
    value: Array
    operator: str
    inputs: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    layer: str = ""


@runtime_checkable
class HasIntermediates(Protocol):
    """A predictor that can be looked into."""

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside for one batch, in the order of computation, outputs last; weights are not among them."""


@runtime_checkable
class HasGradient(Protocol):
    """A predictor that can be differentiated."""

    def gradient(self, inputs: Tensors, weights: Tensors) -> Tensors:
        """Give d(Σ weights · outputs) / d(input) for every float input; `weights` are shaped like the outputs they name."""
