"""The second model of the benchmark: a residual network for 3×64×64 images, of about 0.6 million weights."""

from __future__ import annotations

import torch
from torch import nn

ROWS, SIZE = 8, 64


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(width, out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.around = nn.Conv2d(width, out, 1, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Answer one batch."""
        return torch.relu(self.path(x) + self.around(x))


class Cnn(nn.Module):
    """Three blocks between a first convolution and a last linear layer."""

    def __init__(self) -> None:
        super().__init__()
        first = nn.Conv2d(3, 32, 3, stride=2, padding=1)
        self.body = nn.Sequential(first, Block(32, 64, 2), Block(64, 128, 2), Block(128, 128, 1))
        self.head = nn.Linear(128, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Answer one batch of images."""
        answer: torch.Tensor = self.head(self.body(image).mean(dim=(2, 3)))
        return answer


def net() -> tuple[nn.Module, torch.Tensor]:
    """Give the model and an example of its inputs."""
    torch.manual_seed(0)
    return Cnn().eval(), torch.randn(ROWS, 3, SIZE, SIZE)
