"""The demo's models in PyTorch, and their training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deploy_toolkit.demo.data import Floats


class SimpleNet(nn.Module):
    """Linear(6, 3) – ReLU – Linear(3, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 3)
        self.output = nn.Linear(3, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[batch, 6] → [batch, 1]."""
        return self.output(torch.relu(self.hidden(features)))


class Block(nn.Module):
    """Two convolutions with batch norm around a shortcut; halves height and width."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Conv2d(before, after, 1, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """[batch, before, h, w] → [batch, after, h/2, w/2]."""
        inner = torch.relu(self.norm1(self.conv1(image)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(image))


class SimpleCNN(nn.Module):
    """Two residual blocks, global average pooling, a dense head."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = Block(3, 8)
        self.block2 = Block(8, 16)
        self.output = nn.Linear(16, 2)

    def forward(self, image: Tensor) -> Tensor:
        """[batch, 3, 16, 16] → [batch, 2]."""
        return self.output(self.block2(self.block1(image)).mean(dim=(2, 3)))


def train(model: nn.Module, x: Floats, y: Floats, *, epochs: int, rate: float) -> list[float]:
    """Fit by SGD with momentum on the mean squared error, in batches of 64; leave `model` in eval mode, give the losses."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    losses = []
    for _ in range(epochs):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(torch.from_numpy(x)[rows]), torch.from_numpy(y)[rows])
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(rows)
        losses.append(total / len(x))
    model.eval()
    return losses


def trained(model: type[nn.Module], x: Floats, y: Floats, *, epochs: int, rate: float, seed: int = 0) -> nn.Module:
    """Give a freshly seeded and trained model of that class, the global random state left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = model()
        train(made, x, y, epochs=epochs, rate=rate)
    return made
