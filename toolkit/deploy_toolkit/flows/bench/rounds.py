"""Everybody's turn: rounds in which each contender is under the same load, in an order that is drawn anew each time.

What the machine does meanwhile falls on all alike, so that two servers are never compared by runs an hour apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deploy_latency.comparison import rounds_needed
from deploy_latency.load import Load
from deploy_latency.measuring import Run
from deploy_latency.schedules import from_then
from deploy_latency.stages import Told
from deploy_latency.workers import Progress
from deploy_toolkit.flows.bench.contenders import Contender
from deploy_toolkit.flows.bench.server_told import Looks
from deploy_toolkit.flows.bench.server_use import Used, Watch

OnProgress = Callable[[str, Progress], None]


@dataclass(frozen=True)
class Turn:
    """One contender in one round, and what its server used and told of it, where that can be seen."""

    run: Run
    used: Used | None = None
    told: Told | None = None


def turns(
    contenders: Sequence[Contender], load: Load, rounds: int, on_progress: OnProgress
) -> dict[str, tuple[Turn, ...]]:
    """Measure each contender for `load.seconds` in so many rounds; requests come at the same times for all of a round.

    A recorded trace goes on from round to round.
    """
    draw = np.random.default_rng(load.seed)
    found: dict[str, list[Turn]] = {contender.name: [] for contender in contenders}
    seconds = load.seconds / rounds
    for number in range(rounds):
        schedule = from_then(load.schedule, number * seconds)
        share = replace(load, schedule=schedule, seconds=seconds, keep=-(-load.keep // rounds), seed=load.seed + number)
        for at in draw.permutation(len(contenders)):
            contender = contenders[at]
            found[contender.name].append(
                _turn(contender, share, f"{contender.name}, {number + 1} of {rounds}", on_progress)
            )
    return {name: tuple(each) for name, each in found.items()}


def rounds_of(asked: int, contenders: Sequence[Contender]) -> int:
    """Give how many rounds there are: as many as a comparison takes, if there is something to compare."""
    return asked or (rounds_needed() if len(contenders) > 1 else 1)


def _turn(contender: Contender, load: Load, title: str, on_progress: OnProgress) -> Turn:
    server, looks = contender.server, Looks(contender)
    watch = Watch(server.running) if server else None

    def hear(progress: Progress) -> None:
        if watch:
            watch.hear(progress)
        looks.hear(progress)
        on_progress(title, progress)

    run = contender.way.measure(load, hear)
    if server:
        server.running.require_alive()
    return Turn(run, watch.used(len(run.samples)) if watch else None, looks.told())
