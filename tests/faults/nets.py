"""A model with convolution, batch norm, GELU, softmax and two outputs; retrained, and with a fault."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn


class Probe(nn.Module):
    """Small, and every layer matters: [batch, 3, 8, 8] → scores [batch, 4], value [batch, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.GELU()
        self.square = nn.Linear(8, 8)
        self.scores = nn.Linear(8, 4)
        self.value = nn.Linear(8, 4)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        pooled = self.act(self.norm(self.conv(image))).mean(dim=(2, 3))
        hidden = self.act(self.square(pooled))
        return {"scores": torch.softmax(self.scores(hidden), dim=1), "value": self.value(hidden)}


def probe(seed: int = 0) -> tuple[nn.Module, np.ndarray]:
    """A probe with random weights and running statistics as after a training, and example images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Probe()
        model.norm.running_var.uniform_(0.01, 0.2)
        model.norm.running_mean.normal_(0, 0.1)
        for layer in (model.scores, model.value):
            layer.weight.data *= 4
        images = torch.randn(64, 3, 8, 8).numpy()
    return model.eval(), images


def retrained() -> tuple[nn.Module, np.ndarray]:
    """The same architecture and images, other weights."""
    return probe(seed=1)[0], probe()[1]


def epsilon() -> nn.Module:
    """The probe with another epsilon in its batch norm."""
    model = copy.deepcopy(probe()[0])
    assert isinstance(model, Probe)
    model.norm.eps = 1e-3
    return model.eval()
