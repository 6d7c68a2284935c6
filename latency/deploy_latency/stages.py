"""Where the time of requests goes, part by part, as far as server and client tell.

All parts of a subject are means over the same requests, so that their sum is the mean time of these requests and nothing is
counted twice or lost. (Medians of parts do not add up to the median of the whole.) Where answers tell the server's times one
by one, these are the requests about the median, a fifth of all that tell; where the server only tells sums, they are all
requests of the rounds, those of the warm-up, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploy_dialects.management import Statistics
from deploy_dialects.server_timing import TOLD, read
from deploy_latency.recording import Kept
from deploy_latency.report import Stage
from deploy_latency.samples import Samples

ENCODE, WAIT, NETWORK, WHOLE, DECODE = "client encode", "client wait", "network", "network and server", "client decode"
_PARTS = {"decode": "decode", "queue": "queue", "batch": "batch wait", "compute": "compute", "encode": "encode"}
_LEAST = 5  # requests about the median
_SHARE = 0.2
_APART = "the client, apart"
_CLIENT = "the client"


@dataclass(frozen=True)
class Own:
    """Seconds that a client takes to write a request and to read an answer: measured apart, for a run does neither."""

    encode: float
    decode: float


def stages(
    rounds: Sequence[tuple[Samples, Sequence[Kept]]],
    told: Sequence[tuple[Statistics, Statistics]],
    own: Own,
) -> tuple[Stage, ...]:
    """Give the parts by the best source there is: each answer's own word, the server's sums before and after each round, else the client.

    `rounds` have the answers that tell times, if any. Nothing is given of a run without a good answer.
    """
    table = [row for samples, kept in rounds for row in _rows(samples, kept)]
    if table:
        return _enclosed(own, _of_answers(np.array(table)))
    waits, spans = _client(samples for samples, _ in rounds)
    if not len(spans):
        return ()
    wait = Stage(WAIT, float(np.mean(waits)), f"{_CLIENT}, mean of {len(waits):,}")
    return _enclosed(own, [wait, *_of_sums(float(np.mean(spans)), len(spans), _difference(told))])


def _enclosed(own: Own, inner: Iterable[Stage]) -> tuple[Stage, ...]:
    return (Stage(ENCODE, own.encode, _APART), *inner, Stage(DECODE, own.decode, _APART))


def _rows(samples: Samples, kept: Sequence[Kept]) -> Iterable[list[float]]:
    """Give wait, network and the server's parts of each answer that tells all of these."""
    for one in kept:
        parts = read(one.headers.get(TOLD, ""))
        if parts.keys() >= _PARTS.keys():
            at = one.sample
            spent = [parts[name] for name in _PARTS]
            sent = samples.sent[at]
            yield [sent - samples.intended[at], samples.done[at] - sent - sum(spent), *spent]


def _of_answers(table: NDArray[np.float64]) -> list[Stage]:
    whole = table.sum(axis=1)
    wanted = min(len(table), max(_LEAST, round(_SHARE * len(table))))
    begin = (len(table) - wanted) // 2
    chosen = table[np.argsort(whole, kind="stable")[begin : begin + wanted]].mean(axis=0)
    server = f"the server ({TOLD}), mean of {wanted:,} about the median"
    sources = [_CLIENT, "the client, less the server's", *[server] * len(_PARTS)]
    names = [WAIT, NETWORK, *_PARTS.values()]
    return [Stage(*each) for each in zip(names, map(float, chosen), sources, strict=True)]


def _client(rounds: Iterable[Samples]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give from intended to sent, and from sent to done, of all good answers."""
    good = [samples.where(samples.ok) for samples in rounds]
    waits = np.concatenate([samples.sent - samples.intended for samples in good])
    return waits, np.concatenate([samples.done - samples.sent for samples in good])


def _difference(told: Sequence[tuple[Statistics, Statistics]]) -> Statistics | None:
    """Add up what came in each round; None if there was nothing, or a server that began anew meanwhile."""
    predictions = [after.predictions - before.predictions for before, after in told]
    if not told or min(predictions) <= 0:
        return None
    parts: dict[str, float] = {}
    for before, after in told:
        for name, seconds in after.parts.items():
            parts[name] = parts.get(name, 0.0) + seconds - before.parts.get(name, 0.0)
    return Statistics(sum(predictions), parts, told[0][1].source)


def _of_sums(span: float, answers: int, told: Statistics | None) -> list[Stage]:
    """Give the parts of the mean time from sending to answer."""
    if told is None:
        return [Stage(WHOLE, span, f"{_CLIENT}, mean of {answers:,}")]
    parts: Mapping[str, float] = {name: seconds / told.predictions for name, seconds in told.parts.items()}
    source = f"{told.source}, mean of {told.predictions:,}"
    network = Stage(NETWORK, span - sum(parts.values()), f"the client's mean of {answers:,}, less the server's")
    return [network, *(Stage(name, seconds, source) for name, seconds in parts.items())]
