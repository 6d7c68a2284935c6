"""Torch models of sequences and tables, written by hand as users write them."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.zoo.models.seeded import floats, mask, seed, settled, tokens


class Mlp(nn.Module):
    """Three dense layers with batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(16, 64),
            nn.BatchNorm1d(64),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(64, 32),
            nn.SiLU(),
            nn.Linear(32, 4),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        return self.body(features)


class Recurrent(nn.Module):
    """A recurrent encoder over features, with the last step's state read out."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU], *, bidirectional: bool = False, layers: int = 1) -> None:
        super().__init__()
        self.cell = kind(12, 24, num_layers=layers, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(48 if bidirectional else 24, 5)

    def forward(self, steps: torch.Tensor) -> dict[str, torch.Tensor]:
        """Give a score for every step, and one for all."""
        states, _ = self.cell(steps)
        return {"each": self.head(states), "last": self.head(states[:, -1])}


class WaveNet(nn.Module):
    """Dilated causal convolutions with gates and skips."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, 16, 1)
        self.gates = nn.ModuleList(nn.Conv1d(16, 32, 2, dilation=2**i) for i in range(4))
        self.mix = nn.ModuleList(nn.Conv1d(16, 16, 1) for _ in range(4))
        self.head = nn.Conv1d(16, 8, 1)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Give logits for every sample."""
        x, skips = self.stem(audio), 0.0
        for index, (gate, mix) in enumerate(zip(self.gates, self.mix, strict=True)):
            both = gate(nn.functional.pad(x, (2**index, 0)))
            left, right = both.chunk(2, dim=1)
            out = mix(torch.tanh(left) * torch.sigmoid(right))
            x, skips = x + out, skips + out
        return self.head(torch.relu(skips))  # type: ignore[arg-type]


class MaskedAttention(nn.Module):
    """Multi-head attention by torch's own layer, with padding hidden and a mean over what is not."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(200, 32)
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.head = nn.Linear(32, 6)

    def forward(self, tokens: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        x = self.words(tokens)
        seen, _ = self.attention(x, x, x, key_padding_mask=attention_mask == 0, need_weights=False)
        weight = attention_mask.unsqueeze(-1).to(x.dtype)
        return self.head((seen * weight).sum(1) / weight.sum(1).clamp(min=1.0))


class Tabular(nn.Module):
    """Embedded categories beside numbers, two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, 4) for size in (7, 20, 50))
        self.body = nn.Sequential(nn.Linear(12 + 5, 32), nn.GELU(), nn.LayerNorm(32))
        self.price, self.kind = nn.Linear(32, 1), nn.Linear(32, 3)

    def forward(self, categories: torch.Tensor, numbers: torch.Tensor) -> dict[str, torch.Tensor]:
        """Give a price and probabilities."""
        looked_up = [table(categories[:, index]) for index, table in enumerate(self.tables)]
        x = self.body(torch.cat([*looked_up, torch.log1p(numbers.abs())], dim=1))
        return {"price": self.price(x).squeeze(1), "kind": torch.softmax(self.kind(x), dim=1)}


class Bag(nn.Module):
    """Text as a bag of words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(300, 16, mode="mean")
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        return self.head(self.words(tokens))


class Encoder(nn.Module):
    """torch's own transformer encoder over learned positions."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation="gelu", norm_first=True)
        self.words, self.places = nn.Embedding(200, 32), nn.Embedding(64, 32)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 200)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Give logits for every place."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.head(self.body(self.words(tokens) + self.places(places)))


class Gated(nn.Module):
    """Gated linear units over a 1-D convolution, pooled to a fixed length."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv1d(8, 32, 3, padding=1), nn.Conv1d(16, 32, 5, padding=2, groups=2)])
        self.pool, self.head = nn.AdaptiveAvgPool1d(1), nn.Linear(16, 3)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        x = signal
        for conv in self.convs:
            x = nn.functional.glu(conv(x), dim=1)
        return self.head(self.pool(x).flatten(1))


class Seq2Seq(nn.Module):
    """A GRU over words whose states a second one reads with attention."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(100, 16)
        self.encoder, self.decoder = nn.GRU(16, 16, batch_first=True), nn.GRU(16, 16, batch_first=True)
        self.head = nn.Linear(32, 100)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Give logits for every place of the target."""
        states, last = self.encoder(self.words(source))
        steps, _ = self.decoder(self.words(target), last)
        weights = torch.softmax(torch.einsum("btd,bsd->bts", steps, states), dim=-1)
        return self.head(torch.cat([steps, weights @ states], dim=-1))


def mlp() -> object:
    """Dense layers."""
    seed()
    return settled(Mlp()), (floats(4, 16),)


def lstm() -> object:
    """An LSTM with two layers."""
    seed()
    return settled(Recurrent(nn.LSTM, layers=2)), (floats(3, 9, 12),)


def gru() -> object:
    """A GRU."""
    seed()
    return settled(Recurrent(nn.GRU)), (floats(3, 9, 12),)


def bilstm() -> object:
    """An LSTM in both directions."""
    seed()
    return settled(Recurrent(nn.LSTM, bidirectional=True)), (floats(3, 9, 12),)


def wavenet() -> object:
    """Dilated 1-D convolutions."""
    seed()
    return settled(WaveNet()), (floats(3, 1, 40),)


def masked_attention() -> object:
    """Attention with a mask."""
    seed()
    return settled(MaskedAttention()), (tokens(3, 9, 200), mask(3, 9))


def tabular() -> object:
    """Embeddings beside numbers."""
    seed()
    categories = torch.stack([tokens(6, 1, size)[:, 0] for size in (7, 20, 50)], dim=1)
    return settled(Tabular()), (categories, floats(6, 5))


def bag() -> object:
    """A bag of words."""
    seed()
    return settled(Bag()), (tokens(3, 9, 300),)


def encoder() -> object:
    """torch's own transformer encoder."""
    seed()
    return settled(Encoder()), (tokens(3, 9, 200),)


def gated() -> object:
    """Gated convolutions."""
    seed()
    return settled(Gated()), (floats(3, 8, 21),)


def seq2seq() -> object:
    """Two GRUs with attention."""
    seed()
    return settled(Seq2Seq()), (tokens(3, 9, 100), tokens(3, 6, 100))
