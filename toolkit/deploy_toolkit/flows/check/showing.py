"""Inputs at which a subject disagrees, few of them: what two models are looked into with, to see where they part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf

import numpy as np

from deploy_agreement import Agreement, OutputAgreement, Probe, Terms, Worst, compare
from deploy_agreement.probing.asking import checked
from deploy_agreement.results.report import AGREE, DISAGREE, Check
from deploy_agreement.rows import batches_of, rows_of, take
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature, Tensors
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.subjects import Subject

_ROWS = 4  # those at which it is worst among them: every tensor inside is sent for each
_MOST_ROWS = 64  # of a question that shows it only as a whole
_GOLDEN = "golden"


@dataclass(frozen=True)
class Shown:
    """A question at which a subject disagrees, and what is tolerated of each output there; `where` is empty for golden rows.

    `certain` says that it was seen to disagree there; if not, it did so only somewhere else.
    """

    inputs: Tensors
    limits: Mapping[str, float]
    where: str = ""
    certain: bool = False
    probe: Probe | None = None


@dataclass(frozen=True)
class _Question:
    """What may show it, in words, too."""

    probe: Probe
    terms: Terms
    where: str = ""


def shown(subject: Subject, predictor: Predictor, row: Agreement, inquiry: Inquiry, worst: Worst | None) -> Shown:
    """Ask once more and give the first question that shows it: golden rows, other batches and sizes, further probes.

    If none does, an input that was searched for is taken, else golden rows. Raises what the predictor does.
    """
    first: Shown | None = None
    for one in _questions(subject, predictor.signature, row, inquiry):
        check = _asked(predictor, one)
        found = Shown(one.probe.inputs, _limits(check.outputs), one.where, probe=one.probe)
        if check.verdict == DISAGREE and check.outputs:
            return replace(found, certain=True)
        first = first or found
    if worst is not None and not worst.ok:
        return Shown(worst.inputs, {}, certain=True)
    return first or Shown(inquiry.wanted.inputs, _limits(row.outputs))


def agrees(predictor: Predictor, one: Shown, terms: Terms) -> bool:
    """Tell whether another predictor agrees on a question; where nothing is known of the right answers, it does."""
    return one.probe is None or _asked(predictor, _Question(one.probe, terms)).verdict == AGREE


def _asked(predictor: Predictor, one: _Question) -> Check:
    rows = rows_of(predictor.signature, one.probe.inputs, one.probe.outputs).count
    judge = partial(compare, "", terms=one.terms, batches=())
    return checked(predictor, one.probe, judge, size=max(rows, 1), few=max(rows, 1), seconds=inf)


def _questions(subject: Subject, signature: Signature, row: Agreement, inquiry: Inquiry) -> Iterator[_Question]:
    wanted, form = inquiry.wanted, inquiry.form(subject)
    golden = Probe(_GOLDEN, wanted.inputs, wanted.outputs, wanted.noise)
    ask = partial(_Question, terms=inquiry.terms(subject))
    yield ask(_of_rows(golden, signature, _worst_rows(row.outputs)))
    bad = [output for output in row.outputs if not output.ok]
    if bad:
        sizes = wanted.batches
        yield from (ask(probe, where=where) for probe, where in _batches(golden, signature, sizes, bad))
    if row.problems:
        yield from (_Question(probe, form, probe.name) for probe in inquiry.probes.sized)
    for check in (check for check in row.checks if check.verdict == DISAGREE):
        yield from (_Question(probe, form, where) for probe, where in _of_check(check, signature, inquiry))


def _batches(
    golden: Probe, signature: Signature, sizes: tuple[int, ...], bad: Iterable[OutputAgreement]
) -> Iterator[tuple[Probe, str]]:
    """Give the very batches in which golden rows were worst."""
    count = rows_of(signature, golden.inputs, golden.outputs).count
    for size, row in dict.fromkeys((one.worst_batch, one.worst_row) for one in bad):
        if size is None or size > _MOST_ROWS:
            continue
        indexes = (index for index in batches_of(count, sizes) if len(index) == size)
        index = next((each for each in indexes if row is None or row in each), None)
        if index is not None:
            yield _of_index(golden, signature, index), "" if size == count else f"a batch of {size}"


def _of_check(check: Check, signature: Signature, inquiry: Inquiry) -> Iterator[tuple[Probe, str]]:
    probes = inquiry.probes
    if check.name == "edges":
        yield from ((probe, probe.label) for probe in probes.edges if probe.counts and not probe.refused)
    for probe in (each for each in (probes.drawn, *probes.given) if each is not None and not each.refused):
        if probe.name == check.name:
            where = probe.label or f"{probe.name} rows"
            for most in (_ROWS, _MOST_ROWS):
                yield _of_rows(probe, signature, _worst_rows(check.outputs), most), where


def _worst_rows(outputs: Iterable[OutputAgreement]) -> list[int]:
    return [output.worst_row for output in outputs if not output.ok and output.worst_row is not None]


def _of_rows(probe: Probe, signature: Signature, worst: list[int], most: int = _ROWS) -> Probe:
    count = rows_of(signature, probe.inputs, probe.outputs).count
    asked_for = (row % max(1, count) for row in worst)  # rows are asked again and again, in batches of many sizes
    chosen = list(dict.fromkeys([*asked_for, *range(min(most, count))]))[:most]
    return _of_index(probe, signature, np.array(chosen, np.int64))


def _of_index(probe: Probe, signature: Signature, index: np.ndarray) -> Probe:
    rows = rows_of(signature, probe.inputs, probe.outputs)
    if not rows.inputs:
        return probe
    unsure = {name: np.broadcast_to(mask, probe.outputs[name].shape) for name, mask in probe.unsure.items()}
    return replace(
        probe,
        inputs=take(probe.inputs, rows.inputs, index),
        outputs=take(probe.outputs, rows.outputs, index),
        unsure=take(unsure, rows.outputs, index),
        shaky=take(probe.shaky, rows.outputs, index),
    )


def _limits(found: Iterable[OutputAgreement]) -> dict[str, float]:
    """What is tolerated of each output; of one that disagrees, so little that it does so among a few rows, too."""
    limits = {}
    for output in found:
        off = output.max_abs if output.max_abs is not None and np.isfinite(output.max_abs) else output.tolerance.value
        limits[output.name] = output.tolerance.value if output.ok else min(output.tolerance.value, off / 8)
    return limits
