"""How far two answers lie apart, in units of what is tolerated; and how much of that is rounding, there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from deploy_agreement.figures import comparable, deviation, eps, magnitude
from deploy_agreement.tolerances.limits import NOISE_FACTOR
from deploy_agreement.tolerances.nudges import part
from deploy_agreement.worst.asking import Asked, Frame, Numbers
from deploy_agreement.worst.bounds import Bounds
from deploy_agreement.worst.neighbours import neighbours
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import DeployError
from deploy_core.predictor import HasFloat64, Predictor
from deploy_core.signature import Array


@dataclass(frozen=True)
class Place:
    """The worst element of a candidate: of which output, where in its answer, how far off in tolerances."""

    over: float
    output: str = ""
    at: tuple[int, ...] = ()
    want: float = 0.0
    got: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True)
class Scores:
    """Of every candidate: how far off, how near a class is to becoming another, the greatest and the least answer."""

    over: Array
    near: Array
    high: Array
    low: Array


class Judge:
    """Asks both predictors, and says how far apart they are."""

    def __init__(self, one: Predictor, other: Predictor, frame: Frame, bounds: Bounds) -> None:
        self.one = one
        self.other = other
        self.frame = frame
        self.bounds = bounds
        self.answered = False
        self.reach: dict[str, float] = {}
        self.parts: dict[str, float] = {}

    def both(self, inputs: Mapping[str, Array]) -> tuple[Asked, Asked]:
        """Ask both for candidates."""
        want = self.frame.ask(self.one.predict, inputs)
        self.answered |= bool(want.outputs)
        return want, self.frame.ask(self.other.predict, inputs)

    def learn(self, want: Asked) -> None:
        """Hear answers to golden inputs: the tolerances are for answers as great as these."""
        for name, array in want.outputs.items():
            self.reach[name] = max(self.reach.get(name, 0.0), float(_reach(array).max(initial=0.0)))
        for name, array in self.frame.golden.items():
            self.parts[name] = min(self.parts.get(name, 1.0), part(array, want.outputs))

    def scores(self, want: Asked, got: Asked) -> Scores:
        """Score every candidate; one that the first predictor refuses is nobody's fault, and the least of all."""
        count = len(want.lost)
        over = np.zeros(count)
        near, high, low = (np.full(count, -np.inf) for _ in range(3))
        for name, array in want.outputs.items():
            off, limit = self.off(name, array, got)
            over = np.maximum(over, _rows(_ratio(off, limit)).max(axis=1, initial=0.0))
            if is_float(dtype_name(array.dtype)) and array.dtype.kind != "c":
                flat = _rows(array.astype(np.float64))
                near = np.maximum(near, _nearness(flat, _rows(off)))
                high, low = np.maximum(high, flat.max(axis=1)), np.maximum(low, -flat.min(axis=1))
        over = np.where(got.lost, np.inf, over)
        return Scores(*(_known(np.where(want.lost, -np.inf, values)) for values in (over, near, high, low)))

    def off(self, name: str, want: Array, got: Asked) -> tuple[Array, Array]:
        """Give deviation and tolerance of every element; what the first predictor itself does not know is not judged."""
        limit = self._limit(name, want)
        if name not in got.outputs or not comparable(want, got.outputs[name]):
            return np.full(want.shape, np.inf), limit
        off = deviation(want, got.outputs[name])
        return np.where(_is_nan(want), 0.0, off), limit

    def _limit(self, name: str, want: Array) -> Array:
        axis = self.frame.output_axes.get(name, 0)  # a tolerance of each element lies as the answer to a batch does
        limit = self.bounds.limits[name].limit(np.moveaxis(want, 0, axis))
        limit = np.moveaxis(np.broadcast_to(limit, np.moveaxis(want, 0, axis).shape), axis, 0)
        if not self.bounds.grows or not self.reach.get(name):
            return limit
        # Rounding grows with what is rounded, and answers may be greater here than those that the tolerance is from.
        more = np.maximum(1.0, _reach(want) / self.reach[name])
        return np.asarray(limit * more.reshape(-1, *[1] * (want.ndim - 1)))

    def place(self, want: Asked, got: Asked, index: int, least: Mapping[str, Array] | None = None) -> Place:
        """Give the worst element of one candidate; `least` are tolerances that its outputs have at least."""
        if got.lost[index] and not want.lost[index]:
            return Place(np.inf, next(iter(want.outputs)), (), np.nan, np.nan)
        found = [self._of_output(name, want, got, index, (least or {}).get(name)) for name in want.outputs]
        return max(found, key=lambda place: place.over, default=Place(0.0))

    def _of_output(self, name: str, want: Asked, got: Asked, index: int, least: Array | None) -> Place:
        off, limit = (array[index] for array in self.off(name, want.outputs[name], got))
        limit = limit if least is None else np.maximum(limit, least)
        ratio = _ratio(off, limit)
        if not ratio.size:
            return Place(0.0, name)
        at = np.unravel_index(int(ratio.argmax()), ratio.shape)
        values = (float(ratio[at]), number(want.outputs[name][index][at]))
        known = name in got.outputs and got.outputs[name].shape == want.outputs[name].shape
        other = number(got.outputs[name][index][at]) if known else float("nan")
        return Place(values[0], name, tuple(map(int, at)), values[1], other, float(limit[at]))

    def noise(self, candidate: Numbers, want: Asked, index: int, rng: np.random.Generator) -> dict[str, Array]:
        """Give the tolerance that rounding alone asks for at one candidate, per element of each output.

        It is the greatest of: 8 × |float32 − float64| where that can be had, there and in the neighbourhood; how far
        answers move when inputs move by 8 units in the last place of the dtype that is computed in, which is what the
        roundings inside amount to, and shows an edge that the model itself has there; and how much the answer depends on
        the size of the batch.
        """
        beside = neighbours(candidate, self.frame, self.parts, self.bounds.precision, rng)
        copies = self.frame.inputs(beside.candidates)
        moved = self.frame.ask(self.one.predict, copies)
        exact = self._exact(copies)
        return {
            name: np.maximum(beside.moved(_apart(array[index], moved, name)), self._inexact(name, moved, exact))
            for name, array in want.outputs.items()
            if name in moved.outputs
        }

    def _inexact(self, name: str, moved: Asked, exact: Asked | None) -> Array | float:
        if exact is None or name not in exact.outputs:
            return 0.0
        kind = dtype_name(moved.outputs[name].dtype)
        factor = NOISE_FACTOR * max(1.0, eps(self.bounds.precision) / eps(kind)) if is_float(kind) else 1.0
        known = deviation(moved.outputs[name], exact.outputs[name])[~moved.lost]
        return np.asarray(factor * known.max(axis=0, initial=0.0))

    def _exact(self, copies: Mapping[str, Array]) -> Asked | None:
        if not isinstance(self.one, HasFloat64):
            return None
        try:
            return self.frame.ask(self.one.predict_float64, copies, strict=True)
        except DeployError:
            return None  # a model that has float32 written into it: then the neighbourhood alone tells


