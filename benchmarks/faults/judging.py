"""Asks `deploy check` of every fault, with the default options first, and the usual check beside it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby

from benchmarks.faults import raw_faults
from benchmarks.faults.fault import Fault
from benchmarks.faults.ground import Ground
from benchmarks.faults.usual import LOOSE, TIGHT, usual
from deploy_agreement import Agreement, OutputAgreement, Problem, Report
from deploy_toolkit.flows import check

DEFAULT, SEARCH, RAW = "no option", "--search", "--raw"
SECONDS = 3.0  # of a search


@dataclass(frozen=True)
class Verdict:
    """What was said of a fault: found `by` which options (empty: not found), the culprit `named`, the operator `inside`.

    `inside` is None where no operator can be named; `usual` and `loose` tell whether the usual check finds it.
    """

    fault: Fault
    by: str = ""
    named: bool = False
    inside: bool | None = None
    said: str = ""
    seconds: float = 0.0
    usual: bool = False
    loose: bool = False

    @property
    def found(self) -> bool:
        """Whether any options found it."""
        return bool(self.by)


@dataclass(frozen=True)
class Asked:
    """A report, and the seconds that each of its subjects took."""

    report: Report
    seconds: Mapping[str, float] = field(default_factory=dict)

    def rows(self, subject: str) -> list[Agreement]:
        """Give the rows of a subject; a stored version's reference is not what was changed."""
        rows = [row for row in self.report.rows if row.subject == subject or row.subject.startswith(f"{subject}/")]
        return [row for row in rows if not row.subject.endswith("/reference")]


def judge_all(ground: Ground, faults: Iterable[Fault]) -> Iterator[Verdict]:
    """Judge all faults, those of one model together: that opens its reference once."""
    order = sorted(faults, key=_group)
    for (model, trust, _), group in groupby(order, key=_group):
        ground.prepare(model)
        yield from _judge(ground, model, list(group), trust=trust)


def _group(fault: Fault) -> tuple[str, bool, bool]:
    return fault.model, fault.trust, fault.raw


def _judge(ground: Ground, model: str, faults: Sequence[Fault], *, trust: bool) -> Iterator[Verdict]:
    if faults[0].raw:
        yield from (_judge_raw(ground, fault) for fault in faults)
        return
    with ExitStack() as stack:
        planted = {fault.name: stack.enter_context(fault.plant(fault, ground)) for fault in faults}
        subjects = list(planted.values())
        first = ask(ground, model, subjects, trust=trust)
        verdicts = [verdict_of(fault, planted[fault.name], first, DEFAULT) for fault in faults]
        verdicts = _again(ground, model, verdicts, planted, trust=trust)
        for verdict in verdicts:
            said = usual(ground, model, planted[verdict.fault.name], trust=trust)
            done = replace(verdict, usual=not said[TIGHT], loose=not said[LOOSE])
            tell(done)
            yield done


def _judge_raw(ground: Ground, fault: Fault) -> Verdict:
    """Ask with raw bytes, and with what training used to prepare them."""
    with fault.plant(fault, ground) as name:
        began = time.perf_counter()
        report = ask_raw(ground, name)
        seconds = time.perf_counter() - began
        by_usual = usual(ground, fault.model, name)
    skew = report.skew
    said = "" if skew is None or skew.ok else f"{skew.first}: {skew.said}"
    named = bool(re.search(fault.named, said, re.IGNORECASE))
    done = Verdict(fault, RAW if report.skewed else "", named, None, said, seconds)
    done = replace(done, usual=not by_usual[TIGHT], loose=not by_usual[LOOSE])
    tell(done)
    return done


def ask_raw(ground: Ground, name: str) -> Report:
    """Ask as `deploy check NAME --raw FILE --preprocess FILE.py:FUNCTION` does."""
    request = check.Request((name,), raw=(raw_faults.photo(ground),), preprocess=raw_faults.TRAINING)
    return check.check(request, store=ground.store)


