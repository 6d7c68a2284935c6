"""Torch models to quantise, with fixed weights, enough of them for the converters to care."""

from __future__ import annotations

import torch
from torch import nn


class Pooling(nn.Module):
    """A CNN whose max pooling has a border, which TFLite has not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 32, 3, padding=1)
        self.head = nn.Linear(32, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.first(image)), 3, 2, padding=1)
        x = nn.functional.max_pool2d(self.second(x), 3, 2, padding=1)
        return self.head(x.mean(dim=(2, 3)))


class Words(nn.Module):
    """Integers in, a float and an integer out, and a sine, which TFLite has in float only."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 32)
        self.body = nn.Linear(32, 48)
        self.head = nn.Linear(48, 4)

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        scores = self.head(torch.sin(self.body(self.words(tokens).mean(dim=1))))
        return {"scores": scores, "best": scores.argmax(dim=1)}


def _seeded(kind: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return kind().eval()


def _random() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def pooling() -> tuple[nn.Module, torch.Tensor]:
    return _seeded(Pooling), torch.randn(64, 3, 16, 16, generator=_random())


def words() -> tuple[nn.Module, torch.Tensor]:
    return _seeded(Words), torch.randint(0, 50, (64, 9), generator=_random())
