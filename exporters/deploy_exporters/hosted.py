"""A Predictor whose model lives in a worker."""

from __future__ import annotations

from typing import Any

from deploy_core.signature import Signature, Tensors
from deploy_exporters.worker import Worker

_HOSTING = "deploy_exporters.hosting"


class Hosted:
    """An opened source or a loaded file in a worker, by the number under which the worker keeps it."""

    def __init__(self, worker: Worker, number: int, signature: Signature) -> None:
        self.worker = worker
        self.number = number
        self._signature = signature
        self._closed = False

    @property
    def signature(self) -> Signature:
        """The named inputs and outputs."""
        return self._signature

    def predict(self, inputs: Tensors) -> Tensors:
        """Answer one batch. Raises ExportError if the worker died."""
        return self.call("predict", inputs)

    def close(self) -> None:
        """Let the worker forget it; may be called twice."""
        if not self._closed and self.worker.alive:
            self.worker.call(f"{_HOSTING}:close", self.number)
        self._closed = True

    def call(self, function: str, inputs: Tensors) -> dict[str, Any]:
        """Call a function of `hosting` that answers a batch."""
        arrays = self._signature.conform(inputs)
        answer: dict[str, Any] = self.worker.call(f"{_HOSTING}:{function}", self.number, arrays)
        return answer


class HostedExact(Hosted):
    """One that can also compute in float64, which shows how much of an output is rounding."""

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer the same inputs with all arithmetic in float64."""
        return self.call("predict_float64", inputs)
