"""What comparisons found, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from deploy_agreement.degradation import Degradation
from deploy_agreement.figures import in_json
from deploy_agreement.limits import Tolerance
from deploy_core.errors import DeployError, EndpointError, ExportError, UnavailableError

SCHEMA = "deploy/agreement/1"
_UNREACHABLE = ("UNAVAILABLE", "DEADLINE_EXCEEDED")  # any other status is an answer, and a wrong one
AGREE, DISAGREE, FAILED = "agree", "disagree", "failed"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `kind` is a word for programs, `message` is for people."""

    kind: str
    message: str
    output: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {"kind": self.kind, "output": self.output, "message": self.message}


@dataclass(frozen=True)
class OutputAgreement:
    """One output over all batches; the figures are None if nothing of it could be compared.

    `needed` is the least tolerance that would have passed; `worst_batch` and `worst_row` (of the golden inputs) say
    where the element lies that is furthest beyond, or nearest to, its tolerance.
    """

    name: str
    dtype: str
    tolerance: Tolerance
    ok: bool
    compared: int = 0
    max_abs: float | None = None
    max_rel: float | None = None
    max_ulp: float | None = None
    needed: float | None = None
    worst_batch: int | None = None
    worst_row: int | None = None

    @property
    def beyond(self) -> str:
        """Say by how much the output is off."""
        return f"output {self.name!r} is off by {self.max_abs:.2g}, tolerated is {self.tolerance.value:.2g}"

    def to_json(self) -> dict[str, Any]:
        """Give plain data for a JSON document."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "ok": self.ok,
            "compared": self.compared,
            "max_abs": in_json(self.max_abs),
            "max_rel": in_json(self.max_rel),
            "max_ulp": in_json(self.max_ulp),
            "tolerance": in_json(self.tolerance.value),
            "tolerance_rtol": in_json(self.tolerance.rtol),
            "tolerance_origin": self.tolerance.origin,
            "needed": in_json(self.needed),
            "worst_batch": self.worst_batch,
            "worst_row": self.worst_row,
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

    @property
    def ok(self) -> bool:
        """Whether something was compared and all of it agrees."""
        return bool(self.outputs) and not self.error and not self.problems and all(o.ok for o in self.outputs)

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
        }


@dataclass(frozen=True)
class Report:
    """Everything that was compared; `promised` is what `Promise.to_json` gives, of an export."""

    rows: tuple[Agreement, ...]
    promised: Mapping[str, Any] = field(
        default_factory=lambda: {"golden": {}, "sizes": [], "refused": [], "ranges": {}}
    )

    @property
    def bad(self) -> tuple[Agreement, ...]:
        """The rows that do not agree, but for those that are stored unproved."""
        return tuple(row for row in self.rows if not row.ok and not row.unproved)

    @property
    def ok(self) -> bool:
        """Whether a row agrees, and none is bad."""
        return any(row.ok for row in self.rows) and not self.bad

    @property
    def exit_code(self) -> int:
        """0 if all agrees, 6 if all that could be asked agrees, else 4."""
        if self.ok:
            return 0
        return 6 if self.rows and all(row.ok or row.unavailable for row in self.rows) else 4

    def to_json(self) -> dict[str, Any]:
        """Give the document that schema/agreement-1.json describes."""
        return {
            "schema": SCHEMA,
            "ok": self.ok,
            "exit_code": self.exit_code,
            "rows": [row.to_json() for row in self.rows],
            "promised": dict(self.promised),
        }

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
