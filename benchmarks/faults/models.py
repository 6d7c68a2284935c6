"""The honest models: small, seeded, with weights as after a training; functions for `deploy export`."""

# mypy: disable-error-code="operator, union-attr"
# ruff: noqa: D102, D103  forward is what the class says, a function gives the model of its name
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Inputs = dict[str, np.ndarray]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WORDS, STEPS = 1000, 16
PRICES = (3_000_017, 7, 1_048_573, 11)


class Scorer(nn.Module):
    """A classifier of rows: features [batch, 16] → scores [batch, 5]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 32)
        self.drop = nn.Dropout(0.1)
        self.act = nn.GELU()
        self.second = nn.Linear(32, 32)
        self.third = nn.Linear(32, 32)
        self.last = nn.Linear(32, 5)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        hidden = self.drop(self.act(self.first(features)))
        hidden = torch.tanh(self.third(torch.relu(self.second(hidden))))
        return {"scores": torch.softmax(self.last(hidden), dim=1)}


class Vision(nn.Module):
    """A convolutional classifier: image [batch, 3, 16, 16] → logits [batch, 4]; padded as TensorFlow pads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.GELU()
        self.down = nn.Conv2d(8, 8, 3, stride=2)
        self.again = nn.BatchNorm2d(8)
        self.last = nn.Linear(8 * 8 * 8, 4)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        hidden = self.act(self.norm(self.conv(image)))
        hidden = torch.relu(self.again(self.down(functional.pad(hidden, [0, 1, 0, 1]))))
        return {"logits": self.last(hidden.flatten(1))}


class Reader(nn.Module):
    """A classifier of texts: tokens, mask [batch, steps] → classes [batch, 3]."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, 16)
        self.places = nn.Embedding(64, 16)
        self.query = nn.Linear(16, 16)
        self.key = nn.Linear(16, 16)
        self.value = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)
        self.wide = nn.Linear(16, 32)
        self.act = nn.GELU()
        self.last = nn.Linear(32, 3)

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        kept = mask.to(torch.float32)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return {"classes": self.classes(self.words(tokens) + self.places(places), kept)}

    def classes(self, hidden: Tensor, kept: Tensor) -> Tensor:
        weights = torch.matmul(self.query(hidden), self.key(hidden).transpose(1, 2)) / 4.0
        weights = torch.softmax(weights + (kept.unsqueeze(1) - 1.0) * 10000.0, dim=2)
        hidden = self.norm(hidden + torch.matmul(weights, self.value(hidden)))
        hidden = self.act(self.wide(hidden)) * kept.unsqueeze(2)
        pooled = hidden.sum(1) / kept.sum(1, keepdim=True).clamp(min=1.0)
        return self.last(pooled)


class Counter(nn.Module):
    """Money and a recommendation: amounts [batch, 4], user [batch] → total [batch], both int64, and offers [batch, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("prices", torch.tensor(PRICES))
        self.users = nn.Embedding(500, 8)
        self.offers = nn.Linear(8, 6)

    def forward(self, amounts: Tensor, user: Tensor) -> dict[str, Tensor]:
        # Added one by one: ONNX Runtime's ReduceSum adds int64 in float64, which is off beyond 2^53.
        paid = amounts * self.prices
        return {"total": paid[:, 0] + paid[:, 1] + paid[:, 2] + paid[:, 3], "offers": self.offers(self.users(user))}


class Heads(nn.Module):
    """A detector's end: features [batch, 12] → corners and sizes [batch, 4], kind int64 [batch]."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(12, 24)
        self.corners = nn.Linear(24, 4)
        self.sizes = nn.Linear(24, 4)
        self.kinds = nn.Linear(24, 7)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        hidden = functional.silu(self.trunk(features))
        kind = self.kinds(hidden).argmax(dim=1)
        return {"corners": self.corners(hidden), "sizes": self.sizes(hidden), "kind": kind}


class Photo(nn.Module):
    """A classifier with its preprocessing inside: image uint8 [batch, 3, 24, 24] → scores [batch, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).reshape(1, 3, 1, 1))
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.last = nn.Linear(8 * 8 * 8, 4)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"scores": self.scores(self.prepared(image))}

    def prepared(self, image: Tensor) -> Tensor:
        pixels = functional.interpolate(image.to(torch.float32), size=[16, 16], mode="bilinear", align_corners=False)
        return (pixels / 255.0 - self.mean) / self.std

    def scores(self, pixels: Tensor) -> Tensor:
        return torch.softmax(self.last(torch.relu(self.conv(pixels)).flatten(1)), dim=1)


