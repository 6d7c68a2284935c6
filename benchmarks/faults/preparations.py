"""Models whose preparation of images is another than the one that they were trained with."""

# ruff: noqa: D102  forward is what the class says
# mypy: disable-error-code="operator"
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.faults.wrappers import Around


class Prepared(Around):
    """Preprocesses photos as the honest model does; each kind below gets one thing wrong."""

    def resized(self, image: Tensor) -> Tensor:
        return functional.interpolate(image.to(torch.float32), size=[16, 16], mode="bilinear", align_corners=False)

    def normalised(self, pixels: Tensor) -> Tensor:
        return (pixels / 255.0 - self.inner.mean) / self.inner.std

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"scores": self.inner.scores(self.normalised(self.resized(image)))}


class Nearest(Prepared):
    """Takes the nearest pixel instead of a mean."""

    def resized(self, image: Tensor) -> Tensor:
        return functional.interpolate(image.to(torch.float32), size=[16, 16], mode="nearest")


class Bicubic(Prepared):
    """Another filter, as another library's default is."""

    def resized(self, image: Tensor) -> Tensor:
        return functional.interpolate(image.to(torch.float32), size=[16, 16], mode="bicubic", align_corners=False)


class AlignedCorners(Prepared):
    """Places pixels otherwise, as old TensorFlow does."""

    def resized(self, image: Tensor) -> Tensor:
        return functional.interpolate(image.to(torch.float32), size=[16, 16], mode="bilinear", align_corners=True)


class AntiAliased(Prepared):
    """Means over all pixels that go into one, as Pillow does."""

    def resized(self, image: Tensor) -> Tensor:
        return functional.interpolate(
            image.to(torch.float32), size=[16, 16], mode="bilinear", align_corners=False, antialias=True
        )


class BlueFirst(Prepared):
    """Takes BGR for RGB, as OpenCV reads files."""

    def resized(self, image: Tensor) -> Tensor:
        pixels = image.to(torch.float32).flip(1)
        return functional.interpolate(pixels, size=[16, 16], mode="bilinear", align_corners=False)


class NoMean(Prepared):
    """Divides, and subtracts nothing."""

    def normalised(self, pixels: Tensor) -> Tensor:
        return pixels / 255.0 / self.inner.std


class NoStd(Prepared):
    """Subtracts the mean, and divides by nothing."""

    def normalised(self, pixels: Tensor) -> Tensor:
        return pixels / 255.0 - self.inner.mean


class NoScale(Prepared):
    """Leaves pixels between 0 and 255."""

    def normalised(self, pixels: Tensor) -> Tensor:
        return (pixels - self.inner.mean) / self.inner.std


class OtherMean(Prepared):
    """Normalises to −1 … 1, as other models want it."""

    def normalised(self, pixels: Tensor) -> Tensor:
        return (pixels / 255.0 - 0.5) / 0.5
