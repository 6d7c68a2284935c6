"""Resize images as the library does that is named; this module stands alone: numpy, and Pillow for what is named after it.

An image is height × width × channels. Each library has weights of its own for the same word: the same `bilinear` smooths
in Pillow when an image shrinks, and reads two pixels in OpenCV.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Kernel = Callable[[Array], Array]
Window = tuple[int, Array]  # the first row that counts, and the weights from there on
Windows = Iterator[Window]


def resize(image: Array, size: Sequence[int], step: dict[str, Any]) -> Array:
    """Give the image in that height and width; `step` says `as` which library, by which `filter`, `antialias` or not."""
    library, name = step["as"], step["filter"]
    if library == "pillow":
        return _by_pillow(image, size, name)
    corners, antialias = bool(step.get("align_corners")), bool(step.get("antialias"))
    pairs = tuple(zip(image.shape[:2], size, strict=True))
    if library == "opencv" and name == "area" and any(want > have for have, want in pairs):
        name = "area enlarging"  # one direction that grows is enough
    rows, columns = (_windows(library, name, antialias, corners, have, want) for have, want in pairs)
    if name.startswith("nearest"):
        return np.asarray(image[[low for low, _ in rows]][:, [low for low, _ in columns]])
    if library == "torch" and image.dtype == np.uint8:
        return _fixed_pass(_fixed_pass(image, columns, 1), rows, 0)
    exact = _weighted(_weighted(image, columns, 1), rows, 0)
    return _kept(exact, image.dtype, keeps=not library.startswith("tensorflow"))


def _kept(exact: Array, dtype: np.dtype[Any], *, keeps: bool) -> Array:
    if keeps and dtype == np.uint8:
        return np.asarray(np.clip(np.rint(exact), 0, 255).astype(np.uint8))
    return exact.astype(dtype if dtype.kind == "f" else np.float32)


def _weighted(image: Array, windows: Sequence[Window], axis: int) -> Array:
    moved = np.ascontiguousarray(np.moveaxis(image, axis, 0))
    flat = moved.reshape(len(moved), -1)
    out = np.empty((len(windows), flat.shape[1]))
    for index, (low, weights) in enumerate(windows):
        out[index] = weights @ flat[low : low + len(weights)]
    return np.moveaxis(out.reshape(len(windows), *moved.shape[1:]), 0, axis)


def _fixed_pass(image: Array, windows: Sequence[Window], axis: int) -> Array:
    # torch has bytes between the two directions, as Pillow has, whose code it took.
    return np.asarray(np.clip(np.floor(_weighted(image, windows, axis) + 0.5), 0, 255).astype(np.uint8))


def _by_pillow(image: Array, size: Sequence[int], name: str) -> Array:
    """Leave it to Pillow: which direction comes first, and so what is clipped between the two, is its version's affair."""
    from PIL import Image

    how = PILLOW[name]
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return np.asarray(Image.fromarray(image).resize((size[1], size[0]), how))
    plain = image if image.dtype == np.uint8 else image.astype(np.float32)
    bands = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plain[..., band])).resize((size[1], size[0]), how))
        for band in range(image.shape[2])
    ]
    return np.stack(bands, axis=-1)


@lru_cache(64)
def _windows(library: str, name: str, antialias: bool, corners: bool, have: int, want: int) -> tuple[Window, ...]:
    return tuple(LIBRARIES[library][name](have, want, antialias, corners))


def _picked(indexes: Iterable[float], have: int) -> Windows:
    for index in indexes:
        yield min(max(math.floor(index), 0), have - 1), np.ones(1)


def _nearest(have: int, want: int, antialias: bool, corners: bool, *, shift: float) -> Windows:
    if corners:
        return _picked(((at + 0.5) for at in _places(have, want, "corners")), have)
    scale = np.float32(have) / np.float32(want) if shift == 0 else have / want
    return _picked((float((index + shift) * scale) for index in range(want)), have)


def _opencv_nearest(have: int, want: int, antialias: bool, corners: bool) -> Windows:
    return _picked((index * (1 / (want / have)) for index in range(want)), have)


def _stretched(have: int, want: int, antialias: bool, corners: bool, *, kernel: Kernel, reach: float) -> Windows:
    """Weigh all pixels below a kernel that grows with the step from pixel to pixel; what lies outside does not count."""
    scale = have / want
    width = max(scale, 1.0) if antialias else 1.0
    for index in range(want):
        center = (index + 0.5) * scale
        low = max(int(center - reach * width + 0.5), 0)
        high = min(int(center + reach * width + 0.5), have)
        weights = kernel((np.arange(low, high) + 0.5 - center) / width)
        yield low, weights / weights.sum()


