"""What one pair came to, and the file of them: one JSON document a line, the newest of a pair counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

OURS = ("verified", "accused", "disagrees", "frozen", "refused", "failed")
PUBLIC = ("right", "wrong", "frozen", "failed", "none")


@dataclass(frozen=True)
class Outcome:
    """One pair by one way: `by` is `ours` or `public`, `verdict` one of OURS or PUBLIC; `commit` is our code's.

    `verified` was proved at export and agreed when `deploy check` asked all its probes; `accused` was proved only.
    """

    model: str
    format: str
    by: str
    verdict: str
    reason: str = ""
    seconds: float | None = None
    megabytes: float | None = None
    how: str = ""
    version: str = ""
    date: str = ""
    tools: str = ""
    commit: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is the result of."""
        return self.model, self.format, self.by

    @property
    def good(self) -> bool:
        """Whether the file predicts what the source does at every size."""
        return self.verdict in ("verified", "right")


def read(path: Path) -> dict[tuple[str, str, str], Outcome]:
    """Give the newest outcome of every pair; a line that was cut when a run was killed is left out."""
    found = {}
    lines = path.read_text().splitlines() if path.exists() else []
    for line in lines:
        try:
            outcome = Outcome(**json.loads(line))
        except json.JSONDecodeError:
            continue
        found[outcome.key] = outcome
    return found


def append(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write outcomes behind the others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(json.dumps(_plain(outcome)) + "\n" for outcome in outcomes)


def _plain(outcome: Outcome) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(outcome).items() if value not in ("", None)}
