"""What is sent and when, as plain data that goes to worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy_clients.tls import Tls
from deploy_core.endpoint import Endpoint
from deploy_dialects.wire import HttpRequest, RpcRequest
from deploy_latency.schedules import Schedule


@dataclass(frozen=True)
class Target:
    """Where requests go, and the requests: encoded once by the dialect, sent in turn. `headers` are shown nowhere."""

    endpoint: Endpoint
    requests: tuple[HttpRequest | RpcRequest, ...]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: Tls | None = None


@dataclass(frozen=True)
class Load:
    """How requests come: by a `schedule` (open loop), else `concurrency` of them at any time (closed loop).

    `seconds` are measured, after `warmup` seconds of the same load that are not. A request without an answer within
    `timeout` seconds of its intended sending has failed. `connections` bounds those of all workers together (for gRPC each
    carries many calls); `keep` is how many answers are kept to be looked at, spread over the run.
    """

    schedule: Schedule | None = None
    concurrency: int = 0
    seconds: float = 10.0
    warmup: float = 1.0
    timeout: float = 10.0
    connections: int = 64
    workers: int = 1
    keep: int = 200
    seed: int = 0
