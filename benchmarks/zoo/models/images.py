"""Torch models of images and volumes, written by hand as users write them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from benchmarks.zoo.models.seeded import floats, seed, settled


def _conv(inside: int, outside: int, stride: int = 1, groups: int = 1, kernel: int = 3) -> nn.Sequential:
    conv = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outside), nn.ReLU6())


class Volume(nn.Module):
    """3-D convolutions, pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(1, 8, 3, padding=1),
            nn.BatchNorm3d(8),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Conv3d(8, 16, 3, 2, 1),
            nn.ReLU(),
        )
        self.head = nn.Linear(16, 3)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        return self.head(self.body(volume).mean(dim=(2, 3, 4)))


class UNet(nn.Module):
    """Two levels down and up again, with skips; any height and width that four divides."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.middle = _conv(3, 8), _conv(8, 16), _conv(16, 32)
        self.up2, self.up1 = nn.ConvTranspose2d(32, 16, 2, 2), nn.Conv2d(16, 8, 1)
        self.join2, self.join1 = _conv(32, 16), _conv(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give a mask's logits."""
        one = self.down1(image)
        two = self.down2(functional.max_pool2d(one, 2))
        deep = self.middle(functional.max_pool2d(two, 2))
        x = self.join2(torch.cat([self.up2(deep), two], dim=1))
        x = functional.interpolate(self.up1(x), size=one.shape[2:], mode="bilinear", align_corners=False)
        return self.head(self.join1(torch.cat([x, one], dim=1)))


class Residual(nn.Module):
    """A residual CNN with a strided shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = _conv(3, 16, 2), _conv(16, 16), _conv(16, 32, 2)
        self.short, self.head = nn.Conv2d(16, 32, 1, 2), nn.Linear(32, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        x = self.stem(image)
        x = x + self.one(x)
        x = functional.relu(self.two(x) + self.short(x))
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class SqueezeExcite(nn.Module):
    """Inverted residual blocks: depthwise convolutions whose channels are weighed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 16, 2)
        self.wide, self.deep = _conv(16, 48, kernel=1), _conv(48, 48, groups=48, kernel=5)
        self.squeeze, self.excite = nn.Conv2d(48, 12, 1), nn.Conv2d(12, 48, 1)
        self.narrow, self.head = nn.Conv2d(48, 16, 1), nn.Linear(16, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        x = self.stem(image)
        y = self.deep(self.wide(x))
        weight = functional.hardsigmoid(self.excite(functional.silu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        return self.head(functional.hardswish(x + self.narrow(y * weight)).mean((2, 3)))


class MobileNet(nn.Module):
    """Depthwise separable blocks."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 32, 64)
        blocks = [nn.Sequential(_conv(a, a, 2 if b > a else 1, a), _conv(a, b, kernel=1)) for a, b in pairwise(widths)]
        self.body = nn.Sequential(
            _conv(3, 16, 2), *blocks, nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(64, 10)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        return self.body(image)


class Autoencoder(nn.Module):
    """Strided convolutions and their transposes around a dense bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.LeakyReLU(0.1), nn.Conv2d(8, 16, 3, 2, 1), nn.PReLU(16))
        self.code, self.back = nn.Linear(16 * 49, 12), nn.Linear(12, 16 * 49)
        self.up = nn.Sequential(
            nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1),
            nn.ELU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the image again, and its code."""
        code = self.code(self.down(image).flatten(1))
        return self.up(self.back(code).unflatten(1, (16, 7, 7))), code


class SuperResolution(nn.Module):
    """Sub-pixel convolution: any height and width, twice as large."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.Tanh(), nn.Conv2d(16, 4, 3, padding=1), nn.PixelShuffle(2)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give the larger image."""
        return self.body(image) + functional.interpolate(image, scale_factor=2.0, mode="nearest")


class Transformer2d(nn.Module):
    """A spatial transformer: it turns the image before it looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Sequential(
            nn.Conv2d(1, 6, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 6)
        )
        self.look = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 10)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        whole = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], dtype=image.dtype)
        theta = (whole + 0.2 * torch.tanh(self.place(image))).view(-1, 2, 3)
        grid = functional.affine_grid(theta, list(image.shape), align_corners=False)
        return self.look(functional.grid_sample(image, grid, align_corners=False))


class Norms(nn.Module):
    """Group, instance and layer norm, and a local response."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (
            nn.Conv2d(3, 12, 3, padding=1),
            nn.Conv2d(12, 12, 3, padding="same", padding_mode="reflect"),
        )
        self.group, self.instance = nn.GroupNorm(4, 12), nn.InstanceNorm2d(12, affine=True)
        self.layer, self.head = nn.LayerNorm(12), nn.Linear(12, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits."""
        x = functional.mish(self.group(self.one(image)))
        x = functional.softplus(self.instance(self.two(x)))
        return self.head(self.layer(functional.avg_pool2d(x, 2).amax(dim=(2, 3))))


class Detector(nn.Module):
    """A head at two scales: boxes, scores and the best class of each anchor."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.near, self.far = _conv(3, 16, 4), _conv(16, 24, 2), _conv(24, 24, 2)
        self.boxes, self.scores = nn.Conv2d(24, 2 * 4, 3, padding=1), nn.Conv2d(24, 2 * 5, 3, padding=1)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Give corners, probabilities and classes."""
        near = self.near(self.stem(image))
        boxes, scores = zip(*(self._at(level) for level in (near, self.far(near))), strict=True)
        middle, size = torch.cat(boxes, dim=1).split(2, dim=-1)
        chance = torch.cat(scores, dim=1).softmax(-1)
        corners = torch.cat([middle - size.exp() / 2, middle + size.exp() / 2], dim=-1)
        best, kind = chance.max(dim=-1)
        return {"boxes": corners, "scores": best, "classes": kind}

    def _at(self, level: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows = level.shape[0]
        return (
            self.boxes(level).permute(0, 2, 3, 1).reshape(rows, -1, 4),
            self.scores(level).permute(0, 2, 3, 1).reshape(rows, -1, 5),
        )


def volume() -> object:
    """3-D convolutions."""
    seed()
    return settled(Volume()), (floats(2, 1, 8, 12, 12),)


def unet() -> object:
    """A U-Net."""
    seed()
    return settled(UNet()), (floats(2, 3, 16, 24),)


def residual() -> object:
    """A residual CNN."""
    seed()
    return settled(Residual()), (floats(2, 3, 32, 32),)


def squeeze_excite() -> object:
    """Squeeze and excite."""
    seed()
    return settled(SqueezeExcite()), (floats(2, 3, 32, 32),)


def mobilenet() -> object:
    """Depthwise separable convolutions."""
    seed()
    return settled(MobileNet()), (floats(2, 3, 32, 32),)


def autoencoder() -> object:
    """Transposed convolutions."""
    seed()
    return settled(Autoencoder()), (floats(2, 1, 28, 28),)


def super_resolution() -> object:
    """Sub-pixel convolution."""
    seed()
    return settled(SuperResolution()), (floats(2, 1, 12, 20),)


def spatial_transformer() -> object:
    """grid_sample."""
    seed()
    return settled(Transformer2d()), (floats(2, 1, 20, 20),)


def norms() -> object:
    """Norms of every kind."""
    seed()
    return settled(Norms()), (floats(2, 3, 16, 16),)


def detector() -> object:
    """Boxes and classes."""
    seed()
    return settled(Detector()), (floats(2, 3, 32, 32),)
