"""A model that 8 bits cannot hold: one feature is so large that all others lie within its first step."""

from __future__ import annotations

import torch
from torch import nn


class Lopsided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(7, 3)
        with torch.no_grad():
            self.output.weight.copy_(torch.linspace(-1, 1, 21).reshape(3, 7))
            self.output.weight[:, 6] = 1e-6

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        large = x[:, :1].abs() * 10 + 1e5
        return self.output(torch.cat([x, large], dim=1))


def lopsided() -> tuple[nn.Module, torch.Tensor]:
    return Lopsided().eval(), torch.linspace(-1, 1, 384).reshape(64, 6)
