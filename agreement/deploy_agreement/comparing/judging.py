"""Judging answers as they come, so that only those that disagree have to be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from deploy_agreement.comparing.answers import Answer, fits, wanted
from deploy_agreement.comparing.elements import POINTS, WORST, Judged, Pair, judged, points
from deploy_agreement.figures import spread
from deploy_agreement.results.outputs import OutputAgreement
from deploy_agreement.rows import Rows
from deploy_agreement.tolerances.limits import Tolerance
from deploy_agreement.tolerances.terms import Terms
from deploy_core.dtypes import dtype_name
from deploy_core.signature import Array, Tensors


class Judging:
    """What was found so far; `asked` is how many rows are asked for in all batches together."""

    def __init__(self, want: Tensors, rows: Rows, limits: Mapping[str, Tolerance], terms: Terms, asked: int) -> None:
        self._want = want
        self._rows = rows
        batches = {name: asked / rows.count if name in rows.outputs else 1.0 for name in want}
        self._outputs = {
            name: _Output(name, array, limits[name], terms, rows.outputs.get(name), batches[name] * array.size)
            for name, array in want.items()
        }

    def see(self, answer: Answer) -> Answer:
        """Judge an answer; give it without what agrees, but for the whole batch."""
        agreed = frozenset(name for name in self._want if self._agrees(answer, name))
        kept = {name: got for name, got in answer.got.items() if answer.whole or name not in agreed}
        return replace(answer, got=kept, agreed=agreed)

    def _agrees(self, answer: Answer, name: str) -> bool:
        want = wanted(self._want, self._rows, answer, name) if name in answer.got else None
        return want is not None and self._outputs[name].agrees(answer, want)

    def outputs(self) -> tuple[OutputAgreement, ...]:
        """Give what was found of each output."""
        return tuple(output.agreement() for output in self._outputs.values())


@dataclass
class _Output:
    """One output over all answers; `total` is how many of its elements are asked for."""

    name: str
    want: Array
    limit: Tolerance
    terms: Terms
    axis: int | None
    total: float
    asked: int = 0
    found: list[tuple[Array, Judged]] = field(default_factory=list)  # with the golden rows
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @cached_property
    def scale(self) -> float:
        """Give what ULPs of smaller values are counted at."""
        return spread(self.want)

    def agrees(self, answer: Answer, want: Array) -> bool:
        """Judge one answer."""
        self.asked += 1
        got = answer.got[self.name]
        if not want.size or not fits(want, got, self.terms.precision):
            return False
        pair = Pair(want, got, self.limit, self.terms.nan_agrees)
        one = judged(pair, self.scale, self.random, int((POINTS - WORST) * want.size / self.total) + 1)
        self.found.append((answer.index, one))
        return one.ok

    def agreement(self) -> OutputAgreement:
        """Give what all answers say together."""
        kind = dtype_name(self.want.dtype)
        if not self.found:
            return OutputAgreement(self.name, kind, self.limit, ok=False)
        each = [one for _, one in self.found]
        index, worst = max(self.found, key=lambda found: found[1].times)
        return OutputAgreement(
            name=self.name,
            dtype=kind,
            tolerance=replace(self.limit, origin=self.limit.at(worst.place)),
            ok=all(one.ok for one in each) and len(each) == self.asked,
            compared=sum(one.compared for one in each),
            max_abs=max(one.figures.max_abs for one in each),
            max_rel=max(one.figures.max_rel for one in each),
            max_ulp=max(one.figures.max_ulp for one in each),
            needed=max(one.needed for one in each),
            needed_times=worst.times,
            worst_batch=len(index),
            worst_row=None if self.axis is None else int(index[worst.place[self.axis]]),
            worst=worst.worst,
            points=points(each, self.random),
        )
