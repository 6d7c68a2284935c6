"""One comparison: golden outputs against what a predictor answers, at several batch sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from deploy_agreement.comparing.answers import Answer, ask, form_problems
from deploy_agreement.comparing.diagnose import Case, diagnose
from deploy_agreement.comparing.judging import Judging
from deploy_agreement.comparing.patterns import few_digits
from deploy_agreement.deciding import decide
from deploy_agreement.results.outputs import OutputAgreement, Problem
from deploy_agreement.results.report import Agreement, failed
from deploy_agreement.rows import batch_symbol, batches_of, rows_of
from deploy_agreement.tolerances.rounding import Noise
from deploy_agreement.tolerances.terms import DERIVED, Terms
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature, Tensors

BATCHES = (1, 2, 3, 7)


def batches_for(signature: Signature, within: tuple[int, int] | None = None) -> tuple[int, ...]:
    """Give the batch sizes to ask for beside the golden rows as a whole: none, if the model's own batch is fixed."""
    if batch_symbol(signature.inputs) is None:
        return ()
    least, greatest = within or (BATCHES[0], BATCHES[-1])
    return tuple(size for size in BATCHES if least <= size <= greatest)


def compare(
    subject: str,
    want: Tensors,
    predictor: Predictor,
    inputs: Tensors,
    *,
    noise: Noise,
    terms: Terms = DERIVED,
    batches: Sequence[int] = BATCHES,
    known: Mapping[str, Tensors] | None = None,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> Agreement:
    """Ask `predictor` for `inputs`, whole and in slices of the sizes `batches`, and judge its answers by `want`.

    `known` holds other outputs for the same inputs by the name of whoever gave them (an older version, say), to be
    recognised in wrong answers. `labels` name the classes of outputs. `batches_for` gives the `batches` of a signature. A
    predictor that raises DeployError for every batch gives the verdict `failed`.
    """
    rows = rows_of(predictor.signature, inputs, want)
    if not want or rows.count == 0:
        empty = Problem(
            "empty", "nothing was compared: there are no golden rows" if want else "there are no golden outputs"
        )
        return Agreement(subject, problems=(empty,), rows=rows.count)
    rounding = terms.rounding(want, noise)
    limits = terms.instead_of(rounding)
    asked = list(batches_of(rows.count, batches))
    judging = Judging(want, rows, limits, terms, sum(map(len, asked)))
    answers = [judging.see(answer) for answer in ask(predictor, inputs, rows, asked)]
    if answers[0].error is not None and all(answer.error for answer in answers):
        return failed(subject, answers[0].error, rows=rows.count)
    # What a quantised variant is allowed is more than rounding: what flips by it is told as any other.
    slack = {name: limit.limit(want[name]) for name, limit in rounding.items()}
    decisions = decide(want, answers[0].got, rows.outputs, slack, labels)
    outputs = tuple(replace(output, decisions=decisions.get(output.name)) for output in judging.outputs())
    problems = form_problems(want, rows, answers, terms.precision, nan_agrees=terms.nan_agrees)
    told = {problem.output for problem in problems}  # why it is so
    problems += [_nothing(output) for output in outputs if output.compared == 0 and output.name not in told]
    if not terms.asked and not terms.measured:
        short = _short(want, answers[0])
        problems += short
        outputs = tuple(
            replace(output, ok=output.ok and all(output.name != p.output for p in short)) for output in outputs
        )
    if not all(output.ok for output in outputs):
        problems += diagnose(Case(predictor, inputs, want, rows, answers, limits, known or {}, terms.nan_agrees))
    sizes = tuple(dict.fromkeys(answer.size for answer in answers))
    return Agreement(subject, outputs, tuple(problems), rows.count, sizes)


def _short(want: Tensors, answer: Answer) -> list[Problem]:
    """Numbers that lost digits as text are wrong even where noise would hide it."""
    found = {name: few_digits(array, answer.got[name]) for name, array in want.items() if name in answer.got}
    return [
        Problem("few-digits", f"output {name!r} has values as printed with {digits} significant digits", name)
        for name, digits in found.items()
        if digits
    ]


def _nothing(output: OutputAgreement) -> Problem:
    return Problem("empty", f"nothing of output {output.name!r} could be compared", output.name)
