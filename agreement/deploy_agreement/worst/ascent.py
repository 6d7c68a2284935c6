"""Steps along a gradient: towards answers that lie further apart, and towards great and small answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deploy_agreement.worst.asking import Numbers
from deploy_agreement.worst.judging import Judge, Place
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import DeployError
from deploy_core.predictor import HasGradient
from deploy_core.signature import Array

_PARENTS, _FEW = 8, 2
Random = np.random.Generator


class Ascent:
    """Differentiates the predictors; `able` says whether that can be done."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.frame = judge.frame
        spaces = judge.frame.spaces
        self.floats = [n for n in judge.frame.free if not spaces[n].whole and not spaces[n].dtype.startswith("complex")]
        self.able = bool(self.floats) and isinstance(judge.one, HasGradient)
        self.parents = _PARENTS if judge.frame.axes else _FEW

    def children(self, parents: Sequence[Numbers], count: int, rng: Random) -> list[Numbers]:
        """Give candidates a step away from their parents; none where there is no derivative."""
        if not parents:
            return []
        inputs = self.frame.inputs(parents)
        try:
            slopes = self._slopes(inputs, len(parents), rng)
        except DeployError:
            self.able = False  # what has no derivative now will have none later
            return []
        turns = (i % len(parents) for i in range(count))
        return [self._stepped(parents[i], {n: slopes[n][i] for n in self.floats}, rng) for i in turns]

    def _slopes(self, inputs: Mapping[str, Array], count: int, rng: Random) -> dict[str, Array]:
        """Give how the deviation of every second candidate rises, and of the others one of their answers.

        The answers of a predictor that cannot be differentiated are taken for constant.
        """
        want, got = self.judge.both(inputs)
        weights = {n: np.zeros(a.shape, a.dtype) for n, a in want.outputs.items() if _is_real(a)}
        apart = np.arange(count) % 2 == 0
        for index in range(count):
            _aim(weights, index, self.judge.place(want, got, index) if apart[index] else None, rng)
        found = self._derived(self.judge.one, inputs, weights, count)
        if isinstance(self.judge.other, HasGradient):
            off = self._derived(self.judge.other, inputs, weights, count)
            with np.errstate(invalid="ignore"):  # both may rise without end: no way to step
                found = {n: found[n] - _where(apart, off[n]) for n in found}
        return found

    def _derived(
        self, of: object, inputs: Mapping[str, Array], weights: Mapping[str, Array], count: int
    ) -> dict[str, Array]:
        assert isinstance(of, HasGradient)
        if self.frame.axes:
            slope = of.gradient(self.frame.question(inputs), self.frame.weights(weights))
            return {n: np.moveaxis(slope[n], self.frame.axes[n], 0).astype(np.float64) for n in self.floats}
        alone = [of.gradient(*({n: a[i] for n, a in part.items()} for part in (inputs, weights))) for i in range(count)]
        return {n: np.stack([slope[n] for slope in alone]).astype(np.float64) for n in self.floats}

    def _stepped(self, parent: Numbers, slopes: Numbers, rng: Random) -> Numbers:
        child = dict(parent)
        sharp, length = rng.random() < 0.5, 10 ** rng.uniform(-3, 0)
        for name, slope in slopes.items():
            greatest = np.abs(slope).max(initial=0.0)
            if not np.isfinite(greatest) or greatest == 0:
                continue
            way = np.sign(slope) if sharp else slope / greatest
            space = self.frame.spaces[name]
            child[name] = space.fitted(parent[name] + length * space.span * way)
        return child


def _aim(weights: Mapping[str, Array], index: int, place: Place | None, rng: Random) -> None:
    """Let the gradient of a candidate be that of its worst element, away from the other's answer; else of any element."""
    if place is not None and place.output in weights and np.isfinite(place.got):
        weights[place.output][(index, *place.at)] = 1.0 if place.want >= place.got else -1.0
        return
    names = [name for name, array in weights.items() if array.size]
    if names:
        rows = weights[names[rng.integers(len(names))]]
        element = np.unravel_index(rng.integers(rows[0].size), rows.shape[1:])
        rows[(index, *element)] = rng.choice([-1.0, 1.0])


def _where(mask: Array, array: Array) -> Array:
    return np.where(mask.reshape(-1, *[1] * (array.ndim - 1)), array, 0.0)


def _is_real(array: Array) -> bool:
    return is_float(dtype_name(array.dtype)) and array.dtype.kind != "c"