def _tapped(
    have: int, want: int, antialias: bool, corners: bool, *, kernel: Kernel, reach: int, places: str = "half"
) -> Windows:
    """Weigh a fixed number of pixels around each place; beyond the edge the last pixel counts again."""
    for at in _places(have, want, "corners" if corners else places):
        taps = np.arange(math.floor(at) - reach + 1, math.floor(at) + reach + 1)
        weights = kernel(taps - at)
        indexes = np.clip(taps, 0, have - 1)
        yield int(indexes[0]), np.bincount(indexes - indexes[0], weights / weights.sum())


def _places(have: int, want: int, places: str) -> Iterator[float]:
    scale = have / want
    for index in range(want):
        if places == "corners":
            yield index * (have - 1) / (want - 1) if want > 1 else 0.0
        elif places == "half":
            yield (index + 0.5) * scale - 0.5
        else:
            yield index * scale


def _shared(have: int, want: int, antialias: bool, corners: bool) -> Windows:
    """Weigh each pixel by its share of the area."""
    scale = have / want
    for index in range(want):
        begin, end = index * scale, (index + 1) * scale
        low, high = math.floor(begin + 1e-9), min(math.ceil(end - 1e-9), have)
        pixels = np.arange(low, high)
        weights = np.minimum(pixels + 1, end) - np.maximum(pixels, begin)
        yield low, weights / weights.sum()


def _pooled(have: int, want: int, antialias: bool, corners: bool) -> Windows:
    """Weigh all pixels that are touched alike."""
    for index in range(want):
        low, high = index * have // want, -(-(index + 1) * have // want)
        yield low, np.full(high - low, 1 / (high - low))


def _opencv_area_enlarging(have: int, want: int, antialias: bool, corners: bool) -> Windows:
    stretch = want / have
    for index in range(want):
        low = math.floor(index * (1 / stretch))
        part = max(float(np.float32(index + 1 - (low + 1) * stretch)), 0.0) % 1.0
        second = min(low + 1, have - 1)
        yield low, np.bincount([0, second - low], [1 - part, part])


def _tapped_or_stretched(
    have: int, want: int, antialias: bool, corners: bool, *, tapped: Any, stretched: Any
) -> Windows:
    found: Windows = (stretched if antialias else tapped)(have, want, antialias, corners)
    return found


def _triangle(x: Array) -> Array:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: Array, *, a: float) -> Array:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _table_cubic(x: Array, *, a: float) -> Array:
    # TensorFlow looks the weights up in a table of 1024 places between two pixels.
    return _cubic(np.rint(x * 1024) / 1024, a=a)


def _lanczos(x: Array, *, lobes: int) -> Array:
    return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0.0)


# The numbers by which Pillow knows its filters.
PILLOW = {"nearest": 0, "box": 4, "bilinear": 2, "hamming": 5, "bicubic": 3, "lanczos": 1}
_TORCH_CUBIC = partial(_tapped, kernel=partial(_cubic, a=-0.75), reach=2)
_LINEAR = partial(_tapped, kernel=_triangle, reach=1)
LIBRARIES: dict[str, dict[str, Callable[[int, int, bool, bool], Windows]]] = {
    "opencv": {
        "nearest": _opencv_nearest,
        "bilinear": _LINEAR,
        "bicubic": partial(_tapped, kernel=partial(_cubic, a=-0.75), reach=2),
        "lanczos": partial(_tapped, kernel=partial(_lanczos, lobes=4), reach=4),
        "area": _shared,
        "area enlarging": _opencv_area_enlarging,
    },
    "torch": {
        "nearest": partial(_nearest, shift=0),
        "nearest-exact": partial(_nearest, shift=0.5),
        "bilinear": partial(
            _tapped_or_stretched, tapped=_LINEAR, stretched=partial(_stretched, kernel=_triangle, reach=1)
        ),
        "bicubic": partial(
            _tapped_or_stretched, tapped=_TORCH_CUBIC,
            stretched=partial(_stretched, kernel=partial(_cubic, a=-0.5), reach=2),
        ),
        "area": _pooled,
    },
    "tensorflow": {
        "nearest": partial(_nearest, shift=0.5),
        "bilinear": partial(_stretched, kernel=_triangle, reach=1),
        "bicubic": partial(
            _tapped_or_stretched, tapped=partial(_stretched, kernel=partial(_table_cubic, a=-0.5), reach=2),
            stretched=partial(_stretched, kernel=partial(_cubic, a=-0.5), reach=2),
        ),
        "lanczos3": partial(_stretched, kernel=partial(_lanczos, lobes=3), reach=3),
        "lanczos5": partial(_stretched, kernel=partial(_lanczos, lobes=5), reach=5),
        "area": _shared,
    },
    # tf.compat.v1.image.resize and tf.raw_ops without half pixels
    "tensorflow1": {
        "nearest": partial(_nearest, shift=0),
        "bilinear": partial(_tapped, kernel=_triangle, reach=1, places="corner of the pixel"),
        "bicubic": partial(
            _tapped, kernel=partial(_table_cubic, a=-0.75), reach=2, places="corner of the pixel"
        ),
        "area": _shared,
    },
}  # fmt: skip
