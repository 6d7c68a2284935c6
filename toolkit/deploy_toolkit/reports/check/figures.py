"""Figures as people read them: two digits, and how many times its tolerance a deviation is."""

from __future__ import annotations

import math
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy_agreement import OutputAgreement

NONE = "–"
_MILLION = 1e6
_DIGITS = (7, 9, 12, 17)  # any two floats of 32 bits are told from each other by 9, of 64 bits by 17
_BEFORE, _LONG = 15, 60  # characters of text


def number(value: float | None) -> str:
    """Give two digits; a dash for none, ∞ for what lies infinitely far off."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return "0" if value == 0 else f"{value:.2g}"


def value(given: float | str, digits: int = 7) -> str:
    """Give a wanted value, or one that came; integers and text are told as they are."""
    if isinstance(given, str):
        return f"“{given}”"
    if isinstance(given, int):
        return str(given)
    return "NaN" if math.isnan(given) else f"{given:.{digits}g}".replace("inf", "∞")


def both(want: float | str, got: float | str) -> tuple[str, str]:
    """Give a wanted value and the one that came, in enough digits to see the difference; of long texts, where it is."""
    if isinstance(want, str) and isinstance(got, str):
        alike = takewhile(lambda two: two[0] == two[1], zip(want, got, strict=False))
        begin = max(0, sum(1 for _ in alike) - _BEFORE)
        return _part(want, begin), _part(got, begin)
    told = [(value(want, digits), value(got, digits)) for digits in _DIGITS]
    return next((two for two in told if two[0] != two[1]), told[0])


def _part(text: str, begin: int) -> str:
    end = begin + _LONG
    return value(f"{'…' if begin else ''}{text[begin:end]}{'…' if len(text) > end else ''}")


def times(value: float | None) -> str:
    """Give how many times its tolerance something is: `0.3 ×`, `41 ×`."""
    if value is None or math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞ ×"
    small = value < 100
    return f"{value:.2g} ×" if small else f"{value:,.0f} ×" if value < _MILLION else f"{value:.1e} ×"


def over(output: OutputAgreement) -> float | None:
    """Give how many times its tolerance the worst element is off; None if nothing could be compared."""
    if output.worst is not None:
        return ratio(apart(output.worst.want, output.worst.got), output.worst.limit)
    return None if output.max_abs is None else ratio(output.max_abs, output.tolerance.value)


def factor(output: OutputAgreement) -> float | None:
    """Give the smallest factor of the tolerance that would have passed; None if nothing could be compared."""
    if output.needed_times is not None:
        return output.needed_times
    return None if output.needed is None else ratio(output.needed, output.tolerance.value)


def apart(want: float | str, got: float | str) -> float:
    """Give how far two values lie apart; NaN and infinities that are wanted and come lie at no distance, texts at 1."""
    if isinstance(want, str) or isinstance(got, str):
        return float(want != got)
    return 0.0 if want == got or (math.isnan(want) and math.isnan(got)) else abs(want - got)


def ratio(off: float, limit: float) -> float:
    """Give `off` by `limit`; what is off where nothing is tolerated is so infinitely, and so is NaN."""
    if math.isnan(off):
        return math.inf
    if limit == 0:
        return 0.0 if off == 0 else math.inf
    return off / limit if math.isfinite(off) else math.inf
