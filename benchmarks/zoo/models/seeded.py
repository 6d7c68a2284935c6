"""Weights that are the same in every process, and no layer that does nothing: no zero bias, no mean of 0 and variance of 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

_SPREAD = 0.05


def seed() -> None:
    """Begin the sequence of random numbers that initialises a model."""
    torch.manual_seed(0)


def settled(model: nn.Module) -> nn.Module:
    """Move biases, scales and running statistics off their initial values; give the model in eval mode."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if not tensor.is_floating_point() or tensor.dim() != 1:
                continue
            moved = torch.randn(tensor.shape, generator=random) * _SPREAD
            if name.endswith("running_var"):
                tensor.copy_(tensor * (1 + moved.abs()))
            elif name.endswith(("weight", "bias", "running_mean")):
                tensor.add_(moved)
    return model.eval()


def tokens(rows: int, length: int, words: int) -> torch.Tensor:
    """Give word numbers, the least of them 3: what comes before is for padding in most vocabularies."""
    return torch.from_numpy(_random().integers(3, words, (rows, length)))


def mask(rows: int, length: int) -> torch.Tensor:
    """Give a mask that hides the end of every second row."""
    given = torch.ones(rows, length, dtype=torch.int64)
    given[::2, length - length // 3 :] = 0
    return given


def floats(*shape: int) -> torch.Tensor:
    """Give normally distributed numbers."""
    return torch.from_numpy(_random().standard_normal(shape).astype(np.float32))


def _random() -> Any:
    return np.random.default_rng(0)
