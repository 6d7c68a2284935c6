"""Which sizes of batches are to blame: their rows are asked once more, in batches of a size that is answered well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deploy_agreement.probing.drawing import part_of
from deploy_agreement.probing.probes import Probe
from deploy_agreement.probing.sizes import listed
from deploy_agreement.results.outputs import Problem
from deploy_agreement.results.report import Agreement
from deploy_agreement.rows import rows_of
from deploy_core.errors import DeployError
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors

_TRIED = 4  # sizes whose rows are asked once more

Part = tuple[Probe, Tensors]
Judged = Callable[[Probe, Tensors], Agreement]


@dataclass(frozen=True)
class Blamed:
    """Sizes at which answers are wrong, while the same rows are right in others; `row` is of a batch of the first."""

    said: str
    row: Agreement

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, the size first."""
        return (Problem("batch-size", self.said), *self.row.problems)


def blamed(predictor: Predictor, parts: Sequence[Part], judged: Judged) -> Blamed | None:
    """Give the sizes that are to blame, None if there are none or some rows are wrong in batches of other sizes, too."""
    rows = [(_rows(predictor, part), part, judged(*part)) for part in parts]
    wrong = {size: (part, row) for size, part, row in reversed(rows) if not row.ok}
    good = sorted({size for size, _, row in rows if row.ok} - wrong.keys())
    if not good or not wrong:
        return None
    tried = {size: min(good, key=lambda one: (abs(one - size), one)) for size in sorted(wrong)[:_TRIED]}
    if not all(_is_the_size(predictor, wrong[size][0][0], size, instead, judged) for size, instead in tried.items()):
        return None
    first, instead = next(iter(tried.items()))
    told = f"wrong at batch size {listed(wrong)}, and the same rows are right in batches of {instead}"
    return Blamed(told, wrong[first][1])


def _is_the_size(predictor: Predictor, part: Probe, size: int, instead: int, judged: Judged) -> bool:
    """Whether they are wrong again, and right in batches of another size: not by chance, and not these rows."""
    return not _is_right(predictor, part, size, judged) and _is_right(predictor, part, instead, judged)


def _is_right(predictor: Predictor, part: Probe, size: int, judged: Judged) -> bool:
    try:
        return all(judged(one, predictor.predict(one.inputs)).ok for one in _again(predictor, part, size))
    except DeployError:
        return False


def _again(predictor: Predictor, part: Probe, size: int) -> Iterator[Probe]:
    axes = rows_of(predictor.signature, part.inputs, part.outputs)
    for start in range(0, axes.count, size):
        yield part_of(part, axes, (start + np.arange(size)) % axes.count)


def _rows(predictor: Predictor, part: Part) -> int:
    return rows_of(predictor.signature, part[0].inputs, part[0].outputs).count
