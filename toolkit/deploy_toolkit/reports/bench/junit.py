"""What `deploy bench` found, as JUnit cases for CI.

A suite for each subject. Every limit and claim is a case: a failure if it is broken, an error if there is too little data
to decide (CI must not be green for want of data), passed if it is held. So are the checked answers (a failure if one is
wrong, skipped if none was checked), the answering itself (a failure if no request was answered; how many failed stands in
the case) and a search (a failure if no rate holds the objective, or answers were wrong at one). As with the exit code, failed requests alone break
nothing: `--slo 'errors<0.1%'` limits them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from deploy_latency.limits import RIGHT
from deploy_toolkit.reports.bench import figures
from deploy_toolkit.reports.bench.writing import write as write_file

if TYPE_CHECKING:
    from deploy_latency.report import Found, Judged, Measured, Report

Element = ElementTree.Element
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML cannot hold
_KINDS = ("failure", "error", "skipped")


def write(report: Report, path: Path) -> None:
    """Write the cases. Raises UsageError for a place where that cannot be."""
    write_file(path, text(report))


def text(report: Report) -> bytes:
    """Give the cases as XML."""
    suites = Element("testsuites", name="deploy bench")
    for subject, cases in _by_subject(report).items():
        suite = ElementTree.SubElement(suites, "testsuite", name=_fit(subject))
        suite.extend(cases)
        _count(suite, suite)
        _count(suites, suite)
    ElementTree.indent(suites)
    found: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return found


def _by_subject(report: Report) -> dict[str, list[Element]]:
    cases: dict[str, list[Element]] = {}
    for one in report.measured:
        cases.setdefault(one.subject, []).extend(_measured(one))
    for judged in report.judged:
        cases.setdefault(judged.subject, []).append(_judged(judged))
    for found in report.found:
        cases.setdefault(found.subject, []).append(_found(found))
    return cases


def _measured(one: Measured) -> Iterator[Element]:
    checked, failed = one.checked, sum(one.failures.values())
    right = _case(one.subject, RIGHT, f"{checked.wrong} of {checked.answers} checked answers are wrong")
    if checked.wrong:
        _add(right, "failure", f"{checked.wrong} of {checked.answers} checked answers are wrong: {checked.why}")
    elif not checked.answers:
        _add(right, "skipped", "no answer was checked")
    yield right
    told = f"{failed} of {one.requests} requests failed"
    told += f": {figures.counted(one.failures)}" if failed else ""
    answered = _case(one.subject, "requests are answered", told)
    if failed == one.requests:
        _add(answered, "failure", told)
    yield answered


def _judged(judged: Judged) -> Element:
    figure, interval = figures.of_limit(judged)
    told = f"{figure} ({interval}) of {judged.figure.n:,} samples"
    case = _case(judged.subject, judged.limit, told)
    if judged.verdict == "broken":
        _add(case, "failure", f"{judged.limit} is broken: {told}")
    elif judged.verdict != "held":
        _add(case, "error", f"{judged.limit} is undecided, a longer run may tell: {told}")
    return case


def _found(found: Found) -> Element:
    told = f"{figures.number(found.rate)} requests a second ({found.why})"
    case = _case(found.subject, f"a rate holds {found.slo}", told)
    wrong = [step.rate for step in found.steps if any(each.limit == RIGHT for each in step.judged)]
    if wrong:
        _add(case, "failure", f"checked answers are wrong at {', '.join(map(figures.number, wrong))} requests a second")
    elif found.rate is None:
        kind = "failure" if found.verdict == "broken" else "error"
        _add(case, kind, f"no rate that was tried was shown to hold {found.slo} ({found.why})")
    return case


def _case(subject: str, name: str, told: str) -> Element:
    case = Element("testcase", classname=_fit(subject), name=_fit(name), time="0")
    ElementTree.SubElement(case, "system-out").text = _fit(told)
    return case


def _add(case: Element, kind: str, message: str) -> None:
    case.insert(0, Element(kind, message=_fit(message)))


def _count(total: Element, suite: Element) -> None:
    """Add up what is in a suite, in the attributes that readers look at."""
    for kind in ("testcase", *_KINDS):
        name = {"testcase": "tests", "failure": "failures", "error": "errors"}.get(kind, kind)
        total.set(name, str(int(total.get(name, "0")) + len(suite.findall(f".//{kind}"))))


def _fit(text: str) -> str:
    return _UNFIT.sub("\ufffd", text)
