"""Where the time of requests goes, part by part, as far as server and client tell.

All parts of a subject are means over the same requests, so that their sum is the mean time of these requests and nothing is
counted twice or lost. (Medians of parts do not add up to the median of the whole.) Where answers tell the server's times one
by one, these are the requests about the median, a fifth of all that tell; where the server only tells sums, they are all that
ended well between two looks at them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deploy_dialects.management import Statistics
from deploy_dialects.server_timing import ASKED, TOLD, read
from deploy_dialects.wire import HttpRequest, RpcRequest
from deploy_latency.recording import Kept
from deploy_latency.report import Stage
from deploy_latency.samples import Samples

ENCODE, WAIT, NETWORK, WHOLE, DECODE = "client encode", "client wait", "network", "network and server", "client decode"
_PARTS = {"decode": "decode", "queue": "queue", "batch": "batch wait", "compute": "compute", "encode": "encode"}
_LEAST = 5  # requests about the median
_SHARE = 0.2
_ASKING = 8  # to tell the times costs the server a few per cent of a small request; an eighth of that is nothing
_APART = "the client, apart"
_CLIENT = "the client"


@dataclass(frozen=True)
class Own:
    """Seconds that a client takes to write a request and to read an answer: measured apart, for a run does neither."""

    encode: float
    decode: float


@dataclass(frozen=True)
class Told:
    """What a server had summed up `since` seconds of the measured part, and after its end."""

    since: float
    before: Statistics
    after: Statistics


@dataclass(frozen=True)
class Round:
    """What was sent, which answers told the server's times, and what the server told of all together."""

    samples: Samples
    timed: Sequence[Kept] = ()
    told: Told | None = None


def asking(requests: Sequence[HttpRequest | RpcRequest]) -> tuple[HttpRequest | RpcRequest, ...]:
    """Give requests of which at most one in eight asks for the server's times; fewer than so many are repeated, in their order."""
    sent = [*requests] * -(-_ASKING // len(requests))
    for number in range(0, len(sent) - _ASKING + 1, _ASKING):
        sent[number] = replace(sent[number], headers={**sent[number].headers, ASKED: "1"})
    return tuple(sent)


def stages(rounds: Sequence[Round], own: Own) -> tuple[Stage, ...]:
    """Give the parts by the best source there is: the word of each answer, the server's sums, else the client alone.

    Nothing is given of rounds without a good answer.
    """
    table = [row for each in rounds for row in _rows(each.samples, each.timed)]
    if table:
        return _enclosed(own, _of_answers(np.array(table)))
    told = [each.told for each in rounds if each.told is not None]
    summed = _summed(told) if len(told) == len(rounds) else None
    waits, spans = _client(rounds, heed_looks=summed is not None)
    if not len(spans):
        return ()
    wait = Stage(WAIT, float(np.mean(waits)), f"{_CLIENT}, mean of {len(waits):,}")
    return _enclosed(own, [wait, *_of_sums(float(np.mean(spans)), len(spans), summed)])


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


def _client(rounds: Sequence[Round], *, heed_looks: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give from intended to sent, and from sent to done, of good answers; of those after the first look, if that counts."""
    waits, spans = [np.empty(0)], [np.empty(0)]
    for each in rounds:
        since = each.told.since if heed_looks and each.told else 0.0
        good = each.samples.where(each.samples.ok & (each.samples.done >= since))
        waits.append(good.sent - good.intended)
        spans.append(good.done - good.sent)
    return np.concatenate(waits), np.concatenate(spans)


def _summed(told: Sequence[Told]) -> Statistics | None:
    """Add up what came in each round; None if there was nothing, or a server that began anew meanwhile."""
    counts = [each.after.predictions - each.before.predictions for each in told]
    if min(counts, default=0) <= 0:
        return None
    parts = dict.fromkeys(told[0].after.parts, 0.0)
    for each in told:
        for name in parts:
            parts[name] += each.after.parts[name] - each.before.parts[name]
    return Statistics(sum(counts), parts, told[0].after.source)


def _of_sums(span: float, answers: int, told: Statistics | None) -> list[Stage]:
    """Give the parts of the mean time from sending to answer."""
    if told is None:
        return [Stage(WHOLE, span, f"{_CLIENT}, mean of {answers:,}")]
    parts = {name: seconds / told.predictions for name, seconds in told.parts.items()}
    source = f"{told.source}, mean of {told.predictions:,}"
    network = Stage(NETWORK, span - sum(parts.values()), f"the client's mean of {answers:,}, less the server's")
    return [network, *(Stage(name, seconds, source) for name, seconds in parts.items())]
