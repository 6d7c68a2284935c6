"""Small torch models to export, each with fixed weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn


class SimpleNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 3)
        self.second = nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.norm(self.conv(x)))


class ResidualCnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.head = nn.Linear(8, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(image)).mean(dim=(2, 3)))


class TwoHeads(nn.Module):
    """Two inputs of different dtypes, a dict of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 5)
        self.body = nn.Linear(5, 4)

    def forward(self, tokens: torch.Tensor, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        pooled = self.words(tokens).mean(dim=1) * weight
        return {"scores": torch.softmax(self.body(pooled), dim=-1), "pooled": nn.functional.gelu(pooled)}


class Pair(NamedTuple):
    low: torch.Tensor
    high: torch.Tensor


class NamedPair(nn.Module):
    def forward(self, x: torch.Tensor) -> Pair:
        return Pair(x.amin(dim=1), x.amax(dim=1))


class Branches(nn.Module):
    """A trace takes one branch for ever; a script keeps both."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] > 2:
            return x * 2
        return x * 3


class DropoutNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(x)


class Nan(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(-torch.abs(x) - 1)


class FrozenBatch(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(2, 6) + torch.ones(2, 6)


class Cond(nn.Module):
    """A choice by value, as torch.export takes it and TorchScript does not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x * 3, (x,))


def _seeded(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.9 + 0.05)
        for parameter in model.parameters():
            parameter.sub_(0.5)
    return model


simple = _seeded(SimpleNet())
cnn = _seeded(ResidualCnn())
heads = _seeded(TwoHeads())
not_a_model = 42


def simple_with_example() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    return simple, {"x": torch.linspace(-1, 1, 24).reshape(4, 6)}


def cnn_with_example() -> tuple[nn.Module, torch.Tensor]:
    return cnn, torch.linspace(-1, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)


def heads_with_example() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    return heads, (torch.arange(14).reshape(2, 7) % 11, torch.linspace(0.1, 1, 2).reshape(2, 1))


def branches() -> tuple[nn.Module, torch.Tensor]:
    return Branches(), torch.ones(2, 6)


def pair() -> tuple[nn.Module, torch.Tensor]:
    return NamedPair(), torch.ones(2, 6)


def nan() -> tuple[nn.Module, torch.Tensor]:
    return Nan(), torch.ones(2, 6)


def frozen() -> tuple[nn.Module, torch.Tensor]:
    return FrozenBatch(), torch.ones(2, 6)


def cond() -> tuple[nn.Module, torch.Tensor]:
    return Cond(), torch.ones(2, 6)


def dropout() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    return DropoutNet().train(), {"x": torch.ones(2, 6)}


def raises() -> nn.Module:
    raise ValueError("no weights today")


def program() -> torch.export.ExportedProgram:
    dynamic = ({0: torch.export.Dim.DYNAMIC}, {0: torch.export.Dim.DYNAMIC})
    return torch.export.export(heads, heads_with_example()[1], dynamic_shapes=dynamic)


def frozen_program() -> torch.export.ExportedProgram:
    return torch.export.export(simple, (torch.ones(2, 6),))


class Returns(nn.Module):
    """Answers what the function makes of its input."""

    def __init__(self, made: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.made = made

    def forward(self, x: torch.Tensor) -> object:
        return self.made(x)


nested = (Returns(lambda x: {"p": x + 1, "q": (x, x)}), torch.ones(2, 6))
equal_names = (Returns(lambda x: {0: x + 1, "0": x + 2}), torch.ones(2, 6))
name_of_input = (Returns(lambda x: {"x": x + 1}), torch.ones(2, 6))


class OfBools(nn.Module):
    def forward(self, keep: torch.Tensor, count: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"kept": torch.where(keep, count, count * 0), "none": ~keep.any(dim=1)}


class OfHalves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4).half()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def of_bools() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    return OfBools(), (torch.arange(8).reshape(2, 4) % 3 == 0, torch.arange(8).reshape(2, 4))


def of_halves() -> tuple[nn.Module, torch.Tensor]:
    return _seeded(OfHalves()), torch.linspace(-1, 1, 12).reshape(2, 6).half()


def tuples() -> tuple[nn.Module, torch.Tensor]:
    return Returns(lambda x: (x + 1, {"inner": x}["inner"].sum(dim=1), x > 0)), torch.linspace(-1, 1, 12).reshape(2, 6)


def lightning() -> nn.Module:
    """A LightningModule as training leaves it: hyperparameters, metrics in lists, an optimizer to configure."""
    import lightning

    class Lit(lightning.LightningModule):
        def __init__(self, width: int = 4) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, 2))
            self.example_input_array = torch.linspace(-1, 1, 12).reshape(2, 6)
            self.losses: list[torch.Tensor] = [torch.ones(1)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
            loss = self(batch).mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return _seeded(Lit())
