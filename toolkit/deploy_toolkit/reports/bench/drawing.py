"""Plots as inline SVG that takes the page's colours and fonts, be they dark or light."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deploy_toolkit.reports.bench import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart on white and on black, and by those who see no red or no green.
COLOURS = ("#3d7fd9", "#e07b1a", "#159a80", "#a862c9", "#b58900", "#d2528f", "#6b7bd6", "#7a8a2a", "#9c6b4e", "#4f97a8")
BAD, GOOD = "#e0453a", "#2e9e4f"
MARKERS = "osD^vPX*"
# Colours that stand for those of the page, which only the browser knows.
INK, FAINT, PAPER = "#010203", "#040506", "#070809"
_WORDS = 40  # characters of a line of a label
_OF_PAGE = {INK: "var(--ink)", FAINT: "var(--line)", PAPER: "var(--paper)"}
_STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 9.0,  # points: the page is about 1.6 times as wide as the drawing
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.4,
    "lines.markersize": 5.0,
}


@dataclass(frozen=True)
class Key:
    """What a colour stands for."""

    colour: str
    text: str


@dataclass(frozen=True)
class Plot:
    """A drawing with its title, how it is read, and what its colours stand for."""

    title: str
    svg: str
    says: str
    keys: Sequence[Key] = field(default=())


def colour(number: int) -> str:
    """Give the colour of a subject, which is the same in all drawings."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """Give the shape of a subject's points."""
    return MARKERS[number % len(MARKERS)]


@contextmanager
def figure(wide: float = 9.0, high: float = 4.2) -> Generator[tuple[Figure, Axes]]:
    """Give an empty drawing in the style of the page, in inches; `svg` has to be called within."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # It measures texts by a font of its own, which may lack letters that the reader's has.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        made = Figure(figsize=(wide, high), layout="constrained")
        yield made, made.add_subplot()


def svg(made: Figure, name: str) -> str:
    """Give the drawing as an element of a page; `name` tells its parts from those of other drawings."""
    file = io.StringIO()
    made.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'^<svg ([^>]*?)width="[^"]*"', r'<svg \1width="100%"', text, count=1)
    text = re.sub(r'^(<svg [^>]*?)\sheight="[^"]*"', r"\1", text, count=1)
    for stand_in, of_page in _OF_PAGE.items():
        text = text.replace(stand_in, of_page)
    # Its fonts are those of whoever wrote the page, not of whoever reads it.
    return re.sub(r"(font: [^;\"']*?px) [^;\"]*", r"\1 system-ui, sans-serif", text)


def label(*lines: str) -> str:
    """Give a text that fits beside a drawing, without what no font has."""
    fit = (re.sub(r"[\x00-\x1f\x7f\ud800-\udfff]", "\ufffd", line) for line in lines)
    return "\n".join(part for line in fit for part in textwrap.wrap(line, _WORDS))


def times(axes: Axes, which: str) -> None:
    """Make the x or y axis of seconds logarithmic, with ticks such as `2 ms`."""
    _logarithmic(axes, which, figures.seconds)


def rates(axes: Axes, which: str) -> None:
    """Make the x or y axis of requests a second, or of ratios, logarithmic."""
    _logarithmic(axes, which, figures.number)


def _logarithmic(axes: Axes, which: str, told: Callable[[float], str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    axes.set(**{f"{which}scale": "log"})
    axis = {"x": axes.xaxis, "y": axes.yaxis}[which]
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=_between_tens(high / low)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(told(value))))
    axis.set_minor_formatter(NullFormatter())


def _between_tens(span: float) -> Sequence[float]:
    """Give the multiples of a power of ten that get a tick: more of them where less is shown."""
    if span > 1000:
        return (1,)
    if span > 30:
        return (1, 2, 5)
    return (1, 1.5, 2, 3, 5, 7) if span > 4 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)


def _short(told: str) -> str:
    """Leave out zeros behind the point: `2.00 ms` is a tick at 2 ms."""
    return re.sub(r"\.0+(?=\D|$)|(\.\d*?)0+(?=\D|$)", r"\1", told)
