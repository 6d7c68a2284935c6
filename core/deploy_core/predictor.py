"""What everything that can answer a prediction has in common."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from deploy_core.signature import Signature, Tensors


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
