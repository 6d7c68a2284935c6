"""What servers have summed up of a model's predictions, read from what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deploy_core.endpoint import Endpoint
from deploy_core.errors import EndpointError
from deploy_dialects.management import Wish
from deploy_dialects.messages import message
from deploy_dialects.tables import MANAGEMENT
from deploy_dialects.wire import HttpReply

TRITON = Endpoint.parse("oip+rest://127.0.0.1:1/a%2Fb@2")
SPANS = {"success": 1_000, "queue": 300, "compute_input": 100, "compute_infer": 400, "compute_output": 150}
WANTED = {"queue": 6e-7, "compute input": 2e-7, "compute": 8e-7, "compute output": 3e-7, "rest of the server": 1e-7}
TORCHSERVE = Endpoint.parse("torchserve+rest://127.0.0.1:1/m")
METRICS = r"""# HELP ts_inference_requests_total Torchserve prometheus counter metric with unit: Count
# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="m",model_version="default",hostname="h",} 3.0
ts_inference_requests_total{model_name="m",model_version="2.0",hostname="h",} 1.0
ts_inference_requests_total{model_name="other",model_version="default",hostname="h",} 7.0
ts_queue_latency_microseconds{model_name="m",model_version="default",hostname="a\"}b",} 1000.5
ts_queue_latency_microseconds{model_name="m",model_version="2.0",hostname="h",} 1.0E3
ts_inference_latency_microseconds{model_name="m",model_version="default",hostname="h",} 5000.5
ts_inference_latency_microseconds{model_name="m",model_version="2.0",hostname="h",} 2000.0
CPUUtilization{Level="Host",hostname="h",} 50.0
process_cpu_seconds_total 12.5
"""


def operation(endpoint: Endpoint) -> Any:
    return MANAGEMENT.load(endpoint.dialect).OPERATIONS[endpoint.transport]["statistics"]


def test_triton_over_rest() -> None:
    asked = operation(TRITON).encode(TRITON, Wish())
    assert (asked.method, asked.target) == ("GET", "/v2/models/a%2Fb/versions/2/stats")
    one = {"inference_stats": {name: {"count": 4, "ns": ns} for name, ns in SPANS.items()}}
    body = json.dumps({"model_stats": [one, one]}).encode()
    told = operation(TRITON).decode(TRITON, HttpReply(200, {}, body))
    assert told.predictions == 8
    assert told.parts == pytest.approx(WANTED)


def test_triton_over_grpc() -> None:
    endpoint = Endpoint.parse("oip+grpc://127.0.0.1:1/m")
    asked = message("oip", "inference.ModelStatisticsRequest").FromString(
        operation(endpoint).encode(endpoint, Wish()).body
    )
    assert (asked.name, asked.version) == ("m", "")
    answer = message("oip", "inference.ModelStatisticsResponse")()
    for _ in range(2):
        stats = answer.model_stats.add().inference_stats
        for name, ns in SPANS.items():
            span = getattr(stats, name)
            span.count, span.ns = 4, ns
    told = operation(endpoint).decode(endpoint, answer.SerializeToString())
    assert told.predictions == 8
    assert told.parts == pytest.approx(WANTED)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model_stats": [{}]}', b'{"model_stats": [7]}'])
def test_what_is_no_statistics_is_said(body: bytes) -> None:
    with pytest.raises(EndpointError):
        operation(TRITON).decode(TRITON, HttpReply(200, {}, body))
    with pytest.raises(EndpointError, match="404"):
        operation(TRITON).decode(TRITON, HttpReply(404, {}, body))


@pytest.mark.parametrize(
    ("version", "predictions", "queue", "worker"),
    [(None, 4, 2.0005e-3, 5e-3), ("2.0", 1, 1e-3, 1e-3), ("3.0", 0, 0, 0)],
)
def test_torchserve(version: str | None, predictions: int, queue: float, worker: float) -> None:
    endpoint = Endpoint("torchserve", "rest", "127.0.0.1", 1, "m", version)
    told = operation(endpoint).decode(endpoint, HttpReply(200, {}, METRICS.encode()))
    assert told.predictions == predictions
    assert told.parts == pytest.approx({"queue": queue, "worker": worker})


def test_a_counter_that_is_none_is_said() -> None:
    with pytest.raises(EndpointError, match="many"):
        operation(TORCHSERVE).decode(TORCHSERVE, HttpReply(200, {}, METRICS.replace("3.0", "many").encode()))
