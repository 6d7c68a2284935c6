"""What is wrong where no figure tells it, in a word or two: an output that is missing, an answer that never came."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy_agreement import Agreement, Problem

# What keeps values from being compared, or is worse than any value.
_FORM = {
    "damaged": "damaged file", "stale": "another version", "error": "no answer", "answer": "no answer",
    "missing-output": "missing output", "extra-output": "extra output", "dtype": "dtype", "shape": "shape",
    "frozen-batch": "batch size", "frozen-dimension": "fixed size", "empty": "nothing compared",
}  # fmt: skip
_VALUES = {
    "nan": "NaN", "few-digits": "few digits", "size": "other sizes", "transports": "other bits", "variant": "a variant",
    "as-published": "other values", "unlike-published": "other values",
}  # fmt: skip


def form(problems: Iterable[Problem]) -> str:
    """Give the word for the first thing that keeps values from being compared; empty if nothing does."""
    found = [problem.kind for problem in problems if problem.kind in _FORM]
    return _FORM[next((kind for kind in found if kind != "empty"), "empty")] if found else ""


def word(problem: Problem) -> str:
    """Give the word for any problem."""
    return _FORM.get(problem.kind) or _VALUES.get(problem.kind) or problem.kind.replace("-", " ")


def words(problems: Iterable[Problem]) -> list[str]:
    """Give the words for all of them, each with its output and each once; of what keeps others from being told the others alone."""
    several = list(problems)
    told = {problem.output for problem in several if problem.kind != "empty"}
    kept = (problem for problem in several if problem.kind != "empty" or problem.output not in told)
    return list(
        dict.fromkeys(f"{problem.output}: {word(problem)}" if problem.output else word(problem) for problem in kept)
    )


def unanswered(row: Agreement) -> bool:
    """Whether something that was asked has no answer that could be compared: what it would decide, nobody knows."""
    if row.error:
        return not row.unavailable
    checks = [check for check in row.checks if check.verdict == "disagree"]
    outputs = (*row.outputs, *(output for check in checks for output in check.outputs))
    problems = (*row.problems, *(problem for check in checks for problem in check.problems))
    silent = any(not check.outputs for check in checks) or any(not output.compared for output in outputs)
    return silent or bool(form(problems))
