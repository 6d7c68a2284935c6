"""What a run has to hold: limits of its own, limits against an earlier run, and figures that must be sure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from deploy_core.errors import UsageError
from deploy_latency import baseline, limits, over_time, percentiles
from deploy_latency.baseline import Baseline
from deploy_latency.comparison import against_baseline
from deploy_latency.estimate import Estimate
from deploy_latency.limits import BROKEN, HELD, RIGHT, UNDECIDED, Limit
from deploy_latency.report import Compared, Judged, Measured, Report
from deploy_latency.samples import Samples

_FIGURES = ("mean", "errors", "rate")


def baselines(path: Path | None) -> Mapping[str, Baseline]:
    """Read the document of an earlier run. Raises UsageError for a file that is none."""
    if path is None:
        return {}
    try:
        return baseline.read(json.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"{path} is no baseline: {error}", hint="give what `deploy bench --json` printed") from error


def parsed(slo: str, gate: str, known: Mapping[str, Baseline]) -> tuple[Limit, ...]:
    """Read the limits of --slo and --gate. Raises UsageError for one that needs a baseline that is not given."""
    found = tuple(limit for text in (slo, gate) if text for limit in limits.parse(text))
    if (relative := [limit for limit in found if limit.relative]) and not known:
        raise UsageError(
            f"{relative[0]} is relative to an earlier run", hint="give --baseline FILE, or a time such as p99<20ms"
        )
    return found


def claims(text: str) -> tuple[str, ...]:
    """Read the figures of --claim. Raises UsageError."""
    named = (part.strip().lower() for part in text.split(",") if part.strip())
    return tuple(name if name in _FIGURES else limits.parse(f"{name}<1s")[0].figure for name in named)


def against(
    name: str, rounds: Sequence[Samples], wanted: Sequence[Limit], known: Mapping[str, Baseline], seconds: float
) -> Iterator[Compared]:
    """Compare the rounds of a subject with an earlier run, in the figures that limits name and the usual ones."""
    if not known:
        return
    earlier = baseline.of_subject(known, name)
    figures = dict.fromkeys([*(limit.figure for limit in wanted if limit.relative), "p50", "p99", "rate"])
    for figure in figures:
        yield against_baseline(rounds, earlier, figure, seconds, subject=name)


def judged(
    name: str,
    rounds: Sequence[Samples],
    seconds: float,
    wanted: Sequence[Limit],
    claimed: Sequence[str],
    compared: Sequence[Compared],
) -> Iterator[Judged]:
    """Judge one subject, its rounds of `seconds` each joined, by every limit and claim."""
    figure_of = partial(
        percentiles.figure, over_time.joined(rounds, seconds), seconds=seconds * len(rounds), rounds=len(rounds)
    )
    ratios = {each.figure: each.ratio for each in compared if each.subject == name}
    for limit in wanted:
        figure = ratios[limit.figure] if limit.relative else figure_of(limit.figure)
        yield limits.judge(limit, figure, name)
    for claim in claimed:
        yield _claim(claim, figure_of(claim), name)


def fair(judged: Judged, measured: Sequence[Measured]) -> Judged:
    """Leave undecided what a generator at its limit seems to have broken: it only ever makes requests slower.

    What holds all the same, holds.
    """
    limited = {each.subject for each in measured if each.generator and each.generator.limited}
    return replace(judged, verdict=UNDECIDED) if judged.verdict == BROKEN and judged.subject in limited else judged


def _claim(claim: str, figure: Estimate, subject: str) -> Judged:
    return Judged(claim, subject, figure, 0.0, HELD if figure.sure else UNDECIDED)


def exit_code(report: Report) -> int:
    """4 for a wrong answer, 6 if a subject answered nothing, 5 for a broken limit, 7 for one that cannot be decided.

    An objective that no rate holds is broken, unless the generator, or too little data, kept that from being seen.
    """
    trials = (judged for found in report.found for step in found.steps for judged in step.judged)
    if any(each.checked.wrong for each in report.measured) or any(each.limit == RIGHT for each in trials):
        return 4
    if any(not _answered(each) for each in report.measured):
        return 6
    verdicts = {each.verdict for each in report.judged} | {each.verdict for each in report.found}
    return 5 if BROKEN in verdicts else 7 if UNDECIDED in verdicts else 0


def _answered(measured: Measured) -> bool:
    return sum(measured.failures.values()) < measured.requests
