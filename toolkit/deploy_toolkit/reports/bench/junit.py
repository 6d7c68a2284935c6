"""What `deploy bench` found, as JUnit cases for CI.

A suite for each subject. Every limit and claim is a case: a failure if it is broken, an error if there is too little data
to decide (CI must not be green for want of data), passed if it is held. So are the checked answers (a failure if one is
wrong, skipped if none was checked), the answering itself (a failure if no request was answered; how many failed stands in
the case) and a search (a failure if no rate holds the objective, or answers were wrong at one). As with the exit code, failed requests alone break
nothing: `--slo 'errors<0.1%'` limits them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_latency.limits import RIGHT
from deploy_toolkit.reports import junit
from deploy_toolkit.reports.bench import figures
from deploy_toolkit.reports.writing import write as write_file

if TYPE_CHECKING:
    from deploy_latency.report import Found, Judged, Measured, Report


def write(report: Report, path: Path) -> None:
    """Write the cases. Raises UsageError for a place where that cannot be."""
    write_file(path, text(report))


def text(report: Report) -> bytes:
    """Give the cases as XML."""
    root = junit.suites("deploy bench")
    for subject, cases in _by_subject(report).items():
        junit.suite(root, subject).extend(cases)
    return junit.written(root)


def _by_subject(report: Report) -> dict[str, list[junit.Element]]:
    cases: dict[str, list[junit.Element]] = {}
    for one in report.measured:
        cases.setdefault(one.subject, []).extend(_measured(one))
    for judged in report.judged:
        cases.setdefault(judged.subject, []).append(_judged(judged))
    for found in report.found:
        cases.setdefault(found.subject, []).append(_found(found))
    return cases


def _measured(one: Measured) -> Iterator[junit.Element]:
    checked, failed = one.checked, sum(one.failures.values())
    right = junit.case(one.subject, RIGHT, f"{checked.wrong} of {checked.answers} checked answers are wrong")
    if checked.wrong:
        junit.add(right, "failure", f"{checked.wrong} of {checked.answers} checked answers are wrong: {checked.why}")
    elif not checked.answers:
        junit.add(right, "skipped", "no answer was checked")
    yield right
    told = f"{failed} of {one.requests} requests failed"
    told += f": {figures.counted(one.failures)}" if failed else ""
    answered = junit.case(one.subject, "requests are answered", told)
    if failed == one.requests:
        junit.add(answered, "failure", told)
    yield answered


def _judged(judged: Judged) -> junit.Element:
    figure, interval = figures.of_limit(judged)
    told = f"{figure} ({interval}) of {judged.figure.n:,} samples"
    case = junit.case(judged.subject, judged.limit, told)
    if judged.verdict == "broken":
        junit.add(case, "failure", f"{judged.limit} is broken: {told}")
    elif judged.verdict != "held":
        junit.add(case, "error", f"{judged.limit} is undecided, a longer run may tell: {told}")
    return case


def _found(found: Found) -> junit.Element:
    told = f"{figures.number(found.rate)} requests a second ({found.why})"
    case = junit.case(found.subject, f"a rate holds {found.slo}", told)
    wrong = [step.rate for step in found.steps if any(each.limit == RIGHT for each in step.judged)]
    if wrong:
        junit.add(
            case, "failure", f"checked answers are wrong at {', '.join(map(figures.number, wrong))} requests a second"
        )
    elif found.rate is None:
        kind = "failure" if found.verdict == "broken" else "error"
        junit.add(case, kind, f"no rate that was tried was shown to hold {found.slo} ({found.why})")
    return case