class Forecast(nn.Module):
    """A recurrent model: series [batch, 12, 6] → forecast [batch, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True)
        self.last = nn.Linear(8, 2)

    def forward(self, series: Tensor) -> dict[str, Tensor]:
        steps, _ = self.lstm(series)
        return {"forecast": self.last(steps[:, -1])}


class Sensor(nn.Module):
    """A recurrent model in both directions: signal [batch, 10, 4] → level [batch, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 8, batch_first=True, bidirectional=True)
        self.last = nn.Linear(16, 2)

    def forward(self, signal: Tensor) -> dict[str, Tensor]:
        steps, _ = self.gru(signal)
        return {"level": self.last(steps.mean(1))}


def _made(kind: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A model with weights and running statistics as after a training: larger than at the start, no two layers alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind()
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_var.uniform_(0.01, 0.3)
                layer.running_mean.normal_(0, 0.1)
                layer.weight.data.uniform_(0.5, 1.5)
            elif isinstance(layer, nn.Linear | nn.Conv2d):
                layer.weight.data *= 2
    return model.eval()


def _texts(rng: np.random.Generator, rows: int) -> Inputs:
    lengths = rng.integers(3, STEPS + 1, (rows, 1))
    mask = (np.arange(STEPS) < lengths).astype(np.int64)
    return {"tokens": rng.integers(1, WORDS, (rows, STEPS)) * mask, "mask": mask}


def _photos(rng: np.random.Generator, rows: int) -> Inputs:
    """Blobs and edges with some noise, as photos have; another mean in each colour."""
    coarse = rng.uniform(0, 255, (rows, 3, 6, 6)).repeat(4, axis=2).repeat(4, axis=3)
    tint = rng.uniform(0.4, 1.0, (rows, 3, 1, 1))
    return {"image": np.clip(coarse * tint + rng.normal(0, 12, coarse.shape), 0, 255).astype(np.uint8)}


def scorer(seed: int = 0) -> tuple[nn.Module, Inputs]:
    return _made(Scorer, seed), _floats(features=(16,))


def vision(seed: int = 0) -> tuple[nn.Module, Inputs]:
    return _made(Vision, seed), _floats(image=(3, 16, 16))


def reader(seed: int = 0) -> tuple[nn.Module, Inputs]:
    return _made(Reader, seed), _texts(_rng(), 64)


def counter(seed: int = 0) -> tuple[nn.Module, Inputs]:
    rng = _rng()
    amounts = rng.integers(0, 5_000_000_000, (64, 4))
    return _made(Counter, seed), {"amounts": amounts, "user": rng.integers(0, 500, 64)}


def heads(seed: int = 0) -> tuple[nn.Module, Inputs]:
    return _made(Heads, seed), _floats(features=(12,))


def photo(seed: int = 0) -> tuple[nn.Module, Inputs]:
    return _made(Photo, seed), _photos(_rng(), 64)


def forecast(seed: int = 0) -> tuple[nn.Module, Inputs]:
    return _made(Forecast, seed), _floats(series=(12, 6))


def sensor(seed: int = 0) -> tuple[nn.Module, Inputs]:
    return _made(Sensor, seed), _floats(signal=(10, 4))


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _floats(**shapes: tuple[int, ...]) -> Inputs:
    return {name: _rng().standard_normal((64, *shape)).astype(np.float32) for name, shape in shapes.items()}


def random_inputs(name: str) -> Inputs:
    """One random input, as the usual check draws it: normal floats, any token, a mask of ones, any pixel."""
    rng = np.random.default_rng(0)
    made: dict[str, Callable[[], Inputs]] = {
        "scorer": lambda: {"features": _normal(rng, 1, 16)},
        "vision": lambda: {"image": _normal(rng, 1, 3, 16, 16)},
        "reader": lambda: {"tokens": rng.integers(0, WORDS, (1, STEPS)), "mask": np.ones((1, STEPS), np.int64)},
        "counter": lambda: {"amounts": rng.integers(0, 100, (1, 4)), "user": rng.integers(0, 500, 1)},
        "heads": lambda: {"features": _normal(rng, 1, 12)},
        "photo": lambda: {"image": rng.integers(0, 256, (1, 3, 24, 24)).astype(np.uint8)},
        "forecast": lambda: {"series": _normal(rng, 1, 12, 6)},
        "sensor": lambda: {"signal": _normal(rng, 1, 10, 4)},
    }
    return made[name]()


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)
