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
from deploy_latency.stages import Told
from deploy_latency.workers import Progress
from deploy_toolkit.flows.bench.contenders import Contender
from deploy_toolkit.flows.bench.server_told import Looks
from deploy_toolkit.flows.bench.server_use import Use, use_of

OnProgress = Callable[[str, Progress], None]


@dataclass(frozen=True)
class Turn:
    """One contender in one round, and what its server used before and after and told of it, where that can be seen."""

    run: Run
    before: Use | None
    after: Use | None
    told: Told | None = None


def turns(
    contenders: Sequence[Contender], load: Load, rounds: int, on_progress: OnProgress
) -> dict[str, tuple[Turn, ...]]:
    """Measure each contender for `load.seconds` in so many rounds; requests come at the same times for all of a round."""
    draw = np.random.default_rng(load.seed)
    found: dict[str, list[Turn]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        share = replace(load, seconds=load.seconds / rounds, keep=-(-load.keep // rounds), seed=load.seed + number)
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
    before, looks = _use(contender), Looks(contender)

    def hear(progress: Progress) -> None:
        looks.hear(progress)
        on_progress(title, progress)

    run = contender.way.measure(load, hear)
    if contender.server is not None:
        contender.server.running.require_alive()
    return Turn(run, before, _use(contender), looks.told())


def _use(contender: Contender) -> Use | None:
    return use_of(contender.server.running) if contender.server else None
