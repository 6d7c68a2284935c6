"""The model in which faults are planted: convolution, batch norm, GELU, softmax, two outputs; and each faulty form of it."""

from __future__ import annotations

import copy
from collections.abc import Callable

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


def _edited(edit: Callable[[Probe], None]) -> nn.Module:
    model = copy.deepcopy(probe()[0])
    assert isinstance(model, Probe)
    with torch.no_grad():
        edit(model)
    return model.eval()


def _transpose(model: Probe) -> None:
    model.square.weight.copy_(model.square.weight.T.clone())


def _one_percent(model: Probe) -> None:
    row, column = divmod(int(model.value.weight.abs().argmax()), 8)
    model.value.weight[row, column] *= 1.01


def _epsilon(model: Probe) -> None:
    model.norm.eps = 1e-3


def _tanh(model: Probe) -> None:
    model.act = nn.GELU(approximate="tanh")


def _nan(model: Probe) -> None:
    model.value.bias[0] = float("nan")


class _Around(nn.Module):
    """The true probe with something wrong before or behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = probe()[0]


class Swapped(_Around):
    """Each output under the other's name."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        outputs = self.inner(image)
        return {"scores": outputs["value"], "value": outputs["scores"]}


class RowsMixedUp(_Around):
    """The right answers in a batch, each for its neighbour."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        outputs = self.inner(image)
        return {"scores": outputs["scores"].roll(1, 0), "value": outputs["value"].roll(1, 0)}


class WrongLayout(_Around):
    """Reads the memory of an NCHW image as NHWC."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.inner(image.reshape(-1, 8, 8, 3).permute(0, 3, 1, 2))


class SoftmaxTwice(_Around):
    """A softmax too many."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        outputs = self.inner(image)
        return {"scores": torch.softmax(outputs["scores"], dim=1), "value": outputs["value"]}


FAULTY: dict[str, Callable[[], nn.Module]] = {
    "transposed-weight": lambda: _edited(_transpose),
    "one-weight-off-by-1-percent": lambda: _edited(_one_percent),
    "batch-norm-epsilon": lambda: _edited(_epsilon),
    "gelu-by-tanh": lambda: _edited(_tanh),
    "nan": lambda: _edited(_nan),
    "swapped-outputs": Swapped,
    "rows-mixed-up": RowsMixedUp,
    "nchw-read-as-nhwc": WrongLayout,
    "softmax-too-many": SoftmaxTwice,
}