def of_row(place: Place, row: int | None, axis: int | None) -> Place:
    """Give a place in the answer of a candidate as one in the answer to a batch, of which it is that row."""
    if row is None or axis is None:
        return place
    return replace(place, at=(*place.at[:axis], row, *place.at[axis:]))


def _apart(want: Array, moved: Asked, name: str) -> Array:
    """Give how far answers lie from another, of those that were not refused."""
    answers = moved.outputs[name]
    off = deviation(np.broadcast_to(want, answers.shape), answers)
    return np.where(moved.lost.reshape(-1, *[1] * want.ndim), 0.0, off)


def _ratio(off: Array, limit: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where((off == 0) | np.isinf(limit), 0.0, off / limit)


def _reach(array: Array) -> Array:
    """Give the greatest finite magnitude of every candidate's answer."""
    size = _rows(magnitude(array))
    return np.asarray(np.where(np.isfinite(size), size, 0.0).max(axis=1))


def _nearness(flat: Array, off: Array) -> Array:
    """How near the answer of a classifier is to another class: what it is off by, beside the margin of its best class."""
    if flat.shape[1] < 2:
        return np.full(len(flat), -np.inf)
    best = np.partition(np.nan_to_num(flat, nan=-np.inf, posinf=np.inf, neginf=-np.inf), -2, axis=1)[:, -2:]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(off.max(axis=1) / (best[:, 1] - best[:, 0]))


def _rows(array: Array) -> Array:
    return array.reshape(len(array), -1) if array.size else np.zeros((len(array), 1))


def _known(values: Array) -> Array:
    return np.where(np.isnan(values), -np.inf, values)


def _is_nan(array: Array) -> Array:
    if not is_float(dtype_name(array.dtype)):
        return np.zeros(array.shape, bool)
    return np.isnan(array.astype(np.complex128 if array.dtype.kind == "c" else np.float64))


def number(value: object) -> float:
    """Give an element as a figure, integers exactly; of text there is none."""
    if isinstance(value, bytes | str):
        return float("nan")
    if isinstance(value, np.integer):
        return int(value)
    return float(magnitude(np.asarray(value))) if np.iscomplexobj(value) else float(value)  # type: ignore[arg-type]
