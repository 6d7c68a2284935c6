"""What comparisons found, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from deploy_agreement.results.cell import cell
from deploy_agreement.results.degradation import Degradation
from deploy_agreement.results.found import Located, Skew, Worst
from deploy_agreement.results.outputs import OutputAgreement, Problem
from deploy_core.errors import DeployError, EndpointError, ExportError, UnavailableError

SCHEMA = "deploy/agreement/1"
_UNREACHABLE = ("UNAVAILABLE", "DEADLINE_EXCEEDED")  # any other status is an answer, and a wrong one
AGREE, DISAGREE, FAILED = "agree", "disagree", "failed"
TOLD, SKIPPED = "told", "skipped"  # of a check only


@dataclass(frozen=True)
class Check:
    """One thing that a subject was asked: the inputs of a probe, or a property that any good predictor has.

    `told` is a difference that does not count, since not even the source is sure there, or it is known to be the runtime's
    own way; `skipped` is what could not be asked, and `said` says why. `problems` and `outputs` are those of this check;
    `batches` are the sizes of the batches that it was asked in, where these were many.
    """

    name: str  # golden, drawn, edges, given, order, again, at once, transports, …
    verdict: str  # agree · disagree · told · skipped
    said: str = ""
    rows: int = 0
    outputs: tuple[OutputAgreement, ...] = ()
    problems: tuple[Problem, ...] = ()
    batches: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "said": self.said,
            "rows": self.rows,
            "batches": list(self.batches),
            "outputs": [output.to_json() for output in self.outputs],
            "problems": [problem.to_json() for problem in self.problems],
        }


@dataclass(frozen=True)
class Agreement:
    """What one comparison found; `error` is set if the subject could not be asked at all.

    `sizes` are those of symbols other than the batch at which it agrees. `unavailable` says that this is no fault of the
    subject: a library is not installed, nobody answers at the endpoint. `unproved` says, too, that its version is stored
    all the same, so that the others decide.
    """

    subject: str
    outputs: tuple[OutputAgreement, ...] = ()
    problems: tuple[Problem, ...] = ()
    rows: int = 0
    batches: tuple[int, ...] = ()
    sizes: tuple[Mapping[str, int], ...] = ()
    error: str = ""
    unavailable: bool = False
    unproved: bool = False
    degradation: Degradation | None = None
    checks: tuple[Check, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether something was compared and all of it agrees."""
        fine = all(check.verdict != DISAGREE for check in self.checks) and all(output.ok for output in self.outputs)
        return bool(self.outputs) and not self.error and not self.problems and fine

    @property
    def verdict(self) -> str:
        """`agree`, `disagree` or `failed`."""
        if self.error:
            return FAILED
        return AGREE if self.ok else DISAGREE

    @property
    def why(self) -> str:
        """Say in words what is wrong, empty if nothing is."""
        if self.error or self.ok:
            return self.error
        told = [problem.message for problem in self.problems]
        told += [output.beyond for output in self.outputs if not output.ok and output.max_abs is not None]
        told += [f"{check.name}: {check.said}" for check in self.checks if check.verdict == DISAGREE]
        return "; ".join(told) or "nothing was compared"

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "ok": self.ok,
            "rows": self.rows,
            "batches": list(self.batches),
            "sizes": [dict(sizes) for sizes in self.sizes],
            "outputs": [output.to_json() for output in self.outputs],
            "problems": [problem.to_json() for problem in self.problems],
            "error": self.error,
            "unavailable": self.unavailable,
            "unproved": self.unproved,
            "degradation": self.degradation.to_json() if self.degradation else None,
            "checks": [check.to_json() for check in self.checks],
        }


@dataclass(frozen=True)
class Report:
    """Everything that was compared; `by` says who gave the right answers.

    `promised` is what `Promise.to_json` gives, of an export. `worst` are the inputs found by a search, `located` where
    those that disagree part, `skew` is how preprocessing differs.
    """

    rows: tuple[Agreement, ...]
    by: str = ""
    worst: tuple[Worst, ...] = ()
    located: tuple[Located, ...] = ()
    skew: Skew | None = None
    promised: Mapping[str, Any] = field(
        default_factory=lambda: {"golden": {}, "sizes": [], "refused": [], "ranges": {}}
    )

    @property
    def bad(self) -> tuple[Agreement, ...]:
        """The rows that do not agree, but for those that are stored unproved."""
        return tuple(row for row in self.rows if not row.ok and not row.unproved)

    @property
    def skewed(self) -> bool:
        """Whether what is served prepares its inputs in another way than what was trained."""
        return self.skew is not None and not self.skew.ok

    @property
    def ok(self) -> bool:
        """Whether a row agrees, and none is bad."""
        return any(row.ok for row in self.rows) and not self.bad and not self.skewed

    @property
    def exit_code(self) -> int:
        """0 if all agrees, 6 if all that could be asked agrees, else 4."""
        if self.ok:
            return 0
        asked = not self.skewed and self.rows and all(row.ok or row.unavailable for row in self.rows)
        return 6 if asked else 4

    def to_json(self) -> dict[str, Any]:
        """Give the document that schema/agreement-1.json describes."""
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "exit_code": self.exit_code,
            "rows": [row.to_json() for row in self.rows],
            "by": self.by,
            "worst": [one.to_json() for one in self.worst],
            "located": [one.to_json() for one in self.located],
            "skew": self.skew.to_json() if self.skew else None,
            "promised": dict(self.promised),
        }

    def _repr_html_(self) -> str:
        return cell(self)

    def __repr__(self) -> str:
        # What a dataclass says of itself fills a notebook's cell with several kB.
        failures = sum(row.verdict == FAILED for row in self.rows)
        wrong = sum(not row.ok for row in self.rows) - failures
        told = f"{len(self.rows) - failures} compared, {wrong} disagree"
        told += f", {failures} could not be asked" if failures else ""
        return "\n".join([told, *(f"  {row.subject}: {_told(row)}" for row in self.rows)])


def _told(row: Agreement) -> str:
    if not row.ok:
        return f"{'not asked' if row.unavailable else row.verdict}, {row.why.partition(chr(10))[0]}"
    figures = [
        f"{one.name} is off by {one.max_abs:.2g}, tolerated is {one.tolerance.value:.2g}"
        for one in row.outputs
        if one.max_abs is not None
    ]
    return ", ".join([row.verdict, *figures])


_NOTHING = Report(())


class ProofError(ExportError):
    """What was written does not answer as the source model does; `report` says where."""

    def __init__(self, message: str, *, hint: str = "", report: Report = _NOTHING) -> None:
        super().__init__(message, hint=hint)
        self.report = report


def unproved(row: Agreement) -> Agreement:
    """Give the row of what is stored all the same if it is not available."""
    return replace(row, unproved=row.unavailable)


def failed(subject: str, error: DeployError, *, rows: int = 0) -> Agreement:
    """Give the row of a subject that could not be asked, with what to do about it."""
    told = f"{error} ({error.hint})" if error.hint else str(error)
    status = error.status if isinstance(error, EndpointError) else _UNREACHABLE[0]
    unavailable = isinstance(error, UnavailableError) and status in _UNREACHABLE
    return Agreement(subject, rows=rows, error=told or repr(error), unavailable=unavailable)
