"""What came of a gate, as plain data."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy_toolkit.flows.gate.plan import Plan, Step

SCHEMA = "deploy/gate/1"
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
# The worst first: a wrong answer, a failed conversion, a missed limit, too little data, something missing here, a mistake
# in the file, and what nobody expected.
_WORST = (4, 3, 5, 7, 6, 2, 1)
MEANS = {
    0: "done",
    1: "ended unexpectedly",
    2: "is not understood",
    3: "could not be converted",
    4: "predictions disagree",
    5: "a limit is broken",
    6: "something is missing here",
    7: "not enough data",
}


@dataclass(frozen=True)
class Outcome:
    """What came of one step; `exit_code` is None of one that was skipped. `document` is what it printed, `log` all it said."""

    step: Step
    exit_code: int | None
    seconds: float = 0.0
    said: str = ""
    document: Path | None = None
    log: Path | None = None

    @property
    def verdict(self) -> str:
        """`passed`, `failed` or `skipped`."""
        if self.exit_code is None:
            return SKIPPED
        return PASSED if self.exit_code == 0 else FAILED

    @property
    def page(self) -> Path | None:
        """The page that it wrote, if it did."""
        return self.step.page if self.step.page and self.step.page.exists() else None


@dataclass(frozen=True)
class Result:
    """All outcomes, in the order of the steps."""

    plan: Plan
    outcomes: tuple[Outcome, ...] = field(default_factory=tuple)

    @property
    def exit_code(self) -> int:
        """The worst of all; 0 only if every step passed."""
        found = {outcome.exit_code for outcome in self.outcomes if outcome.exit_code}
        return next((code for code in _WORST if code in found), 1 if found else 0)

    def to_json(self) -> dict[str, Any]:
        """Give the document that schemas/gate-1.json describes; files as seen from the folder `out`."""
        return {
            "schema": SCHEMA,
            "ok": self.exit_code == 0,
            "exit_code": self.exit_code,
            "file": str(self.plan.file),
            "out": str(self.plan.out),
            "steps": [self._step(outcome) for outcome in self.outcomes],
        }

    def _step(self, outcome: Outcome) -> dict[str, Any]:
        files = {"document": outcome.document, "page": outcome.page, "log": outcome.log}
        return {
            "name": outcome.step.name,
            "kind": outcome.step.kind,
            "models": list(outcome.step.models),
            "command": shlex.join(self.plan.words(outcome.step)),
            "verdict": outcome.verdict,
            "exit_code": outcome.exit_code,
            "seconds": round(outcome.seconds, 3),
            "said": outcome.said,
        } | {kind: file.name if file else None for kind, file in files.items()}
