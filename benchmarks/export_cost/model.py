"""The model that the benchmark exports: a residual network of about three million weights, drawn from a fixed seed."""

from __future__ import annotations

import torch
from torch import nn

ROWS, SIZE = 2, 32


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(width, out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.around = nn.Conv2d(width, out, 1, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Answer one batch."""
        return torch.relu(self.path(x) + self.around(x))


class Net(nn.Module):
    """Three blocks between a first convolution and a last linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 48, 3, padding=1), Block(48, 96), Block(96, 192), Block(192, 384))
        self.head = nn.Linear(384, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Answer one batch of images."""
        return self.head(self.body(image).mean(dim=(2, 3)))


def net() -> tuple[nn.Module, torch.Tensor]:
    """Give the model and an example of its inputs."""
    torch.manual_seed(0)
    return Net().eval(), torch.randn(ROWS, 3, SIZE, SIZE)
