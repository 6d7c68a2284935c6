"""Whether a variant with coarser numbers still answers what it answered itself when it was published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deploy_agreement.figures import deviation, eps, magnitude, spread, tiny
from deploy_agreement.results.outputs import Problem
from deploy_agreement.results.report import AGREE, DISAGREE, TOLD, Check
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array, Tensors

NAME = "as published"
_VALUES = 256  # of int8
_OFF_GRID = 0.02  # of a step: answers that lie nearer to it are on the grid
_OFF = 0.1  # of a step: an answer that is further off is another one
_ROUNDING = 64.0  # eps of what is usual for an output without a grid: no more than floats round


# The same file by the same runtime on as many of the same processors answers the same bits: with any such, next to nothing
# may differ. Other kernels (XNNPACK or not) round each layer's ties in other ways: by a step or two in up to six of ten
# values, up and down alike, and by up to 0.75 of what the variant is off from its source (rms).
_STEPS, _SHARE, _RMS = 1.1, 0.005, 0.02
_MEAN, _OTHER_RMS, _OTHER_BATCH = 0.5, 1.0, 1.5


def as_published(got: Tensors, kept: Tensors, want: Tensors, *, alike: bool) -> Check:
    """Compare answers to the whole golden batch with those `kept` of the same artifact; `want` are the source's.

    `alike` says that runtime and processor are those that gave the kept ones: then next to nothing may differ. Otherwise
    that much is told, and only answers that are shifted one way, or lie as far from the kept ones as those from the
    source's, disagree. Names, shapes and dtypes are judged elsewhere.
    """
    names = [name for name in kept if name in got and name in want and got[name].shape == kept[name].shape]
    found = [_one(name, got[name], kept[name], want[name]) for name in names]
    strict = [one for one in found if one.is_other]
    bad = strict if alike else [one for one in found if one.is_another_model]
    if not strict:
        return Check(NAME, AGREE, "; ".join(map(str, found)), _rows(kept))
    if not bad:
        told = "; ".join(map(str, strict))
        return Check(NAME, TOLD, f"{told}: as other kernels round, or other numbers in the file do", _rows(kept))
    problems = tuple(Problem(NAME.replace(" ", "-"), str(one), one.name) for one in bad)
    return Check(NAME, DISAGREE, "; ".join(map(str, bad)), _rows(kept), problems=problems)


@dataclass(frozen=True)
class _Apart:
    """How far one output lies from what was kept, `off` counting other values.

    `step` is that of its grid, 0 without one; `steps` is the greatest deviation and `mean` the mean one in such; `rms` is
    in units of what the kept answers are off from the source, or of a step where that is more.
    """

    name: str
    count: int
    off: int
    step: float = 0.0
    steps: float = 0.0
    mean: float = 0.0
    rms: float | None = None

    @property
    def is_other(self) -> bool:
        """Whether the same kernels can not have given both."""
        few = max(1.0, _SHARE * self.count)
        if self.rms is None or self.step:
            return self.off > few or self.steps > _STEPS
        return self.off > 0 and self.rms > _RMS

    @property
    def is_another_model(self) -> bool:
        """Whether not even other kernels can have given both; of what is no float that is not known."""
        if not self.off or self.rms is None:
            return False
        return abs(self.mean) > _MEAN or self.rms > (_OTHER_RMS if self.step else _OTHER_BATCH)

    def __str__(self) -> str:
        if not self.off:
            return f"output {self.name!r} is what it was"
        many = f"output {self.name!r} has {self.off:,} of {self.count:,} values other than when it was published"
        if self.step:
            return f"{many}, by up to {self.steps:.2g} steps of {self.step:.2g}, on average by {self.mean:+.2g}"
        return many if self.rms is None else f"{many}, by {self.rms:.1%} (rms) of what they were off from the source"


def step_of(kept: Array) -> float:
    """Give the step of the grid that int8 answers lie on; 0 if they lie on none, or hardly vary."""
    if not is_float(dtype_name(kept.dtype)) or kept.dtype.kind == "c" or not np.isfinite(kept).all():
        return 0.0
    values = np.unique(kept.astype(np.float64))
    if len(values) < 3:
        return 0.0
    gaps = np.diff(values)
    step = float(gaps[gaps > gaps.max() / _VALUES**2].min())
    places = values / step
    on_it = np.abs(places - np.round(places)).max() <= _OFF_GRID
    return step if on_it and (values[-1] - values[0]) / step < _VALUES - 0.5 else 0.0


def _one(name: str, got: Array, kept: Array, want: Array) -> _Apart:
    apart, kind = deviation(kept, got), dtype_name(kept.dtype)
    if not is_float(kind):
        return _Apart(name, kept.size, int((apart > 0).sum()))
    lost, step = deviation(want, kept), step_of(kept)
    rms = _rms(apart) / max(_rms(lost[np.isfinite(lost)]), step, eps(kind) * spread(want), tiny(kind))
    if step:
        steps = apart / step
        mean = float(np.where(got > kept, steps, -steps).mean()) if np.isfinite(steps).all() else np.inf
        off = int((steps > _OFF).sum())
        return _Apart(name, kept.size, off, step, float(steps.max(initial=0.0)), mean, rms)
    size = magnitude(kept)
    rounding = _ROUNDING * eps(kind) * (spread(kept) + float(np.where(np.isfinite(size), size, 0.0).mean()))
    return _Apart(name, kept.size, int((apart > rounding).sum()), rms=rms)


def _rms(apart: Array) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.sqrt(np.mean(np.square(apart)))) if apart.size else 0.0


def _rows(kept: Tensors) -> int:
    first = next(iter(kept.values()), None)
    return len(first) if first is not None and first.ndim else 0
