"""Predictors of plain numpy: a function of named arrays with a signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from deploy_core.signature import Signature, Tensors, TensorSpec

Answer = Callable[[Tensors], dict[str, np.ndarray]]


@dataclass
class Numpy:
    """Answers with `answer`; `asked` holds the number of rows of each question."""

    signature: Signature
    answer: Answer

    def __post_init__(self) -> None:
        self.asked: list[int] = []

    def predict(self, inputs: Tensors) -> Tensors:
        self.asked.append(len(next(iter(inputs.values()))))
        return self.answer(inputs)

    def close(self) -> None:
        pass


@dataclass
class Numpy64(Numpy):
    """Can answer in float64, too."""

    answer64: Answer | None = None

    def predict_float64(self, inputs: Tensors) -> Tensors:
        assert self.answer64
        return self.answer64(inputs)


def _signature(inputs: str, outputs: str) -> Signature:
    return Signature(tuple(map(TensorSpec.parse, inputs.split())), tuple(map(TensorSpec.parse, outputs.split())))


@pytest.fixture(scope="session")
def make() -> Callable[..., Numpy]:
    """`make("x:float32[batch,6]", "y:float32[batch,1]", answer, answer64=…)`."""

    def one(inputs: str, outputs: str, answer: Answer, answer64: Answer | None = None) -> Numpy:
        signature = _signature(inputs, outputs)
        return Numpy64(signature, answer, answer64) if answer64 else Numpy(signature, answer)

    return one


class SimpleNet:
    """Linear(6,3) – ReLU – Linear(3,1) with outputs of about ±5; `run` computes in the dtype of the weights."""

    def __init__(self, seed: int, dtype: type = np.float32) -> None:
        rng = np.random.default_rng(seed)
        self.w1 = rng.normal(size=(6, 3)).astype(np.float32).astype(dtype)
        self.b1 = rng.normal(size=3).astype(np.float32).astype(dtype)
        self.w2 = rng.normal(size=(3, 1)).astype(np.float32).astype(dtype)
        self.b2 = rng.normal(size=1).astype(np.float32).astype(dtype)

    def run(self, inputs: Tensors) -> dict[str, np.ndarray]:
        hidden = np.maximum(inputs["x"].astype(self.w1.dtype) @ self.w1 + self.b1, 0)
        return {"y": hidden @ self.w2 + self.b2}


@pytest.fixture(scope="session")
def simplenet() -> type[SimpleNet]:
    return SimpleNet
