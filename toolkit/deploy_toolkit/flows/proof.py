"""Proof: what an export wrote, run by its own runtimes, answers as the source model does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy_agreement import (
    Agreement,
    Noise,
    Probe,
    Promise,
    ProofError,
    Report,
    batches_for,
    compare_sizes,
    failed,
    unproved,
)
from deploy_core.artifact import Artifact
from deploy_core.errors import ExportError, UnavailableError, UsageError
from deploy_core.signature import BATCH, Tensors
from deploy_exporters.export import Export, OpenedSource
from deploy_exporters.formats import hosted
from deploy_exporters.telling import require_told
from deploy_exporters.worker import Workers
from deploy_model_store import Golden
from deploy_toolkit.flows import degradation, kept
from deploy_toolkit.output import OnEvent

_NOT_CONVERTED = {"frozen-batch", "frozen-dimension", "nan"}


def prove(
    workers: Workers,
    opened: OpenedSource,
    written: Export,
    golden: Golden,
    measured: Noise,
    promised: Promise,
    on_event: OnEvent,
) -> tuple[Report, Golden]:
    """Run every written file and the reference; raise ProofError unless each answers as the source model does.

    Gives the golden data with what each variant of coarser numbers answered to them. The error's exit code is 4 for another prediction, 3 for a file that cannot run or is frozen; its `report` says where.
    Each is asked for the golden inputs, and for every size that is promised. A file of a format that nothing here can run is not proved: its row says so.
    """
    rows, asked = [], []
    batches = batches_for(opened.signature, promised.ranges.get(BATCH))
    for subject, artifact in _subjects(written):
        on_event(f"comparing {subject}")
        row, answer = _row(workers, subject, artifact, _Wanted(golden, measured, batches, promised.sized))
        rows.append(unproved(row))
        asked.append((artifact, answer))
    report = Report(tuple(rows), promised=promised.to_json())
    for warning in degradation.warnings(report):
        on_event(f"warning: {warning}")
    if report.bad:
        raise _disagreement(report)
    _require_asked(written, report)
    return report, kept.with_answers(golden, asked)


@dataclass(frozen=True)
class _Wanted:
    """What every file is asked, and held to."""

    golden: Golden
    noise: Noise
    batches: Sequence[int]
    sized: Sequence[Probe]


def _row(workers: Workers, subject: str, artifact: Artifact, wanted: _Wanted) -> tuple[Agreement, Tensors | None]:
    golden = wanted.golden
    try:
        require_told(workers, artifact)
        predictor = hosted(workers, artifact)
    except (UnavailableError, ExportError, UsageError) as error:
        # A UsageError, too: what was just written and does not load is a failed file.
        return failed(subject, error), None
    try:
        row = degradation.compared(artifact, subject, predictor, golden, wanted.noise, wanted.batches)
        row = compare_sizes(row, predictor, wanted.sized, degradation.form_terms(artifact, golden.outputs))
        row = degradation.with_cost(row, artifact, predictor, golden.inputs, golden.outputs)
        return row, kept.answer(artifact, predictor, golden)
    finally:
        predictor.close()


def _subjects(written: Export) -> list[tuple[str, Artifact]]:
    subjects = [(artifact.name, artifact) for artifact in written.artifacts]
    known = {artifact.path for artifact in written.artifacts}
    return subjects if written.reference.path in known else [*subjects, ("reference", written.reference)]


def _require_asked(written: Export, report: Report) -> None:
    """Raise ProofError for a handler of the user's own that could not be asked, unless they said that it may be so.

    What fails here may work in TorchServe, and may as well be broken: that is not told from outside.
    """
    for row, (subject, artifact) in zip(report.rows, _subjects(written), strict=True):
        if row.unavailable and artifact.options.get("handler") and artifact.options.get("unproved") != "yes":
            raise ProofError(
                f"nothing was stored, since {subject} could not be asked: {row.error}",
                hint="--set mar.unproved=yes stores an archive whose handler only TorchServe can run",
                report=report,
            )


def _disagreement(report: Report) -> ProofError:
    told = "; ".join(f"{row.subject}: {row.why}" for row in report.bad)
    error = ProofError(
        f"nothing was stored, since not every file predicts what the source does ({told})",
        hint="the routes that wrote them are in `deploy formats`; leave such a format out, or tell us",
        report=report,
    )
    error.exit_code = 3 if all(_not_converted(row) for row in report.bad) else report.exit_code
    return error


def _not_converted(row: Agreement) -> bool:
    """Whether it cannot run, or only at one size, or answers NaN: a failed conversion rather than another prediction."""
    kinds = {problem.kind for problem in row.problems}
    return row.verdict == "failed" or (bool(kinds) and kinds <= _NOT_CONVERTED)
