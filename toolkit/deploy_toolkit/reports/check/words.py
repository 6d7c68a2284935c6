"""What was found in sentences: what a user would notice, what is wrong, and what to do next."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from deploy_toolkit.reports.check import figures
from deploy_toolkit.reports.check.matrix import GOLDEN, SKIPPED, TOLD, matrix
from deploy_toolkit.reports.check.wrong import unanswered

if TYPE_CHECKING:
    from deploy_agreement import Agreement, Decisions, Located, OutputAgreement, Report, Skew, Worst

_WRITES = ("--html", "--junit", "--tensorboard")
_SEARCH, _STORE = "--search", "--store"
_LOOKS = (_SEARCH, "--localise")
_TRAINED_BY = ("momentum",)  # changes no answer, and ONNX counts it from the other end


@dataclass(frozen=True)
class Noticed:
    """Decisions of one output of one subject, for the inputs of one check; `also` names others in which they differ."""

    subject: str
    check: str
    output: str
    decisions: Decisions
    also: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """Say it, without whose decisions these are."""
        inputs = "" if self.check == GOLDEN else f" (asked for {self.check})"
        also = f"; likewise for {', '.join(self.also)}" if self.also else ""
        return f"{self.output}{inputs}: {self.decisions.said}{also}"

    def __str__(self) -> str:
        return f"{self.subject}: {self.said}"


def decided(report: Report) -> list[Noticed]:
    """Give all decisions that were compared, each output of each check once."""
    return [one for row in report.rows for one in _decided(row)]


def noticed(report: Report) -> list[Noticed]:
    """Give the decisions that a user would notice, one for each output, those that are more than rounding first."""
    found: dict[tuple[str, str], Noticed] = {}
    for one in (one for one in decided(report) if one.decisions.flips):
        before = found.setdefault((one.subject, one.output), one)
        if before is not one:
            found[one.subject, one.output] = replace(before, also=(*before.also, one.check))
    return sorted(found.values(), key=lambda one: -one.decisions.clear)


def nothing_noticed(report: Report) -> str:
    """Say that all decisions are as wanted; empty if some are not, none follow, or nobody knows what they would be."""
    found = decided(report)
    if not found or report.skewed or any(one.decisions.flips for one in found) or any(map(unanswered, report.rows)):
        return ""
    said = list(dict.fromkeys(f"{one.output}: {one.decisions.said}" for one in found if one.check == GOLDEN))
    begun = "nothing that a user would notice" if report.ok else "no decision changes"
    return f"{begun}: " + ("; ".join(said) if len(said) == 1 else "every decision is as it should be")


def headline(report: Report) -> str:
    """Say the verdict in one sentence."""
    asked = [row for row in report.rows if row.verdict != "failed"]
    wrong = [row.subject for row in asked if not row.ok]
    if report.skewed and not wrong:
        return "what is served prepares its inputs in another way than what was trained"
    if wrong:
        return f"{len(wrong)} of {len(asked)} disagree{'s' if len(wrong) == 1 else ''}: {few(wrong)}"
    if not asked:
        return "nothing could be asked"
    missing = len(report.rows) - len(asked)
    return f"all {len(asked)} agree" + (f", {missing} could not be asked" if missing else "")


def needed(output: OutputAgreement) -> str:
    """Give the smallest tolerance that would have passed, and how many times the one that there is."""
    return f"{figures.number(output.needed)} ({figures.times(figures.factor(output))})"


def worst(found: Worst) -> str:
    """Say what a search found."""
    reached = f"{found.subject} is off by {figures.times(found.over)} its tolerance"
    began = f", {figures.times(found.began)} on the golden inputs" if found.began else ""
    wanted, got = figures.both(found.want, found.got)
    at = f"{found.output}{list(found.place)} is {got}, wanted {wanted}"
    told = "" if found.counts else "; this is told only, nobody promised how far off it is there"
    return f"{reached}{began}: {at}{told} ({found.tried:,} inputs tried in {found.seconds:.3g} s, seed {found.seed})"


def located(found: Located) -> str:
    """Say where two models part."""
    if found.first is None:
        return f"{found.subject}: {found.said or 'no tensor that could be matched is beyond its tolerance'}"
    one, other = found.first.one, found.first.other
    layer = one.layer or other.layer
    named = layer and layer not in found.said and layer != one.name
    where = f"{one.name} ({one.operator}){f', layer {layer}' if named else ''}"
    off = f"{figures.times(found.first.over)} its tolerance, {len(found.matches):,} tensors matched"
    said = f": {found.said}" if found.said else ""
    return f"{found.subject} parts from {found.against} at {where}{said} ({off})"


def skew(found: Skew) -> str:
    """Say whether preprocessing differs, and where first."""
    if found.said:
        return found.said
    if found.first:
        return f"the first step that differs: {found.first}"
    return "no step differs" if found.ok else "nothing was compared"


def files(found: Skew) -> str:
    """Say how many files were prepared."""
    return "1 file" if found.files == 1 else f"{found.files:,} files"


def differing(found: Located) -> list[tuple[str, object, object]]:
    """Give the attributes in which the two operators differ: the name, wanted, got."""
    if found.first is None:
        return []
    one, other = found.first.one.attributes, found.first.other.attributes
    shared = [name for name in one if name in other and name not in _TRAINED_BY]
    return [(name, one[name], other[name]) for name in shared if one[name] != other[name]]


@dataclass(frozen=True)
class Step:
    """A command, and what it does about what was found."""

    command: str
    does: str

    def __str__(self) -> str:
        return f"{self.command} {self.does}"


def next_steps(report: Report, command: str = "") -> list[Step]:
    """Say what to do about what was found; `command` is the one that was given."""
    return list(dict.fromkeys(_next_steps(report, command)))


def again(command: str, *more: str) -> str:
    """Give a command once more without what it writes, for somebody who reads, and with `more`."""
    words = shlex.split(command or "deploy check …")
    kept = [word for at, word in enumerate(words) if not _writes(word) and (at == 0 or words[at - 1] not in _WRITES)]
    return " ".join("…" if word == "…" else shlex.quote(word) for word in (*kept, *more))


def golden_row(report: Report, command: str = "") -> str:
    """Give code that takes the first row that matters out of the golden inputs; empty if others were asked."""
    version = re.fullmatch(r"golden outputs of (\S+)", report.by)
    rows = [one.decisions.flipped[0] for one in noticed(report) if one.decisions.flipped and one.check == GOLDEN]
    rows += [
        output.worst_row
        for row in report.rows
        for output in row.outputs
        if not output.ok and output.worst_row is not None
    ]
    if version is None or not rows:
        return ""
    return (
        f"{_store(command)}"
        f'golden = store.resolve("{version[1]}").golden\n'
        f"row = {{name: array[{rows[0]} : {rows[0] + 1}] for name, array in golden.inputs.items()}}"
    )


def _store(command: str) -> str:
    """Give code that opens the store that a command worked on."""
    words = shlex.split(command)
    given = [after for word, after in pairwise(words) if word == _STORE]
    given += [word.removeprefix(f"{_STORE}=") for word in words if word.startswith(f"{_STORE}=")]
    place = repr(given[-1]) if given else 'os.environ.get("DEPLOY_STORE", "models")'
    first = "" if given else "import os\n"
    return f"{first}from deploy_model_store import Store\nstore = Store({place})\n"


def asked_again(command: str, file: str) -> str:
    """Give a command that asks for an input that was found, and looks for nothing else."""
    words = shlex.split(again(command))
    looks = [at for at, word in enumerate(words) if word in _LOOKS or word.startswith(f"{_SEARCH}=")]
    left_out = {*looks, *(at + 1 for at in looks if words[at] == _SEARCH)}
    return again(shlex.join(word for at, word in enumerate(words) if at not in left_out), "--inputs", file)


def _next_steps(report: Report, command: str) -> Iterator[Step]:
    bad = [row for row in report.rows if not row.ok and not row.error]
    numbers = [row for row in bad if any(not output.ok and output.compared for output in row.outputs)]
    for found in report.located:
        if found.reproduction:
            script = shlex.quote(f"{found.reproduction}/reproduce.py")
            does = "shows the difference in that one operator; its folder has all that a bug report needs"
            yield Step(f"python {script}", does)
    if numbers and not report.located and "--localise" not in command:
        yield Step(again(command, "--localise"), "says in which tensor two of them part first")
    if numbers and not report.worst and _SEARCH not in command:
        yield Step(again(command, _SEARCH, "10"), "looks for the input on which they differ most")
    saved = [one for one in report.worst if not one.ok and one.file]
    if saved:
        one = max(saved, key=lambda one: one.over)
        yield Step(asked_again(command, one.file), "asks for the worst input again")
    if any(row.unavailable for row in report.rows):
        yield Step("deploy doctor", "says which runtimes and servers can be used here")


def remarks(report: Report) -> list[str]:
    """Say what is neither right nor wrong: differences that are told only, and what was skipped, each once."""
    by: dict[tuple[str, str], list[str]] = {}
    for row, cells in matrix(report).rows:
        for cell in (cell for cell in cells if cell.verdict in (TOLD, SKIPPED) and cell.said):
            said = f"skipped, {cell.said}" if cell.verdict == SKIPPED else cell.said
            by.setdefault((cell.check, said), []).append(row.subject)
    checks: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (check, said), subjects in by.items():
        checks.setdefault((said, tuple(subjects)), []).append(check)
    return [f"{', '.join(names)}: {said} ({few(subjects)})" for (said, subjects), names in checks.items()]


def _decided(row: Agreement) -> Iterator[Noticed]:
    given = {check.name: check.outputs for check in row.checks}
    for check, outputs in ({GOLDEN: row.outputs} | given).items():
        for output in outputs:
            if output.decisions is not None:
                yield Noticed(row.subject, check, output.name, output.decisions)


def few(names: Sequence[str]) -> str:
    """Give the first of several names, and how many there are beside."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _writes(word: str) -> bool:
    return word == "--json" or word in _WRITES or word.startswith(tuple(f"{name}=" for name in _WRITES))
