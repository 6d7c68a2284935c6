"""What TorchServe has summed up of a model's predictions: counters at its metrics address, in Prometheus' text.

They appear with the first prediction. The time of a prediction counts from when its request is there, so that it has the
waiting within it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploy_core.endpoint import Endpoint
from deploy_dialects.answers import body_of
from deploy_dialects.malformed import Malformed, doubting, shown
from deploy_dialects.management import Operation, Statistics, Wish
from deploy_dialects.wire import HttpReply, HttpRequest

_COUNT = "ts_inference_requests_total"
_WHOLE = "ts_inference_latency_microseconds"
_QUEUE = "ts_queue_latency_microseconds"
_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\}\s+(\S+)(?:\s+\S+)?")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_SOURCE = "the server's metrics"


def _ask(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    return HttpRequest("GET", "/metrics")


def _read(endpoint: Endpoint, reply: HttpReply) -> Statistics:
    body = body_of(endpoint, reply)
    sums = dict.fromkeys((_COUNT, _WHOLE, _QUEUE), 0.0)
    with doubting(endpoint):
        for name, value in _values(endpoint, body.decode(errors="replace")):
            if name in sums:
                sums[name] += value
    queue = sums[_QUEUE] / 1e6
    return Statistics(int(sums[_COUNT]), {"queue": queue, "worker": sums[_WHOLE] / 1e6 - queue}, _SOURCE)


def _values(endpoint: Endpoint, text: str) -> Iterator[tuple[str, float]]:
    """Give the numbers that are of that model, and of that version if one is named."""
    for line in text.splitlines():
        found = _LINE.fullmatch(line.strip())
        if found is None:
            continue  # a comment, or a number that is of no model
        labels = {key: _ESCAPED.sub(r"\1", value) for key, value in _LABEL.findall(found[2])}
        ours = endpoint.version in (None, labels.get("model_version"))
        if labels.get("model_name") == endpoint.model and ours:
            yield found[1], _number(found[3])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Malformed(f"{shown(text)} is where a number should be") from None


STATISTICS = Operation(_ask, _read)
