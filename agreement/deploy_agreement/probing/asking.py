"""What a subject answers to a probe, as a check."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from deploy_agreement.comparing.given import Given
from deploy_agreement.probing.blaming import Part, blamed
from deploy_agreement.probing.drawing import FEW, asked, is_limit
from deploy_agreement.probing.probes import Probe
from deploy_agreement.probing.sizes import listed
from deploy_agreement.results.outputs import Problem
from deploy_agreement.results.report import AGREE, DISAGREE, SKIPPED, TOLD, Agreement, Check
from deploy_agreement.rows import concatenated, rows_of, shapes_of
from deploy_agreement.tolerances.rounding import Noise
from deploy_core.errors import DeployError, EndpointError, first_line
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors

Clock = Callable[[], float]
GIVEN = "given"
_SHOWN = 3


class Judge(Protocol):
    """Says how answers are judged: `compare` without batches, with what holds for one subject."""

    def __call__(self, want: Tensors, predictor: Predictor, inputs: Tensors, *, noise: Noise) -> Agreement:
        """Judge the answers of a predictor to inputs by the wanted ones."""


def skipped(name: str, why: str) -> Check:
    """Give the check that could not be made."""
    return Check(name, SKIPPED, why)


def checked(
    predictor: Predictor,
    probe: Probe,
    judge: Judge,
    *,
    size: int,
    seconds: float,
    few: int = FEW,
    sizes: Sequence[int] = (),
) -> Check:
    """Ask for a probe in batches of `size` rows, at first of `few`, for so many seconds, and judge all answers together.

    With `sizes`, it is asked in batches of these first, and the check says in which; those at which alone it is answered
    wrong are named.
    """
    if probe.refused:
        return skipped(probe.name, f"{probe.label}: the reference refuses it: {probe.refused}")
    parts: list[Part] = []
    limits: list[str] = []
    for part, answer in asked(predictor, probe, size, seconds, few=few, sizes=sizes):
        rows = _rows(predictor, part)
        if not isinstance(answer, DeployError):
            parts.append((part, answer))
        elif parts and is_limit(answer, rows, size):
            limits.append(f"refused at batch size {rows:,}: {first_line(answer)}")
        else:
            return _refusing(probe, answer, f" at batch size {rows}" if sizes else "")
    check = _judged(predictor, probe, parts, judge)
    if sizes and check.verdict != SKIPPED:
        check = _with_sizes(check, predictor, parts, judge)
    if limits:
        verdict = TOLD if check.verdict == AGREE else check.verdict
        check = replace(check, verdict=verdict, said="; ".join([check.said, *limits[:1]]))
    return check


def _with_sizes(check: Check, predictor: Predictor, parts: Sequence[Part], judge: Judge) -> Check:
    """Say in batches of how many rows was asked, and which of these sizes are to blame."""
    asked_for = tuple(sorted({_rows(predictor, part) for part, _ in parts}))
    check = replace(check, batches=asked_for)
    if check.verdict == AGREE:
        return replace(check, said=f"{check.said} in batches of {listed(asked_for)}")
    found = blamed(predictor, parts, partial(_row, predictor, judge))
    if found is None:
        return check
    said = f"{found.said}: {found.row.why}{_among(check.rows)}"
    return replace(check, said=said, problems=found.problems)


def _row(predictor: Predictor, judge: Judge, part: Probe, got: Tensors) -> Agreement:
    want, seen = part.settled(got)
    return judge(want, Given(predictor.signature, seen), part.inputs, noise=part.noise)


def _rows(predictor: Predictor, part: Probe) -> int:
    return rows_of(predictor.signature, part.inputs, part.outputs).count


def _judged(predictor: Predictor, probe: Probe, parts: Sequence[Part], judge: Judge) -> Check:
    pairs = [part.settled(got) for part, got in parts]
    inputs, want, got = _together(predictor, [part.inputs for part, _ in parts], pairs)
    rows = min(rows_of(predictor.signature, inputs, want).count, _rows(predictor, probe))
    stray = next((said for part, answer in parts if (said := part.strays(answer))), "")
    if not stray and not any(part.sure for part, _ in parts):
        return skipped(probe.name, f"the reference itself is sure of none of {rows} answers")
    row = judge(want, Given(predictor.signature, got), inputs, noise=probe.noise)
    if row.ok and probe.name == GIVEN and (name := probe.without_numbers):
        return skipped(
            probe.name, f"{probe.label}: output {name!r} is NaN, as it should be, and nothing else in {rows} rows"
        )
    return _check(probe, row, rows, stray)


def edged(
    predictor: Predictor,
    probes: Sequence[Probe],
    judge: Judge,
    *,
    seconds: float = math.inf,
    clock: Clock = time.monotonic,
) -> Check:
    """Ask for every edge by itself: one that counts must agree, any other is told of.

    They are asked for so many seconds, but the first at any rate, those that count before the others; the check says how
    many were not asked, those among them that the reference had no time for.
    """
    if not probes:
        return skipped("edges", "no input has a dtype with edges")
    known = [probe for probe in probes if probe.outputs or probe.refused]
    found = list(_while_time(predictor, known, judge, seconds, clock))
    asked_for = [probe for probe, check in found if check.verdict != SKIPPED]
    wrong = [(probe, check) for probe, check in found if check.verdict == DISAGREE]
    told = [(probe, check) for probe, check in found if check.verdict == TOLD]
    why = f"{seconds:,.0f} s were over" if len(found) < len(known) else "the reference takes too long to answer"
    late = _late(len(found), len(probes), why)
    if not any(probe.counts for probe in asked_for):
        return skipped("edges", "; ".join(["the reference itself is sure at no edge that counts", *late]))
    problems = tuple(
        replace(problem, message=f"at {probe.label}, {problem.message}")
        for probe, check in wrong
        for problem in check.problems
    )
    said = [_listed([f"at {probe.label}: {check.said}" for probe, check in wrong or told])] if wrong or told else []
    verdict = DISAGREE if wrong else TOLD if told else AGREE
    outputs = wrong[0][1].outputs if wrong else ()
    said = [*said, *late] or [f"{len(asked_for)} edges"]
    return Check("edges", verdict, "; ".join(said), len(asked_for), outputs, problems)


def _while_time(
    predictor: Predictor, probes: Sequence[Probe], judge: Judge, seconds: float, clock: Clock
) -> Iterator[tuple[Probe, Check]]:
    end = clock() + seconds
    for number, probe in enumerate(sorted(probes, key=lambda probe: not probe.counts)):
        if number and clock() >= end:
            return
        yield probe, _edge(predictor, probe, judge)


def _late(asked_for: int, edges: int, why: str) -> list[str]:
    """Say how many edges were asked, if not all were."""
    if asked_for == edges:
        return []
    others = "the others were" if edges - asked_for > 1 else "the other was"
    return [f"{asked_for} of {edges} edges; {others} not asked, since {why}"]


def _edge(predictor: Predictor, probe: Probe, judge: Judge) -> Check:
    if not probe.refused:
        return checked(predictor, probe, judge, size=rows_of(predictor.signature, probe.inputs, {}).count, seconds=0)
    try:
        predictor.predict(probe.inputs)
    except DeployError:
        return Check(probe.name, AGREE, "refused, as the reference does")
    return Check(probe.name, TOLD, f"answered, which the reference refuses: {probe.refused}")


def _refusing(probe: Probe, error: DeployError, at: str = "") -> Check:
    said = f"refused{at}, which the reference answers: {first_line(error)}"
    # What came is no answer at all: that is nobody's way to treat a value.
    garbled = isinstance(error, EndpointError) and error.status is None
    if (probe.refusable or not probe.counts) and not garbled:
        return Check(probe.name, TOLD, said)
    problem = Problem("error", f"{probe.label or probe.name}{at}: {first_line(error)}")
    return Check(probe.name, DISAGREE, said, problems=(problem,))


def _check(probe: Probe, row: Agreement, rows: int, stray: str = "") -> Check:
    whose = f"{probe.label}: " if probe.name == GIVEN and probe.label else ""
    if row.ok and stray:
        return Check(probe.name, TOLD, whose + stray, rows, row.outputs)
    if row.ok:
        return Check(probe.name, AGREE, f"{whose}{_rows_in_words(rows)}", rows, row.outputs)
    if not probe.counts:
        return Check(probe.name, TOLD, whose + row.why, rows, row.outputs)
    return Check(probe.name, DISAGREE, f"{whose}{row.why}{_among(rows)}", rows, row.outputs, row.problems)


def _rows_in_words(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _among(count: int) -> str:
    """Say of how many rows it is the worst: not how many are wrong."""
    return f" (among {count:,} rows)" if count > 1 else ""


def _together(
    predictor: Predictor, inputs: Sequence[Tensors], pairs: Sequence[tuple[Tensors, Tensors]]
) -> tuple[Tensors, Tensors, Tensors]:
    """Give all parts as one; but a part whose answer has another form than wanted by itself, to be told of."""
    for asked_for, (want, got) in zip(inputs, pairs, strict=True):
        if len(pairs) > 1 and shapes_of(want) != shapes_of(got):
            return asked_for, want, got
    if len(pairs) == 1:
        return inputs[0], *pairs[0]
    axes = rows_of(predictor.signature, inputs[0], pairs[0][0])
    return (
        concatenated(inputs, axes.inputs),
        concatenated([want for want, _ in pairs], axes.outputs),
        concatenated([got for _, got in pairs], axes.outputs),
    )


def _listed(said: Iterable[str]) -> str:
    texts = list(said)
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more
