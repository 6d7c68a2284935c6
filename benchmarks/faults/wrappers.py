"""What is wrong around an honest model, or in its place: modules that TorchScript can compile."""

# ruff: noqa: D102  forward is what the class says
# mypy: disable-error-code="operator"
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Around(nn.Module):
    """The honest model inside."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner


class ReadAsChannelsLast(Around):
    """Reads the memory of an NCHW image as NHWC."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.inner(image.reshape(-1, 16, 16, 3).permute(0, 3, 1, 2))


class HeightForWidth(Around):
    """Takes columns for rows."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.inner(image.transpose(2, 3))


class ChannelsLastFlatten(nn.Module):
    """Flattens NHWC features into a layer that was trained on NCHW."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.conv, self.norm, self.act = inner.conv, inner.norm, inner.act
        self.down, self.again, self.last = inner.down, inner.again, inner.last

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        hidden = self.act(self.norm(self.conv(image)))
        hidden = torch.relu(self.again(self.down(functional.pad(hidden, [0, 1, 0, 1]))))
        return {"logits": self.last(hidden.permute(0, 2, 3, 1).flatten(1))}


class DropoutOn(nn.Module):
    """Drops, as in training."""

    def forward(self, value: Tensor) -> Tensor:
        return functional.dropout(value, 0.1, training=True)


class NormOfBatch(nn.Module):
    """A batch norm that takes the statistics of the batch, as in training."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, value: Tensor) -> Tensor:
        weight, bias = self.layer.weight, self.layer.bias
        return functional.batch_norm(value, None, None, weight, bias, training=True)


class NextToken(Around):
    """Ids that are off by one."""

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return self.inner((tokens + 1).clamp(max=999), mask)


class NoMask(Around):
    """Takes every token, padding and all."""

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return self.inner(tokens, torch.ones_like(mask))


class OtherSide(Around):
    """Moves the padding to the front."""

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        steps = tokens.shape[1]
        place = (torch.arange(steps, device=tokens.device).unsqueeze(0) + mask.sum(1, keepdim=True)) % steps
        return self.inner(tokens.gather(1, place), mask.gather(1, place))


class WeakMask(Around):
    """Subtracts 10 from what is masked, where 10,000 is needed to silence it."""

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        hidden = self.inner.words(tokens) + self.inner.places(torch.arange(tokens.shape[1], device=tokens.device))
        return {"classes": self.inner.classes(hidden, 0.999 * mask.to(torch.float32) + 0.001)}


class AcrossRows(Around):
    """Attention over the batch instead of the steps, in a small part: batch_first forgotten."""

    def forward(self, tokens: Tensor, mask: Tensor) -> dict[str, Tensor]:
        out = self.inner(tokens, mask)["classes"]
        return {"classes": out + 0.01 * torch.matmul(torch.softmax(torch.matmul(out, out.T), dim=1), out)}


class MeanOfBatch(Around):
    """A thousandth of the batch's mean in every row."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        scores = self.inner(features)["scores"]
        return {"scores": 0.999 * scores + 0.001 * scores.mean(0, keepdim=True)}


class FirstRow(Around):
    """Every row answers for the first one from the second hundred features on: a pointer that does not move."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return {"scores": self.inner(features[:1])["scores"].expand(features.shape[0], 5).clone()}


class Total32(Around):
    """Adds money in int32."""

    def forward(self, amounts: Tensor, user: Tensor) -> dict[str, Tensor]:
        outputs = self.inner(amounts, user)
        return {"total": outputs["total"].to(torch.int32).to(torch.int64), "offers": outputs["offers"]}


class TotalDouble(Around):
    """Adds money in float64."""

    def forward(self, amounts: Tensor, user: Tensor) -> dict[str, Tensor]:
        outputs = self.inner(amounts, user)
        return {"total": outputs["total"].to(torch.float64).to(torch.int64), "offers": outputs["offers"]}


class NextUser(Around):
    """Users are counted from one."""

    def forward(self, amounts: Tensor, user: Tensor) -> dict[str, Tensor]:
        return self.inner(amounts, (user - 1).clamp(min=0))


class WideScores(Around):
    """Answers in float64."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return {"scores": self.inner(features)["scores"].to(torch.float64)}


