"""Wrong answers that can be recognised: whose values they are, which rows, and what was done to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deploy_agreement.blocks import Block, blocks
from deploy_agreement.comparing.answers import Answer, wanted
from deploy_agreement.comparing.elements import Pair
from deploy_agreement.comparing.mending import mended_inputs
from deploy_agreement.comparing.patterns import patterns
from deploy_agreement.figures import comparable, deviation, spread
from deploy_agreement.results.outputs import Problem
from deploy_agreement.rows import Rows, rows_at
from deploy_agreement.scales import reach
from deploy_agreement.tolerances.limits import Tolerance
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.errors import DeployError
from deploy_core.predictor import Predictor
from deploy_core.signature import Array, Tensors

_COLUMNS = 256  # of a row, enough to know it by
_NAMED = 5  # rows


@dataclass(frozen=True)
class Case:
    """A comparison that found a disagreement."""

    predictor: Predictor
    inputs: Tensors
    want: Tensors
    rows: Rows
    answers: Sequence[Answer]
    limits: Mapping[str, Tolerance]
    known: Mapping[str, Tensors]
    nan_agrees: bool = False

    def pair(self, answer: Answer, name: str) -> tuple[Array, Array] | None:
        """Give wanted and got values of an output, if they can be compared and there are any."""
        got = answer.got.get(name)
        want = None if got is None else wanted(self.want, self.rows, answer, name)
        return (want, got) if want is not None and got is not None and want.size and comparable(want, got) else None

    def agrees(self, answer: Answer, name: str) -> bool:
        """Tell whether one output of one answer agrees."""
        return self._verdicts[id(answer), name]

    @cached_property
    def _verdicts(self) -> dict[tuple[int, str], bool]:
        return {(id(answer), name): self._judged(answer, name) for answer in self.answers for name in self.want}

    def _judged(self, answer: Answer, name: str) -> bool:
        pair = None if name in answer.agreed else self.pair(answer, name)
        return name in answer.agreed or (
            pair is not None and near(*pair, self.limits[name], nan_agrees=self.nan_agrees)
        )


def diagnose(case: Case) -> list[Problem]:
    """Give what can be said of the outputs that disagree, the surest first; nothing, if nothing can be told."""
    found = []
    for name in case.want:
        wrong = [a for a in case.answers if case.pair(a, name) and not case.agrees(a, name)]
        if wrong:
            found += _one(case, name, wrong)
    return found or _mended(case)


def near(want: Array, got: Array, limit: Tolerance, *, nan_agrees: bool = False) -> bool:
    """Tell whether every element lies within the tolerance."""
    return comparable(want, got) and Pair(want, got, limit, nan_agrees).agrees()


def _one(case: Case, name: str, wrong: Sequence[Answer]) -> list[Problem]:
    """The first explanation that holds; beside it, which batch sizes are concerned."""
    explanations = (_other_output(case, name, wrong), _other_rows(case, name, wrong), _pattern(case, name, wrong))
    surest = next((problem for problem in explanations if problem), None)
    return [problem for problem in (surest, _some_sizes(case, name, wrong, explained=surest is not None)) if problem]


def _other_output(case: Case, name: str, wrong: Sequence[Answer]) -> Problem | None:
    """Whether the values are those of another output, or of another model that is known."""
    for other in case.want:
        if other != name and _all_near(case, name, wrong, case.want[other]):
            return Problem("swapped-outputs", f"output {name!r} holds the values of {other!r}", name)
    for owner, outputs in case.known.items():
        if name in outputs and _all_near(case, name, wrong, outputs[name]):
            return Problem("stale", f"output {name!r} holds the values of {owner}", name)
    return None


def _all_near(case: Case, name: str, wrong: Sequence[Answer], instead: Array) -> bool:
    if instead.shape != case.want[name].shape:
        return False
    for answer in wrong:
        values = wanted({name: instead}, case.rows, answer, name)
        if values is None or not near(values, answer.got[name], case.limits[name]):
            return False
    return True


def _other_rows(case: Case, name: str, wrong: Sequence[Answer]) -> Problem | None:
    """Whether the rows are right, but not those that were asked for."""
    axis = case.rows.outputs.get(name)
    if axis is None:
        return None
    found = [(answer, _owners(case, name, answer, axis)) for answer in wrong]
    explained = [(answer, owners) for answer, owners in found if owners is not None]
    if len(explained) < len(found):
        return None  # single rows can look like others by chance
    answer, owners = max(explained, key=lambda pair: pair[0].size)
    place = int(np.flatnonzero(owners != answer.index)[0])
    inside = all(set(owners) <= set(answer.index) for answer, owners in explained)
    said = "rows are mixed up within a batch" if inside else "rows are answers to other rows of the golden inputs"
    return Problem(
        "rows-mixed-up",
        f"output {name!r}: {said}; at batch size {answer.size}, row {place} is the answer to golden row "
        f"{owners[place]} instead of {answer.index[place]}",
        name,
    )


def _owners(case: Case, name: str, answer: Answer, axis: int) -> Array | None:
    """Give the golden row that each row of the answer belongs to, None unless all are found and one is elsewhere for sure.

    Of one of three classes, any is the answer to many rows: that tells nothing.
    """
    every = _flat(case.want[name], axis)
    got = _flat(answer.got[name], axis)
    limit = _flat(case.limits[name].limit(case.want[name]), axis)
    right = (deviation(every[answer.index], got) <= limit[answer.index]).all(axis=1)
    found, sure = answer.index.copy(), False  # of equal rows the asked one is meant, else one of the same batch
    for place in np.flatnonzero(~right):
        close = np.asarray((deviation(every, np.broadcast_to(got[place], every.shape)) <= limit).all(axis=1))
        if not close.any():
            return None
        within = answer.index[close[answer.index]]
        found[place] = within[0] if within.size else int(close.argmax())
        sure = sure or close.sum() == 1
    return found if sure else None


def _flat(array: Array, axis: int) -> Array:
    rows = np.moveaxis(array, axis, 0)
    count = math.prod(rows.shape[1:])
    chosen = np.unravel_index(np.arange(0, count, max(1, count // _COLUMNS)), rows.shape[1:]) if count > 1 else ()
    place: Block = (slice(None), *chosen)
    return np.asarray(rows[place]).reshape(len(rows), -1)


def _pattern(case: Case, name: str, wrong: Sequence[Answer]) -> Problem | None:
    """Whether the values follow from the wanted ones by something that was done to them."""
    pair = case.pair(wrong[0], name)
    if _good_sizes(case, name, wrong):
        return None  # what is done to values is done at every batch size
    if pair is None or not is_float(dtype_name(pair[0].dtype)) or not _finite(*pair):
        return None
    said = next(patterns(*pair, case.limits[name].value), None)
    return Problem(said[0], f"output {name!r} {said[1]}", name) if said else None


def _finite(*arrays: Array) -> bool:
    return all(np.isfinite(array[block]).all() for array in arrays for block in blocks(array.shape))


def _good_sizes(case: Case, name: str, wrong: Sequence[Answer]) -> list[int]:
    return sorted({a.size for a in case.answers if case.agrees(a, name)} - {a.size for a in wrong})


def _some_sizes(case: Case, name: str, wrong: Sequence[Answer], *, explained: bool) -> Problem | None:
    bad = sorted({answer.size for answer in wrong})
    good = _good_sizes(case, name, wrong)
    if not good:
        company = None if explained else _in_company(case, name, wrong)
        return company or _some_rows(case, name, wrong, most=_NAMED)  # of many, some may be right by chance
    if rows := _some_rows(case, name, wrong, most=case.rows.count):
        return rows
    message = f"output {name!r} agrees at batch size {_listed(good)}, but not at {_listed(bad)}"
    return Problem("batch-size", message + ("" if explained else _why_sizes(case, name, wrong, good, bad)), name)


def _some_rows(case: Case, name: str, wrong: Sequence[Answer], *, most: int) -> Problem | None:
    """Whether some rows, but no more than `most`, are wrong in whatever batch, and others are not."""
    guilty = {row for answer in wrong for row in answer.index[_wrong_places(case, name, answer)].tolist()}
    right = {row for a in case.answers if case.agrees(a, name) for row in a.index.tolist()}
    if not 0 < len(guilty) <= most or not right or guilty & right:
        return None
    rows = _listed(sorted(guilty)[:_NAMED]) + (", …" if len(guilty) > _NAMED else "")
    return Problem("some-rows", f"output {name!r} is wrong for golden row {rows}, of {case.rows.count}", name)


def _in_company(case: Case, name: str, wrong: Sequence[Answer]) -> Problem | None:
    """Whether a row that is always wrong gets one answer alone and another one beside others."""
    axis = case.rows.outputs.get(name)
    whole = next((answer for answer in wrong if answer.whole), None)
    if axis is None or whole is None:
        return None
    usual = reach(case.want[name]) or 1.0
    for answer in [one for one in wrong if not one.whole and case.pair(one, name)]:
        if not _same(case, name, rows_at(whole.got[name], axis, answer.index), answer.got[name], usual):
            said = f"output {name!r}: rows get another answer in a batch of {answer.size} than in one of {whole.size}"
            return Problem("batch-size", f"{said}: rows influence each other, or no answer is given twice", name)
    return None


def _same(case: Case, name: str, beside: Array, own: Array, usual: float) -> bool:
    """Whether two wrong answers are one, but for rounding: they may be greater than those that the tolerance is for."""
    pair = Pair(own, beside, case.limits[name], nan_agrees=True)
    return not comparable(beside, own) or pair.agrees(max(1.0, reach(own) / usual))


def _why_sizes(case: Case, name: str, wrong: Sequence[Answer], good: Sequence[int], bad: Sequence[int]) -> str:
    """Say what it looks like: rows beyond a place are lost, or rows that are right alone are wrong in company."""
    if 1 not in good or max(good) > min(bad):
        return ""
    largest = max(wrong, key=lambda answer: answer.size)
    places = _wrong_places(case, name, largest)
    if places.size and places[0] >= max(good) and places.size == largest.size - places[0]:
        return f": every row of a batch from row {places[0]} on is wrong"
    return ": rows influence each other"


def _wrong_places(case: Case, name: str, answer: Answer) -> Array:
    """Give the places in a batch of the rows that are beyond the tolerance, none where an output has no rows."""
    pair, axis = case.pair(answer, name), case.rows.outputs.get(name)
    if pair is None or axis is None:
        return np.zeros(0, np.intp)
    held = Pair(*pair, case.limits[name], case.nan_agrees)
    beyond = np.empty(held.want.shape, np.bool_)
    for block in blocks(beyond.shape):
        beyond[block] = held.part(block).beyond()
    return np.flatnonzero(np.moveaxis(beyond, axis, 0).reshape(answer.size, -1).any(axis=1))


def _mended(case: Case) -> list[Problem]:
    """Whether the whole batch agrees once something is done to the inputs."""
    if not all(spread(array) for array in case.want.values() if array.dtype.kind not in "bO"):
        return []  # constant outputs agree with anything
    for kind, said, inputs in mended_inputs(case.inputs):
        if _agrees_on(case, inputs):
            return [Problem(kind, said)]
    return []


def _agrees_on(case: Case, inputs: Tensors) -> bool:
    try:
        got = case.predictor.predict(inputs)
    except DeployError:
        return False  # it agrees no better with these
    return all(name in got and near(array, got[name], case.limits[name]) for name, array in case.want.items())


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
