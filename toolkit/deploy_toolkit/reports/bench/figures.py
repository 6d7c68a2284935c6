"""Figures as people read them: three digits, a unit, the interval; and what has to be said loudly."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy_latency.estimate import Estimate
    from deploy_latency.report import Compared, Judged, Measured

NONE = "–"
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def seconds(value: float | None) -> str:
    """Give a time such as `12.3 ms`; a dash for none."""
    if value is None or math.isnan(value):
        return NONE
    return "∞" if math.isinf(value) else " ".join(_in_unit(value, _scale(value)))


def number(value: float | None) -> str:
    """Give three digits without an exponent where that is readable: `1,230`, `12.3`, `0.0123`."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    # Rounded first: 0.9999 is 1.00, which has a digit less behind the point.
    size = abs(float(f"{value:.3g}"))
    digits = max(0, 2 - math.floor(math.log10(size))) if size else 0
    return f"{value:,.{digits}f}" if digits <= 6 else f"{value:.2e}"


def size(value: int | None) -> str:
    """Give bytes as MiB."""
    return NONE if value is None else f"{value / 2**20:,.0f} MiB"


def percent(confidence: float) -> str:
    """Give a confidence such as `95 %`."""
    return f"{100 * confidence:.3g} %"


def time(estimate: Estimate) -> tuple[str, str]:
    """Give a time and its interval; a dash and how many samples it takes where there are too few."""
    if not estimate.sure or estimate.value is None:
        return NONE, needs(estimate)
    return seconds(estimate.value), _interval(estimate.value, estimate.low, estimate.high)


def count(estimate: Estimate) -> tuple[str, str]:
    """Give a figure that is no time, such as a rate or a ratio, and its interval or what that takes."""
    told = number(estimate.value)
    if not estimate.sure:
        return told, needs(estimate)
    return told, f"{number(estimate.low)}–{number(estimate.high)}"


def needs(estimate: Estimate) -> str:
    """Say how many samples an interval takes."""
    return f"needs {estimate.needs:,}"


def of_limit(judged: Judged) -> tuple[str, str]:
    """Give what a limit was held against: a ratio if it is relative to an earlier run, else a time, a share or a rate."""
    if judged.limit.endswith("x"):
        return count(judged.figure)
    figure, estimate = re.split("[<>]", judged.limit, maxsplit=1)[0], judged.figure
    if figure == "errors":
        told = [share(each) for each in (estimate.value, estimate.low, estimate.high)]
        return told[0], f"{told[1]}–{told[2]}" if estimate.sure else needs(estimate)
    return count(estimate) if figure == "rate" else time(estimate)


def share(value: float | None) -> str:
    """Give a share in percent."""
    return NONE if value is None else f"{number(100 * value)} %"


def change(compared: Compared) -> str:
    """Say a ratio as a sentence of two or three words: `12 % less`, `2.3 times`."""
    ratio = compared.ratio.value
    if ratio is None or not math.isfinite(ratio):
        return NONE
    if abs(ratio - 1) < 5e-4:
        return "as much"
    if 0.5 < ratio < 2:
        return f"{abs(ratio - 1):.1%} {'more' if ratio > 1 else 'less'}".replace("%", " %")
    return f"{number(ratio)} times"


def loud(measured: Measured) -> Iterator[str]:
    """Say what makes the figures of a subject something else than they seem."""
    checked, generator = measured.checked, measured.generator
    if checked.wrong:
        yield f"{checked.wrong:,} of {checked.answers:,} checked answers are WRONG: {checked.why}"
    if generator is not None and generator.limited:
        why = generator.limited.removeprefix("limited by the generator: ")
        yield f"LIMITED BY THE GENERATOR, these are not the server's figures: {why}"
    failed = sum(measured.failures.values())
    if failed:
        yield f"{failed:,} of {measured.requests:,} requests FAILED: {counted(measured.failures)}"
    if measured.steady_from is None and measured.requests:
        yield "NOT STEADY: the run never settled, a longer one may say something else"
    if not checked.answers and measured.requests:
        yield "NO ANSWER WAS CHECKED"


def counted(failures: Mapping[str, int]) -> str:
    """Give each kind of failure with how often it came."""
    return ", ".join(f"{text} ({times:,})" for text, times in failures.items())


def columns(reported: Sequence[Measured]) -> list[str]:
    """Give the names of all percentiles that were reported, in order."""
    return sorted({name for each in reported for name in each.latency}, key=lambda name: float(name[1:]))


def _interval(value: float, low: float | None, high: float | None) -> str:
    """Give both ends, without their unit if it is that of the value."""
    ends = [each for each in (low, high) if each is not None and math.isfinite(each)]
    if len(ends) == 2 and {_scale(end) for end in ends} == {_scale(value)}:
        return "–".join(_in_unit(end, _scale(value))[0] for end in ends)
    return f"{seconds(low)}–{seconds(high)}"


def _scale(value: float) -> float:
    if value == 0:
        return 1.0
    return next((unit for unit, _ in _UNITS if abs(value) >= 0.9995 * unit), _UNITS[-1][0])


def _in_unit(value: float, unit: float) -> tuple[str, str]:
    return number(value / unit), dict(_UNITS)[unit]
