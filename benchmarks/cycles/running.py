"""Cycles: a server, a death, and what is left over."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from benchmarks.cycles.deaths import Death
from benchmarks.cycles.serving import Serving, Way

_COLUMNS = "{{.Names}} {{.Mounts}}"


@dataclass(frozen=True)
class Outcome:
    """One cycle: `left` must be empty; `orphans` is what only `deploy stop --orphans` could remove."""

    server: str
    death: Death
    left: tuple[str, ...]
    orphans: tuple[str, ...]
    seconds: float
    said: tuple[str, ...] = field(default=(), repr=False)


def run(way: Way, death: Death) -> Outcome:
    """Do one cycle."""
    began = time.monotonic()
    serving = Serving(way, death)
    try:
        if serving.until_told(death.at):
            serving.remember()
            death.act(serving)
        serving.end()
        left = serving.settled(_stays if death.ours else lambda what: False)
        orphans = serving.left() if death.ours else set()
        if death.ours:
            serving.deploy("stop", "--orphans")
        left |= serving.settled()
        if way.where == "container":
            left |= {f"container {name}" for name in _containers(serving.folder)}
        reached = any(death.at in line for line in serving.said)
        left |= set() if reached else {f"it never said {death.at!r}"}
        return Outcome(
            way.server,
            death,
            tuple(sorted(left)),
            tuple(sorted(orphans)),
            time.monotonic() - began,
            tuple(serving.said),
        )
    finally:
        serving.close()


def run_all(ways: Sequence[Way], deaths: Sequence[Death], cycles: int, *, parallel: int = 1) -> list[Outcome]:
    """Do so many cycles with each server, its deaths in turn."""
    tasks = [
        (way, death)
        for way in ways
        for death in islice(cycle([one for one in deaths if not one.swaps or way.can_swap]), cycles)
    ]
    with ThreadPoolExecutor(parallel) as threads:
        return list(threads.map(lambda task: _told(run(*task)), tasks))


def _told(outcome: Outcome) -> Outcome:
    print(f"{outcome.server}: {outcome.death.name}: {', '.join(outcome.left) or 'nothing'} left", file=sys.stderr)
    return outcome


def table(outcomes: Iterable[Outcome]) -> str:
    """Give a row for each server and death."""
    rows = defaultdict(list)
    for outcome in outcomes:
        rows[outcome.server, outcome.death.name].append(outcome)
    lines = ["| server | death | cycles | left over | until `stop --orphans` | seconds |", "|---|---|---|---|---|---|"]
    for (server, death), found in rows.items():
        left = sorted({what for one in found for what in one.left})
        orphans = sorted({what.partition("/")[0] for one in found for what in one.orphans})
        seconds = sum(one.seconds for one in found) / len(found)
        lines.append(
            f"| {server} | {death} | {len(found)} | {', '.join(left) or 'nothing'} |"
            f" {', '.join(orphans) or '–'} | {seconds:.1f} |"
        )
    return "\n".join(lines)


def _stays(what: str) -> bool:
    """Tell what nobody can remove when we are killed: the folder of the run, and its record."""
    return what.startswith(("tmp/deploy-", "runs/", "shm/deploy-"))


def _containers(folder: Path) -> list[str]:
    """Give the containers that see something of a folder, running or not."""
    words = ["docker", "ps", "--all", "--no-trunc", "--filter", "label=deploy-toolkit", "--format", _COLUMNS]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.partition(" ")[0] for line in lines if str(folder) in line]