def _again(
    ground: Ground, model: str, verdicts: list[Verdict], planted: Mapping[str, str], *, trust: bool
) -> list[Verdict]:
    """Look longer for what was not found, and inside what can be looked into."""
    missed = [planted[verdict.fault.name] for verdict in verdicts if not verdict.found]
    inside = [planted[verdict.fault.name] for verdict in verdicts if verdict.fault.inside]
    searched = ask(ground, model, missed, trust=trust, search=SECONDS) if missed else Asked(Report(()))
    located = ask(ground, model, inside, trust=trust, localise=True) if inside else Asked(Report(()))
    return [_joined(verdict, planted[verdict.fault.name], searched, located) for verdict in verdicts]


def _joined(verdict: Verdict, subject: str, searched: Asked, located: Asked) -> Verdict:
    if not verdict.found and searched.rows(subject):
        verdict = verdict_of(verdict.fault, subject, searched, SEARCH)
    if verdict.fault.inside:
        places = [one for one in located.report.located if one.subject == subject and one.first is not None]
        told = " ".join(place for one in places for place in _places(one))
        why = " ".join(one.said for one in places)
        verdict = replace(verdict, inside=bool(re.search(verdict.fault.inside, f"{told} {why}", re.IGNORECASE)))
        if told:
            verdict = replace(verdict, said=f"{verdict.said}; first at {told}" if verdict.said else told)
    return verdict


def _places(located: object) -> Iterator[str]:
    first = getattr(located, "first", None)
    if first is not None:
        for one in (first.one, first.other):
            yield f"{one.operator} {one.layer} {one.name}"


def ask(ground: Ground, model: str, subjects: Sequence[str], *, trust: bool = False, search: float = 0.0,
        localise: bool = False) -> Asked:  # fmt: skip
    """Ask as `deploy check SUBJECT… --against MODEL` does."""
    began: list[tuple[float, str]] = []
    request = check.Request(
        tuple(subjects),
        against=model,
        trust=trust,
        search=search,
        localise=localise,
        found=ground.folder / "found",
    )
    report = check.check(
        request, store=ground.store, on_event=lambda text, *_: began.append((time.perf_counter(), str(text)))
    )
    ends = [*(moment for moment, _ in began[1:]), time.perf_counter()]
    seconds: dict[str, float] = {}
    for (moment, text), end in zip(began, ends, strict=True):
        name = text.removeprefix("checking ").partition("@1/")[0]
        seconds[name] = seconds.get(name, 0.0) + end - moment
    return Asked(report, seconds)


def verdict_of(fault: Fault, subject: str, asked: Asked, by: str) -> Verdict:
    """Say what a report says of one fault."""
    rows = [row for row in asked.rows(subject) if not row.ok and not row.unavailable]
    told = [line for row in rows for line in facts(row)]
    names = {row.subject for row in rows}
    told += [f"output {one.output} on the worst input" for one in asked.report.worst if one.subject in names]
    named = any(re.search(fault.named, line, re.IGNORECASE) for line in told)
    said = "; ".join(row.why for row in rows) or "; ".join(told)
    seconds = asked.seconds.get(subject.removesuffix("@1"), 0.0)
    return Verdict(fault, by if rows else "", named, None, said, seconds)


def facts(row: Agreement) -> Iterator[str]:
    """Give a line for everything that a row says is wrong."""
    if row.error:
        yield row.error
    yield from _wrong(row.outputs, row.problems)
    for one in row.checks:
        if one.verdict == "disagree":
            yield f"check {one.name}: {one.said}"
            yield from _wrong(one.outputs, one.problems)


def _wrong(outputs: Iterable[OutputAgreement], problems: Iterable[Problem]) -> Iterator[str]:
    yield from (f"output {output.name} is off" for output in outputs if not output.ok)
    yield from (f"output {problem.output}: {problem.kind}: {problem.message}" for problem in problems)


def tell(verdict: Verdict) -> None:
    """Say how it went, while it goes."""
    inside = {None: "", True: ", operator named", False: ", operator not named"}[verdict.inside]
    how = f"found by {verdict.by}" if verdict.found else "MISSED"
    named = "" if not verdict.found else ", named" if verdict.named else ", NOT NAMED"
    usual_ = "found" if verdict.usual else "missed"
    print(
        f"{verdict.fault.name}: {how}{named}{inside}; usual check: {usual_}; {verdict.seconds:.1f} s; {verdict.said[:160]}",
        file=sys.stderr,
        flush=True,
    )
