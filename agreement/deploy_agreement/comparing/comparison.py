"""One comparison: golden outputs against what a predictor answers, at several batch sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from deploy_agreement.comparing.answers import Answer, ask, fits, form_problems, wanted
from deploy_agreement.comparing.diagnose import Case, diagnose
from deploy_agreement.comparing.elements import Pair, points
from deploy_agreement.comparing.patterns import few_digits
from deploy_agreement.deciding import decide
from deploy_agreement.figures import spread
from deploy_agreement.results.outputs import OutputAgreement, Problem
from deploy_agreement.results.report import Agreement, failed
from deploy_agreement.rows import Rows, batch_symbol, rows_of
from deploy_agreement.tolerances.limits import Tolerance
from deploy_agreement.tolerances.rounding import Noise
from deploy_agreement.tolerances.terms import DERIVED, Terms
from deploy_core.dtypes import dtype_name
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
    answers = ask(predictor, inputs, rows, batches)
    if answers[0].error is not None and all(answer.error for answer in answers):
        return failed(subject, answers[0].error, rows=rows.count)
    limits = terms.limits(want, noise)
    outputs = tuple(_judge(name, want, rows, answers, limits[name], terms) for name in want)
    # What a quantised variant is allowed is more than rounding: what flips by it is told as any other.
    rounding = {name: limit.limit(want[name]) for name, limit in terms.rounding(want, noise).items()}
    decisions = decide(want, answers[0].got, rows.outputs, rounding, labels)
    outputs = tuple(replace(output, decisions=decisions.get(output.name)) for output in outputs)
    problems = form_problems(want, rows, answers, terms.precision, nan_agrees=terms.nan_agrees)
    problems += [_nothing(output) for output in outputs if output.compared == 0]
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


def _judge(
    name: str,
    want: Tensors,
    rows: Rows,
    answers: Sequence[Answer],
    limit: Tolerance,
    terms: Terms,
) -> OutputAgreement:
    asked = [
        Pair(answer, array, answer.got[name], limit, terms.nan_agrees)
        for answer in answers
        if name in answer.got and (array := wanted(want, rows, answer).get(name)) is not None
    ]
    pairs = [pair for pair in asked if pair.want.size and fits(pair.want, pair.got, terms.precision)]
    kind = dtype_name(want[name].dtype)
    if not pairs:
        return OutputAgreement(name, kind, limit, ok=False)
    scale = spread(want[name])
    found = [pair.figures(scale) for pair in pairs]
    worst = max(pairs, key=lambda pair: pair.worst_times)
    return OutputAgreement(
        name=name,
        dtype=kind,
        tolerance=replace(limit, origin=limit.at(worst.place)),
        ok=all(pair.ok for pair in pairs) and len(pairs) == len(asked),
        compared=sum(pair.want.size for pair in pairs),
        max_abs=max(f.max_abs for f in found),
        max_rel=max(f.max_rel for f in found),
        max_ulp=max(f.max_ulp for f in found),
        needed=max(pair.needed for pair in pairs),
        needed_times=worst.worst_times,
        worst_batch=worst.answer.size,
        worst_row=worst.row(rows.outputs.get(name)),
        worst=worst.worst(),
        points=points(pairs),
    )


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
