"""Where the time of a contender's requests goes: what its server tells, and what it takes to write and to read here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from deploy_core.errors import EndpointError
from deploy_dialects.tables import DIALECTS
from deploy_latency import stages
from deploy_latency.report import Stage
from deploy_latency.stages import Own, Round
from deploy_toolkit.flows.bench.contenders import Contender
from deploy_toolkit.flows.bench.rounds import Turn
from deploy_toolkit.flows.bench.ways import OverWire

_CALLS = 50  # of each that is timed here


def of(contender: Contender, turns: Sequence[Turn]) -> tuple[Stage, ...]:
    """Give the parts; none of a file in its runtime, which has only one, and of an endpoint without a good answer."""
    own = _own(contender, turns)
    if own is None:
        return ()
    return stages.stages([Round(turn.run.samples, turn.run.timed, turn.told) for turn in turns], own)


def _own(contender: Contender, turns: Sequence[Turn]) -> Own | None:
    """Time the dialect on the questions, and on answers that were kept."""
    if not isinstance(contender.way, OverWire):
        return None
    asked, endpoint = contender.questions, contender.way.target.endpoint
    dialect = DIALECTS.load(f"{endpoint.dialect}+{endpoint.transport}")
    write = partial(dialect.encode, endpoint, asked.signature, binary=contender.facts["binary"])
    kept = [kept for turn in turns for kept in turn.run.kept][:_CALLS]
    reads = list(_times(partial(contender.way.decoded, signature=asked.signature), kept))
    inputs = (asked.inputs * _CALLS)[:_CALLS]
    return Own(statistics.median(_times(write, inputs)), statistics.median(reads)) if reads else None


def _times(call: Callable[[Any], object], arguments: Sequence[Any]) -> Iterator[float]:
    """Give the seconds of each call that comes to its end."""
    for argument in arguments:
        begun = time.perf_counter()
        try:
            call(argument)
        except EndpointError:
            continue  # an answer that is none is counted elsewhere
        yield time.perf_counter() - begun