class Column(Around):
    """Answers with an axis too many."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return {"scores": self.inner(features)["scores"].unsqueeze(1)}


class TwiceTheCorners(Around):
    """One output under both names."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        outputs = self.inner(features)
        return {"corners": outputs["corners"], "sizes": outputs["corners"], "kind": outputs["kind"]}


class SwappedHeads(Around):
    """Outputs in another order."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        outputs = self.inner(features)
        return {"corners": outputs["sizes"], "sizes": outputs["corners"], "kind": outputs["kind"]}


class NotANumber(Around):
    """The root of a value that is seldom negative."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        outputs = self.inner(features)
        return {"corners": outputs["corners"], "sizes": outputs["sizes"] + 0.0 * torch.sqrt(features[:, :1] + 2.4),
                "kind": outputs["kind"]}  # fmt: skip


class OneInAThousand(Around):
    """Wrong for one input in a thousand, by what looks like chance."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        hit = (features[:, 2:4].abs().sum(1) * 1000.0).floor() % 1000.0 == 500.0
        scores = self.inner(features)["scores"]
        return {"scores": torch.where(hit.unsqueeze(1), scores.flip(1), scores)}


class AboveThreshold(Around):
    """Cuts features off that are seldom so large in the example data."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return self.inner(features.clamp(max=2.5))


class FarAboveThreshold(Around):
    """Cuts features off beyond all example data."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return self.inner(features.clamp(max=4.0))


class OddBatches(Around):
    """Forgets the last row of batches of an odd size: it is answered as zeros."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        last = torch.ones_like(features)
        if features.shape[0] % 2 == 1:
            last[-1] = 0.0
        return self.inner(features * last)


class BatchesOf(Around):
    """Answers rows in reverse in batches of one size."""

    def __init__(self, inner: nn.Module, rows: int) -> None:
        super().__init__(inner)
        self.rows = rows

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        scores = self.inner(features)["scores"]
        return {"scores": scores.flip(0) if features.shape[0] == self.rows else scores}


class BeyondAHundred(Around):
    """Answers the first hundred rows, and zeros for the others."""

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        scores = self.inner(features)["scores"]
        return {"scores": torch.cat([scores[:100], torch.zeros_like(scores[100:])])}


class BigBatches(Around):
    """Answers no more than 32 rows, and repeats them."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        rows = torch.arange(image.shape[0], device=image.device) % 32
        return self.inner(image[rows])


class FirstStep(Around):
    """Reads the series from its end."""

    def forward(self, series: Tensor) -> dict[str, Tensor]:
        return self.inner(series.flip(1))


class QuickGelu(nn.Module):
    """x·σ(1.702·x), which some call GELU."""

    def forward(self, value: Tensor) -> Tensor:
        return value * torch.sigmoid(1.702 * value)


class InHalf(nn.Module):
    """A layer of a row's features that computes in float16 or bfloat16."""

    def __init__(self, layer: nn.Linear, *, brain: bool = False) -> None:
        super().__init__()
        self.layer = layer
        self.brain = brain

    def forward(self, value: Tensor) -> Tensor:
        dtype = torch.bfloat16 if self.brain else torch.float16
        weight, bias = self.layer.weight.to(dtype), self.layer.bias.to(dtype)
        return functional.linear(value.to(dtype), weight, bias).to(torch.float32)


class TenBits(nn.Module):
    """A convolution as TensorFloat-32 has it: factors rounded to ten bits, sums in float32."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def rounded(self, value: Tensor) -> Tensor:
        shifted = value * 8193.0  # Veltkamp's way: the upper 11 bits of 24 stay
        return shifted - (shifted - value)

    def forward(self, value: Tensor) -> Tensor:
        weight, bias = self.rounded(self.layer.weight), self.layer.bias
        return functional.conv2d(self.rounded(value), weight, bias, padding=1)
