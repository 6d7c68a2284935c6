"""Parts of the page that are drawn: plots of outputs, the tensors of an input, bars of how far something is off."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy_toolkit.reports import pages
from deploy_toolkit.reports.check import figures, plots
from deploy_toolkit.reports.png import png

if TYPE_CHECKING:
    from markupsafe import Markup

    from deploy_agreement import Agreement, Located, Match, Points, Worst
    from deploy_toolkit.reports.check.leading import Shown

_FEW = 12  # values that are shown as such
_MANY = 400  # values of a line
_SMALL = 4  # an image is no smaller than this
_CHANNELS = (1, 3)
_AROUND = (8, 16)  # matched tensors that are shown before and after the first that differs
_LEAST = -3.0  # the power of ten at which a bar begins


@dataclass(frozen=True)
class Drawing:
    """A plot with its title."""

    title: str
    svg: Markup


@dataclass(frozen=True)
class Tensor:
    """One tensor of an input: a few values in words, or a line, or a picture as a URL."""

    name: str
    form: str
    values: str = ""
    svg: Markup | str = ""
    picture: str = ""


@dataclass(frozen=True)
class Bars:
    """Matched tensors around the first that differs; how many more there are, and where one tolerance lies, in percent."""

    shown: tuple[Match, ...]
    left_out: int
    limit: float
    greatest: float


def drawings(row: Agreement, one: Shown) -> Iterator[Drawing]:
    """Give the plots of an output, where there are elements to draw."""
    points = one.output.points
    if points is None or not drawable(points):
        return
    title = f"{row.subject}, {one.label}"
    yield Drawing("Deviations", pages.markup(plots.histogram(points, title)))
    if drawn := plots.scatter(points, title):
        yield Drawing("Expected and got", pages.markup(drawn))


def drawable(points: Points) -> bool:
    """Tell whether these are numbers, and any at all."""
    return bool(points.want.size) and points.want.dtype.kind not in "OSUb"


def inputs(found: Worst) -> Iterator[Tensor]:
    """Give the tensors of the worst input."""
    for name, array in found.inputs.items():
        form = f"{array.dtype}{list(array.shape)}"
        image = _image(array)
        if image is not None:
            yield Tensor(name, form, picture=pages.data("image/png", png(image)))
        elif array.size <= _FEW or array.dtype.kind in "OSU":
            yield Tensor(name, form, values=", ".join(map(_word, array.ravel()[:_FEW].tolist())))
        else:
            flat = array.ravel()[:: math.ceil(array.size / _MANY)]
            yield Tensor(name, form, svg=pages.markup(plots.line(flat.tolist(), f"{name}: {array.size:,} values")))


def bars(found: Located) -> Bars:
    """Give the tensors to show, on one axis."""
    first = found.matches.index(found.first) if found.first in found.matches else 0
    shown = found.matches[max(0, first - _AROUND[0]) : first + _AROUND[1] + 1]
    finite = [match.over for match in shown if math.isfinite(match.over)]
    greatest = max(10.0, *finite) if finite else 10.0
    return Bars(shown, len(found.matches) - len(shown), bar(1.0, greatest), greatest)


def bar(over: float | None, greatest: float) -> float:
    """Give how long a bar is in percent: the axis is the logarithm, from a thousandth of the tolerance on."""
    if over is None or math.isnan(over) or over <= 10.0**_LEAST:
        return 0.0
    power = min(math.log10(over), math.log10(greatest)) if math.isfinite(over) else math.log10(greatest)
    return round(100 * (power - _LEAST) / (math.log10(greatest) - _LEAST), 1)


def tint(over: float | None) -> int:
    """Give how loud a cell is, from 0 (well within its tolerance) to 4 (a thousand times beyond)."""
    if over is None or over <= 1:
        return 0
    return 4 if math.isinf(over) else min(4, 1 + int(math.log10(over)))


def _image(array: Any) -> Any:
    """The first image of a tensor that looks like one, as bytes; the smallest value is black, the greatest white."""
    if array.dtype.kind not in "fiu" or array.ndim not in (3, 4):
        return None
    one = array[0] if array.ndim == 4 else array
    if one.shape[0] in _CHANNELS and one.shape[-1] not in _CHANNELS:
        one = np.moveaxis(one, 0, -1)
    if one.ndim != 3 or one.shape[-1] not in _CHANNELS or min(one.shape[:2]) < _SMALL:
        return None
    values = np.nan_to_num(one.astype(np.float64), posinf=0.0, neginf=0.0)
    span = float(values.max() - values.min()) or 1.0
    pixels = ((values - values.min()) / span * 255).astype(np.uint8)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def _word(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return figures.value(value) if isinstance(value, float) else str(value)
