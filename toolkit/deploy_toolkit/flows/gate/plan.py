"""What a gate would run, as plain data."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ("export", "check", "bench", "package")  # in the order in which they are run


@dataclass(frozen=True)
class Step:
    """One command: its words, the stored `models` that it makes or needs, and the files that it writes beside its document."""

    kind: str
    name: str
    args: tuple[str, ...]
    models: tuple[str, ...]
    page: Path | None = None
    cases: Path | None = None


@dataclass(frozen=True)
class Plan:
    """All steps, run in `folder`; what they find is written into `out`. A step has at most `timeout` seconds."""

    file: Path
    folder: Path
    store: Path
    out: Path
    timeout: float
    steps: tuple[Step, ...]

    def words(self, step: Step) -> tuple[str, ...]:
        """Give the command line of a step, by which anybody can run it again."""
        return ("deploy", *step.args, "--store", str(self.store))

    def to_json(self) -> dict[str, Any]:
        """Give the document that `deploy gate --dry-run --json` prints."""
        return {
            "schema": "deploy/gate-plan/1",
            "file": str(self.file),
            "folder": str(self.folder),
            "out": str(self.out),
            "timeout": self.timeout,
            "steps": [
                {"name": step.name, "kind": step.kind, "command": shlex.join(self.words(step))} for step in self.steps
            ],
        }
