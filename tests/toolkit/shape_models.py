"""Models whose sizes are not only a batch, for the tests of dynamic and of fixed dimensions."""

from __future__ import annotations

import torch
from torch import nn


class Words(nn.Module):
    """A table of words, a table of positions, a mask."""

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.positions = nn.Embedding(positions, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.words(ids) + self.positions(torch.arange(ids.shape[1]))
        return self.head(x) * mask.unsqueeze(-1)


class UNet(nn.Module):
    """Halves an image three times and doubles it again: its sizes must be multiples of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.down = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(4, 4, 2, stride=2) for _ in range(3)])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(image))
        kept = []
        for down in self.down:
            kept.append(x)
            x = torch.relu(down(nn.functional.max_pool2d(x, 2)))
        for up, left in zip(self.up, reversed(kept), strict=True):
            x = up(x) + left
        return x


class Padded(nn.Module):
    """Pads words to eight by a Python number, which a trace keeps for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 8)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.words(ids)
        if x.shape[1] < 12:
            return x.cumsum(1) * 2
        return x.cumsum(1)


class OneRow(nn.Module):
    """Takes one row and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.head(x.reshape(1, 6)), dim=-1)


class Tagged(nn.Module):
    """An image and the number of its kind: what phones want otherwise than torch has it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.kinds = nn.Embedding(7, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, image: torch.Tensor, kind: torch.Tensor) -> dict[str, torch.Tensor]:
        x = torch.relu(self.first(image)) + self.kinds(kind)[:, :, None, None]
        return {"map": self.head(x), "best": x.mean(dim=(2, 3)).argmax(-1)}


def _seeded(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.5)
    return model.eval()


words = _seeded(Words(64))
few_positions = _seeded(Words(20))
unet = _seeded(UNet())
branching = _seeded(Padded())


def one_row() -> tuple[nn.Module, torch.Tensor]:
    return _seeded(OneRow()), torch.linspace(-1, 1, 6).reshape(1, 6)


def tagged() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    image = torch.rand(2, 3, 8, 6, generator=torch.Generator().manual_seed(1))
    return _seeded(Tagged()), (image, torch.tensor([3, 1]))
