"""Two drawings of an output as inline SVG in the page's own colours: how far elements are off, and expected against got."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy_toolkit.reports.check.errors import Errors, counted, errors

if TYPE_CHECKING:
    from deploy_agreement import Points

_WIDE, _HIGH = 360, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 40
_POINTS = 1500
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Axis:
    """Where values lie on a drawing: from `low` to `high` they go from `begin` to `end`."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: Any) -> Any:
        """Give the place of a value, or of an array of them."""
        return self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)


def histogram(points: Points, title: str) -> str:
    """Draw how many elements are how far off, in units of their tolerance; both axes stretch what is small."""
    found = errors(points)
    bars = counted(found)
    top = math.log10(1 + max((bar.count for bar in bars), default=1))
    low, high = bars[0].low, bars[-1].high
    across, up = Axis(low, high, _LEFT, _WIDE - _RIGHT), Axis(0, top, _HIGH - _BOTTOM, _TOP)
    said = f"{title}: {_beyond(found)}"
    parts = [_line(across.at(0.0), _TOP, across.at(0.0), _HIGH - _BOTTOM, "limit")]
    for bar in bars:
        left, right, level = across.at(bar.low), across.at(bar.high), up.at(math.log10(1 + bar.count))
        kind = "over" if bar.low >= 0 else "within"
        box = f'x="{left + 0.5:.1f}" y="{level:.1f}" width="{right - left - 1:.1f}" height="{up.at(0) - level:.1f}"'
        parts += [f'<rect class="{kind}" {box}><title>{escape(bar.said)}</title></rect>'] if bar.count else []
    parts += [_text(across.at(at), _HIGH - 22, _power(at, low)) for at in _decades(low, high)]
    ticks = [count for count in (1, 10, 100, 1000, 10_000) if math.log10(1 + count) <= top]
    parts += [_text(_LEFT - 6, up.at(math.log10(1 + count)) + 4, f"{count:,}", "end") for count in ticks]
    parts += [_text((_LEFT + _WIDE) / 2, _HIGH - 5, "deviation in units of the tolerance")]
    return _svg(said, parts)


def scatter(points: Points, title: str) -> str:
    """Draw what came against what was expected; what is within its tolerance lies on the diagonal."""
    found = errors(points)
    finite = np.isfinite(found.want) & np.isfinite(found.got)
    if not finite.any():
        return ""
    both = np.concatenate([found.want[finite], found.got[finite]])
    low, high = _around(float(both.min()), float(both.max()))
    across, up = Axis(low, high, _LEFT, _WIDE - _RIGHT), Axis(low, high, _HIGH - _BOTTOM, _TOP)
    parts = [_line(across.at(low), up.at(low), across.at(high), up.at(high), "diagonal")]
    for over, kind in ((False, "within"), (True, "over")):
        chosen = np.flatnonzero(finite & (found.over == over))
        chosen = chosen[:: max(1, math.ceil(chosen.size / _POINTS))]
        parts += _dots(across.at(found.want[chosen]), up.at(found.got[chosen]), kind)
    for tick in _ticks(low, high):
        parts.append(_text(across.at(tick), _HIGH - 22, f"{tick:g}"))
        parts.append(_text(_LEFT - 6, up.at(tick) + 4, f"{tick:g}", "end"))
    parts.append(_text((_LEFT + _WIDE) / 2, _HIGH - 5, "expected"))
    parts.append(f'<text x="-{(_HIGH - _BOTTOM) / 2:.0f}" y="9" transform="rotate(-90)">got</text>')
    missing = int((~finite).sum())
    beyond = f", {missing:,} more are NaN or infinite" if missing else ""
    return _svg(f"{title}: expected against got, {_beyond(found)}{beyond}", parts)


def line(values: Sequence[float], title: str) -> str:
    """Draw a row of values as a small line."""
    wide, high = 240, 44
    known = np.asarray(values, np.float64)
    known = np.where(np.isfinite(known), known, 0.0)
    low, top = _around(float(known.min()), float(known.max()))
    across, up = Axis(0, max(1, known.size - 1), 2, wide - 2), Axis(low, top, high - 2, 2)
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across.at(np.arange(known.size)), up.at(known), strict=True))
    zero = [_line(0, up.at(0.0), wide, up.at(0.0), "grid")] if low < 0 < top else []
    drawn = [*zero, f'<polyline points="{places}"/>']
    return (
        f'<svg class="spark" viewBox="0 0 {wide} {high}" role="img" aria-label="{escape(title)}">{"".join(drawn)}</svg>'
    )


def _beyond(found: Errors) -> str:
    return f"{int(found.over.sum()):,} of {found.over.size:,} shown elements are beyond their tolerance"


def _dots(x: Any, y: Any, kind: str) -> list[str]:
    places = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x, y, strict=True))
    return [f'<path class="dots {kind}" d="{places}"/>'] if places else []


def _decades(low: float, high: float) -> Iterator[int]:
    step = max(1, math.ceil((high - low) / 7))
    yield from (at for at in range(math.ceil(low), math.floor(high) + 1) if at % step == 0)


def _power(at: int, low: float) -> str:
    if at == math.ceil(low):
        return "less"
    return f"{10.0**at:g}" if -4 < at < 4 else f"1e{at}"


def _ticks(low: float, high: float) -> Iterator[float]:
    """Give four or five round numbers between two others."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(step for step in _STEPS if step * power >= rough)
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield float(f"{number * step:.6g}")


def _around(low: float, high: float) -> tuple[float, float]:
    """Give an interval around two values that is no point, and not too wide for a float."""
    low, high = max(low, -1e300), min(high, 1e300)
    room = 0.04 * (high - low) or max(abs(low), 1e-6) * 0.5
    return low - room, high + room


def _line(x: float, y: float, to_x: float, to_y: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"/>'


def _text(x: float, y: float, told: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(told)}</text>'


def _svg(said: str, parts: Sequence[str]) -> str:
    box = f'viewBox="0 0 {_WIDE} {_HIGH}"'
    frame = f"M{_LEFT} {_TOP}V{_HIGH - _BOTTOM}H{_WIDE - _RIGHT}"
    drawn = "".join((f'<path class="frame" d="{frame}"/>', *parts))
    return f'<svg class="plot" {box} role="img" aria-label="{escape(said)}">{drawn}</svg>'
