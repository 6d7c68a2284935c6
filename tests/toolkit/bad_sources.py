"""Sources that go wrong, each in its own way."""

from __future__ import annotations

import os
import signal

import numpy as np
import torch

not_a_model = {"weights": 3}
example = np.ones((4, 6), np.float32)


class _Nan(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(super().forward(x) * 0 - 1)


class _RaisesWhenConverted(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            raise RuntimeError("this model does not want to be converted")
        return super().forward(x)


class _Random(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + torch.rand(len(x), 1)


class _DependsOnRows(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y - y.mean(0)


def good() -> tuple[torch.nn.Module, np.ndarray]:
    return torch.nn.Linear(6, 1), example


def nan() -> tuple[torch.nn.Module, np.ndarray]:
    return _Nan(6, 1), example


def raises_when_converted() -> tuple[torch.nn.Module, np.ndarray]:
    return _RaisesWhenConverted(6, 1), example


def random() -> tuple[torch.nn.Module, np.ndarray]:
    return _Random(6, 1), example


def rows_depend() -> tuple[torch.nn.Module, np.ndarray]:
    return _DependsOnRows(6, 1), np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)


def raises() -> torch.nn.Module:
    raise ValueError("no weights here")


def dies() -> torch.nn.Module:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def exits() -> torch.nn.Module:
    raise SystemExit(0)


def waits() -> torch.nn.Module:
    signal.pause()
    raise AssertionError
