"""What is sent and when, as plain data that goes to worker processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from deploy_clients.tls import Tls
from deploy_core.endpoint import Endpoint
from deploy_dialects.wire import HttpRequest, RpcRequest
from deploy_latency.samples import Seconds
from deploy_latency.schedules import Schedule, warming

_OTHER_SEED = 1_000_003  # the warm-up is no rehearsal of the same times


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
    carries many calls); `keep` is how many answers are kept to be looked at, spread over the run. Where there are 0
    `connections` or `workers`, their number is chosen by `measuring.planned`.
    """

    schedule: Schedule | None = None
    concurrency: int = 0
    seconds: float = 10.0
    warmup: float = 1.0
    timeout: float = 10.0
    connections: int = 0
    workers: int = 0
    keep: int = 200
    seed: int = 0


def arrivals(load: Load) -> Seconds:
    """Give all times of a load with a schedule, none for one without; those of the warm-up are negative."""
    if load.schedule is None:
        return np.empty(0)
    measured = load.schedule.times(load.seconds, load.seed)
    if not load.warmup:
        return measured
    before = warming(load.schedule).times(load.warmup, load.seed + _OTHER_SEED) - load.warmup
    return np.concatenate([before, measured])
