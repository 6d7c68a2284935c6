"""A Predictor whose model lives in a worker."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from deploy_core.predictor import Intermediate
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
        answer: dict[str, Any] = self.call("predict", inputs)
        return answer

    def close(self) -> None:
        """Let the worker forget it; may be called twice."""
        if not self._closed and self.worker.alive:
            self.worker.call(f"{_HOSTING}:close", self.number)
        self._closed = True

    def call(self, function: str, inputs: Tensors, *more: Any) -> Any:
        """Call a function of `hosting` with a batch."""
        return self.worker.call(f"{_HOSTING}:{function}", self.number, self._signature.conform(inputs), *more)


class HostedExact(Hosted):
    """One that can also compute in float64, which shows how much of an output is rounding."""

    def predict_float64(self, inputs: Tensors) -> Tensors:
        """Answer the same inputs with all arithmetic in float64."""
        answer: dict[str, Any] = self.call("predict_float64", inputs)
        return answer


class HostedInside(Hosted):
    """One that can also be looked into."""

    def intermediates(self, inputs: Tensors) -> Sequence[Intermediate]:
        """Give the tensors inside for one batch. Raises UsageError if they are too many to send."""
        found: list[Intermediate] = self.call("intermediates", inputs)
        return found


class HostedGradient(Hosted):
    """One that can also be differentiated."""

    def gradient(self, inputs: Tensors, weights: Tensors) -> Tensors:
        """Give d(Σ weights · outputs) / d(input) for every float input. Raises UsageError for what has no derivative."""
        answer: dict[str, Any] = self.call("gradient", inputs, dict(weights))
        return answer


# What only some predictors can do, by the method that they have for it.
ABLE: dict[str, type[Hosted]] = {
    "predict_float64": HostedExact,
    "intermediates": HostedInside,
    "gradient": HostedGradient,
}


def host(worker: Worker, number: int, signature: Signature, able: Sequence[str]) -> Hosted:
    """Give a Predictor with those further methods of `ABLE` that what is hosted has, and no others."""
    return _kind(tuple(able))(worker, number, signature)


@cache
def _kind(able: tuple[str, ...]) -> type[Hosted]:
    return type("Hosted", tuple(ABLE[name] for name in able) or (Hosted,), {})
