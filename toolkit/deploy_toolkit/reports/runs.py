"""Runs as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy_servers.runs import LEFT_OVER

if TYPE_CHECKING:
    from deploy_servers.runs import Run
    from deploy_toolkit.flows.life import Listing, Stopped


def listing(found: Listing) -> RenderableType:
    """Give a row for every run, with where it answers and is managed."""
    damaged = [Text(f"{one}: remove it if it is yours") for one in found.damaged]
    if not found.runs:
        return Group(Text("nothing runs"), *damaged)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("run", "state", "server", "model", "pid or container", "age", "memory", "endpoints"):
        table.add_column(column, overflow="fold")
    for run in found.runs:
        table.add_row(*_row(run))
    orphans = any(run.state == LEFT_OVER for run in found.runs)
    hint = [Text("`deploy stop --orphans` ends what was left over")] if orphans else []
    return Group(table, *hint, *damaged)


def serving(document: Mapping[str, Any], end: str) -> RenderableType:
    """Give the endpoints that have predicted the golden outputs; `end` says how the server is stopped."""
    lines = [f"{document['server']} is ready: every endpoint has predicted the golden outputs"]
    lines += [f"  {endpoint}" for endpoint in document["endpoints"]]
    lines += [f"managed at {endpoint}" for endpoint in document["management"]]
    return Text("\n".join([*lines, *document["notes"], f"log: {document['log']}", end]))


def stopped(done: Stopped) -> RenderableType:
    """Give a line for everything that was ended."""
    return Text("\n".join(f"ended {one}" for one in done.ended) or "nothing was to be ended")


def _row(run: Run) -> tuple[str, ...]:
    pid = str(run.leader.pid) if run.leader else "–"
    memory = run.memory
    return (
        run.id,
        run.state,
        run.server or run.what,
        run.name or "–",
        run.container or pid,
        age(run.age),
        f"{memory / 2**20:,.0f} MiB" if memory is not None else "–",
        "\n".join((*run.endpoints, *(f"managed at {endpoint}" for endpoint in run.management))),
    )


def age(seconds: float) -> str:
    """Give a length of time as people say it."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
