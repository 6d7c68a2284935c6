"""The side of a threshold: one probability a row, where it is sure that it is one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deploy_agreement.blocks import least
from deploy_agreement.results.decisions import SHOWN, THRESHOLD, Decisions, Flip, told
from deploy_core.signature import Array

HALF = 0.5
_TWO = 2


def decide(name: str, want: Array, got: Array, limit: Array, labels: Sequence[str]) -> Decisions | None:
    """Compare the sides on which rows lie; None where nothing says that there are two sides."""
    threshold = _threshold(name, want, labels)
    if threshold is None:
        return None
    usable = ~np.isnan(want)
    other = usable & (((want >= threshold) != (got >= threshold)) | np.isnan(got))
    rows = np.flatnonzero(other)
    away = np.abs(want.astype(np.float64) - threshold)
    within = (away <= limit) & ~np.isnan(got)
    close = int(within[rows].sum())
    margin = float(away[rows].max()) if rows.size else None
    sides = labels if len(labels) == _TWO else (f"below {threshold:g}", f"{threshold:g} or more")

    def side(value: float) -> str:
        return "NaN" if np.isnan(value) else str(sides[int(value >= threshold)])

    clearest = rows[least(-away[rows], SHOWN)]
    shown = tuple(Flip(int(r), side(want[r]), side(got[r]), float(away[r]), bool(within[r])) for r in clearest)
    where = "other" if rows.size else "same"
    verb = f"{'lies' if rows.size == 1 else 'lie'} on the {where} side of {threshold:g}"
    said = told("rows", int(usable.sum()), len(rows), verb, close=close, margin=margin)
    flipped = tuple(map(int, rows[:SHOWN]))
    return Decisions(THRESHOLD, int(usable.sum()), len(rows), flipped, margin, said=said, close=close, shown=shown)


def _threshold(name: str, want: Array, labels: Sequence[str]) -> float | None:
    """0.5 of a probability; 0 of what is no probability, though the labels or its own name say that it decides for two."""
    finite = want[np.isfinite(want)]
    if not finite.size:
        return None
    if finite.min() >= 0 and finite.max() <= 1:
        both = finite.min() < HALF <= finite.max()
        return HALF if both or len(labels) == _TWO else None
    return 0.0 if len(labels) == _TWO or "logit" in name.lower() else None
