"""The result of a gate on a terminal."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from deploy_toolkit.flows.gate.plan import Plan
    from deploy_toolkit.flows.gate.result import Outcome, Result

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def planned(plan: Plan) -> RenderableType:
    """Give the commands, one on a line, as a shell takes them."""
    return Text(
        "\n".join([f"cd {shlex.quote(str(plan.folder))}", *(shlex.join(plan.words(step)) for step in plan.steps)])
    )


def gated(result: Result) -> RenderableType:
    """Give a row for every step, what is wrong below them, and where the files are."""
    table = Table(box=box.SIMPLE)
    for column in ("step", "what", "seconds", "exit code", "verdict"):
        table.add_column(column, justify="right" if column in ("seconds", "exit code") else "left")
    for outcome in result.outcomes:
        table.add_row(*_cells(outcome))
    wrong = [
        Text(f"{outcome.step.name}: {outcome.said}", style=_STYLES[outcome.verdict])
        for outcome in result.outcomes
        if outcome.said
    ]
    failed = sum(outcome.verdict != "passed" for outcome in result.outcomes)
    told = f"{len(result.outcomes)} steps, {failed} not passed; {result.plan.out}/index.html shows all"
    return Group(table, *wrong, Text(told, style="red" if failed else "green"))


def _cells(outcome: Outcome) -> list[str | Text]:
    code = "–" if outcome.exit_code is None else str(outcome.exit_code)
    seconds = f"{outcome.seconds:.1f}" if outcome.exit_code is not None else "–"
    what = ", ".join(outcome.step.models)
    return [outcome.step.name, what, seconds, code, Text(outcome.verdict, style=_STYLES[outcome.verdict])]
