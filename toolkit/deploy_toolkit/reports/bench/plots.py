"""The plots of a report: latency by percentile and over time, throughput, comparison, stages."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy_latency import histogram
from deploy_toolkit.reports.bench import drawing, figures
from deploy_toolkit.reports.bench.drawing import BAD, GOOD, INK, PAPER, Key, Plot

if TYPE_CHECKING:
    from deploy_latency.estimate import Estimate
    from deploy_latency.report import Compared, Found, Measured, Report

_TICKS = (50, 75, 90, 95, 99, 99.9, 99.99, 99.999, 99.9999)
_VERDICTS = {"faster": GOOD, "slower": BAD}


def plots(report: Report) -> Iterator[Plot]:
    """Draw everything that there are figures for."""
    if any(_drawable(each) for one in report.measured for each in one.latency.values()):
        yield by_percentile(report.measured)
    for number, one in enumerate(report.measured):
        if any(math.isfinite(_finite(moment.p50)) for moment in one.over_time):
            yield over_time(one, number)
    for number, found in enumerate(report.found):
        if any(_drawable(each) for step in found.steps for each in step.latency.values()):
            yield throughput(found, number)
    if any(_drawable(one.ratio) for one in report.compared):
        yield comparison(report.compared)
    if any(one.stages for one in report.measured):
        yield stages(report.measured)


def by_percentile(measured: Sequence[Measured]) -> Plot:
    """Draw latency against percentile, the rare ones stretched: the axis is the logarithm of 1 / (1 − q)."""
    with drawing.figure() as (made, axes):
        for number, one in enumerate(measured):
            _curve(axes, one, drawing.colour(number))
            _points(axes, one, number)
        axes.set_xscale("log")
        rarest = max(axes.get_xlim()[1], 100)
        ticks = [q for q in _TICKS if _rarity(q) <= rarest]
        axes.set_xlim(1, rarest)
        axes.set_xticks([_rarity(q) for q in ticks], [f"{q:g} %" for q in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("share of requests that were faster")
        drawing.times(axes, "y")
        found = drawing.svg(made, "percentile")
    return Plot("Latency by percentile", found, _BY_PERCENTILE, _subjects(measured))


_BY_PERCENTILE = (
    "Each point is a percentile with the interval in which it lies; there is none where there are too few requests for one. "
    "The line has every request, and is broken where too few are left to be sure. It ends with × where the rest failed."
)


def _curve(axes: Any, one: Measured, colour: str) -> None:
    if not one.histogram:
        return
    rarities, values = _every(one.histogram)
    finite = np.isfinite(values)
    sure = rarities <= max((_rarity(float(q[1:])) for q, each in one.latency.items() if each.sure), default=0)
    for part, style in ((finite & sure, "-"), (finite & ~sure, (0, (1, 1.5)))):
        axes.plot(rarities[part], values[part], color=colour, alpha=0.75, linestyle=style, drawstyle="steps-pre")
    if finite.any() and not finite.all():
        last = np.flatnonzero(finite)[-1]
        axes.plot(rarities[last], values[last], "x", color=BAD, markersize=8, markeredgewidth=2, zorder=4)


def _every(text: str) -> tuple[Any, Any]:
    """Give each value that was counted, in seconds, and how rare it is to be slower; the slowest of n is one in n."""
    values, counts = np.array(histogram.counts(histogram.decode(text)), np.float64).reshape(-1, 2).T
    left = counts.sum() - np.cumsum(counts)
    return counts.sum() / np.maximum(left, 1), values


def _points(axes: Any, one: Measured, number: int) -> None:
    sure = {_rarity(float(q[1:])): each for q, each in one.latency.items() if each.sure and _drawable(each)}
    if sure:
        values = list(sure.values())
        _with_intervals(axes, list(sure), values, colour=drawing.colour(number), marker=drawing.marker(number))


def over_time(one: Measured, number: int) -> Plot:
    """Draw how latency went, by slices of the run; failures are red stripes."""
    end = one.over_time[-1].begin + one.over_time[-1].seconds
    edges = [*(moment.begin for moment in one.over_time), end]
    with drawing.figure(high=2.7) as (made, axes):
        for figure, style, alpha in (("worst", ":", 0.8), ("p99", "--", 0.9), ("p50", "-", 1.0)):
            values = [_finite(getattr(moment, figure)) for moment in one.over_time]
            axes.stairs(values, edges, baseline=None, color=drawing.colour(number), alpha=alpha, linestyle=style)
        for moment in one.over_time:
            if moment.failed:
                axes.axvspan(moment.begin, moment.begin + moment.seconds, color=BAD, alpha=0.3, linewidth=0)
        if one.steady_from:
            axes.axvline(one.steady_from, color=INK, linestyle=":", linewidth=0.9)
        axes.set_xlim(0, end)
        axes.set_xlabel("seconds")
        drawing.times(axes, "y")
        found = drawing.svg(made, f"time{number}")
    failed = sum(moment.failed for moment in one.over_time)
    says = "Solid p50, dashed p99, dotted the worst."
    says += f" {failed:,} failed in the red slices." if failed else ""
    says += " The upright line: how long it took until a round was steady." if one.steady_from else ""
    return Plot(f"Over time: {one.subject}", found, says)


def throughput(found: Found, number: int) -> Plot:
    """Draw latency against the rates that a search tried."""
    with drawing.figure(high=4.0) as (made, axes):
        for at, name in enumerate(("p50", "p99")):
            steps = sorted(found.steps, key=lambda step: step.rate)
            known = [(step.rate, step.latency[name]) for step in steps if _drawable(step.latency.get(name))]
            rates, values = [rate for rate, _ in known], [each for _, each in known]
            axes.plot(rates, [_finite(each.value) for each in values], color=drawing.colour(at), alpha=0.65)
            _with_intervals(axes, rates, values, colour=drawing.colour(at), marker="none")
            for step in steps:
                _step(axes, step.rate, step.latency.get(name), held=step.held)
        drawing.times(axes, "y")
        drawing.rates(axes, "x")
        for rate, told, style in ((found.rate, "holds", "-"), (found.knee, "knee", ":")):
            if rate is not None:
                axes.axvline(rate, color=INK, linestyle=style, linewidth=0.9, zorder=1)
                place = axes.get_xaxis_transform()
                axes.text(rate, 1.01, f"{told} {figures.number(rate)}/s ", transform=place, ha=_side(told))
        axes.set_xlabel("requests a second")
        drawn = drawing.svg(made, f"throughput{number}")
    keys = (
        Key(drawing.colour(0), "p50"),
        Key(drawing.colour(1), "p99"),
        Key(GOOD, "● held"),
        Key(BAD, "✕ did not hold"),
    )
    return Plot(f"Throughput: {found.subject}, {found.slo}", drawn, _THROUGHPUT, keys)


_THROUGHPUT = (
    "Each rate that was tried, with the latency under it. Beyond the knee latency rises faster than the rate: what is asked "
    "for there waits in a queue."
)


def _side(told: str) -> str:
    return "right" if told == "knee" else "left"


def _step(axes: Any, rate: float, found: Estimate | None, *, held: bool) -> None:
    if found is not None and _drawable(found):
        axes.plot(
            rate,
            found.value,
            "o" if held else "X",
            color=GOOD if held else BAD,
            markeredgecolor=PAPER,
            markersize=6.5,
            zorder=4,
        )


def comparison(compared: Sequence[Compared]) -> Plot:
    """Draw ratios with their intervals; what crosses the line at 1 shows no difference."""
    known = [one for one in compared if _drawable(one.ratio)]
    with drawing.figure(high=1.2 + 0.62 * len(known)) as (made, axes):
        places = range(len(known), 0, -1)
        for place, one in zip(places, known, strict=True):
            colour = _VERDICTS.get(one.verdict, "#8a8f98")
            _with_intervals(axes, [place], [one.ratio], colour=colour, marker="s", across=True)
        drawing.rates(axes, "x")
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, 0.8), max(high, 1.25))
        axes.axvline(1, color=INK, linewidth=0.9, zorder=1)
        axes.set_yticks(places, [drawing.label(f"{one.figure} of {one.subject}", f"to {one.base}") for one in known])
        axes.set_ylim(0.4, len(known) + 0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("ratio")
        found = drawing.svg(made, "comparison")
    keys = (Key(GOOD, "faster"), Key(BAD, "slower"), Key("#8a8f98", "no difference shown"))
    left_out = " Ratios that are infinite are in the table only." if len(known) < len(compared) else ""
    return Plot("Comparison", found, _COMPARISON + left_out, keys)


_COMPARISON = (
    "Ratios over paired rounds. Where the interval crosses 1, no difference was shown; that is not to say that there is none. "
    "For a rate, more is faster."
)


def stages(measured: Sequence[Measured]) -> Plot:
    """Draw where the time of the median request goes."""
    staged = [one for one in measured if one.stages]
    names = list(dict.fromkeys(stage.name for one in staged for stage in one.stages))
    with drawing.figure(high=1.1 + 0.62 * len(staged)) as (made, axes):
        for place, one in enumerate(reversed(staged)):
            begin = 0.0
            for stage in one.stages:
                own = drawing.colour(names.index(stage.name))
                axes.barh(place, stage.seconds * 1e3, left=begin, color=own, edgecolor=PAPER, height=0.6)
                begin += stage.seconds * 1e3
        axes.set_yticks(range(len(staged)), [drawing.label(one.subject) for one in reversed(staged)])
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("milliseconds")
        found = drawing.svg(made, "stages")
    keys = [Key(drawing.colour(number), name) for number, name in enumerate(names)]
    return Plot("Where the time goes", found, "Means over the same requests; the table says who measured each.", keys)


def _with_intervals(
    axes: Any, places: Sequence[float], found: Sequence[Estimate], *, colour: str, marker: str, across: bool = False
) -> None:
    """Draw values with their intervals, upward or across; one that has none is hollow."""
    for place, one in zip(places, found, strict=True):
        value = one.value
        low, high = (value if end is None or not math.isfinite(end) else end for end in (one.low, one.high))
        ends = ([low, high], [place, place]) if across else ([place, place], [low, high])
        axes.plot(*ends, color=colour, linewidth=1.6, marker="|" if across else "_", markersize=7, zorder=3)
        at = (value, place) if across else (place, value)
        inside = colour if one.sure else PAPER
        axes.plot(*at, marker=marker, color=colour, markerfacecolor=inside, markersize=5.5, zorder=4)


def _drawable(found: Estimate | None) -> bool:
    return found is not None and found.value is not None and math.isfinite(found.value) and found.value > 0


def _finite(value: float | None) -> float:
    return math.nan if value is None or not math.isfinite(value) else value


def _rarity(q: float) -> float:
    return 100 / (100 - q)


def _subjects(measured: Sequence[Measured]) -> list[Key]:
    return [Key(drawing.colour(number), one.subject) for number, one in enumerate(measured)]
