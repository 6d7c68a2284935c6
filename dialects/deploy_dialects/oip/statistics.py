"""What Triton has summed up of a model's predictions, over REST and gRPC; MLServer and others have nothing like it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from deploy_core.endpoint import Endpoint
from deploy_dialects.answers import member, object_of
from deploy_dialects.malformed import doubting
from deploy_dialects.management import Operation, Statistics, Wish
from deploy_dialects.messages import message, parsed
from deploy_dialects.wire import HttpReply, HttpRequest, RpcRequest

_METHOD = "/inference.GRPCInferenceService/ModelStatistics"
_PARTS = {
    "queue": "queue",
    "compute_input": "compute input",
    "compute_infer": "compute",
    "compute_output": "compute output",
}
_REST = "rest of the server"
_SOURCE = "the server's statistics"
_WHOLE = "success"


def _path(endpoint: Endpoint, wish: Wish) -> HttpRequest:
    at = "" if endpoint.version is None else f"/versions/{quote(endpoint.version, safe='')}"
    return HttpRequest("GET", f"/v2/models/{quote(endpoint.model, safe='')}{at}/stats")


def _read(endpoint: Endpoint, reply: HttpReply) -> Statistics:
    answer = object_of(endpoint, reply)
    with doubting(endpoint):
        return _summed([_of_json(one) for one in member(answer, "model_stats", list)])


def _of_json(one: Any) -> dict[str, tuple[int, int]]:
    told = member(one, "inference_stats", dict)
    spans = {name: member(told, name, dict) for name in (_WHOLE, *_PARTS)}
    return {name: (member(span, "count", int), member(span, "ns", int)) for name, span in spans.items()}


def _call(endpoint: Endpoint, wish: Wish) -> RpcRequest:
    request = message("oip", "inference.ModelStatisticsRequest")(name=endpoint.model, version=endpoint.version or "")
    return RpcRequest(_METHOD, request.SerializeToString())


def _read_call(endpoint: Endpoint, reply: bytes) -> Statistics:
    with doubting(endpoint):
        answer = parsed(message("oip", "inference.ModelStatisticsResponse"), reply)
    spans = [{name: getattr(one.inference_stats, name) for name in (_WHOLE, *_PARTS)} for one in answer.model_stats]
    return _summed([{name: (span.count, span.ns) for name, span in each.items()} for each in spans])


def _summed(versions: Iterable[dict[str, tuple[int, int]]]) -> Statistics:
    """Add up the versions: who names none means them all, and those that rest add nothing from one look to the next."""
    parts = dict.fromkeys((*_PARTS.values(), _REST), 0.0)
    predictions = 0
    for spans in versions:
        count, whole = spans.pop(_WHOLE)
        predictions += count
        parts[_REST] += (whole - sum(ns for _, ns in spans.values())) / 1e9
        for name, (_, ns) in spans.items():
            parts[_PARTS[name]] += ns / 1e9
    return Statistics(predictions, parts, _SOURCE)


STATISTICS = {"rest": Operation(_path, _read), "grpc": Operation(_call, _read_call)}
