"""What the load generator costs, and how punctual it is: `python -m benchmarks.generator`.

It sends to a null server on this machine, one process of the generator at a time. Closed loop: CPU of the generator for a
request, all its bookkeeping included. Open loop at 1,000 requests a second: how late requests leave.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from deploy_core.endpoint import Endpoint
from deploy_dialects.wire import HttpRequest, RpcRequest
from deploy_latency import measuring
from deploy_latency.load import Load, Target
from deploy_latency.samples import Seconds
from deploy_latency.schedules import Constant, Poisson

TARGETS = {"rest": 60.0, "grpc": 200.0}  # CPU microseconds a request
PUNCTUAL = 1000.0  # microseconds at p99, at RATE requests a second
RATE = 1000.0
CONCURRENCIES = (1, 8, 64)
SIZES = (100, 49_152)  # bytes of a body: a small model's, a small image's


@dataclass(frozen=True)
class Cost:
    """A closed loop; times in microseconds."""

    transport: str
    body: int
    concurrency: int
    connections: int
    requests: int
    failed: int
    rate: float
    p50: float
    cpu: float
    target: float


@dataclass(frozen=True)
class Lateness:
    """An open loop: microseconds from `intended` to `fired`, and from there to `sent`."""

    transport: str
    schedule: str
    rate: float
    requests: int
    failed: int
    p50: float
    p99: float
    worst: float
    queueing_p99: float
    cpu: float
    target: float


@contextmanager
def null_server() -> Generator[tuple[int, int]]:
    """Have the server running; give its ports of HTTP and of gRPC."""
    command = [sys.executable, "-m", "benchmarks.null_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            http, grpc = map(int, process.stdout.readline().split())
            yield http, grpc
        finally:
            process.terminate()


def target(transport: str, port: int, size: int) -> Target:
    """Give what is asked: the null server looks at nothing but the end of a request."""
    endpoint = Endpoint.parse(f"oip+{transport}://127.0.0.1:{port}/null")
    if transport == "grpc":
        return Target(endpoint, (RpcRequest("/inference.GRPCInferenceService/ModelInfer", b"x" * size),))
    headers = {"content-type": "application/json"}
    return Target(endpoint, (HttpRequest("POST", "/v2/models/null/infer", headers, b"x" * size),))


def cost(asked: Target, concurrency: int, seconds: float) -> Cost:
    """Measure one closed loop. REST needs a connection for each request under way, gRPC has one for all."""
    transport = asked.endpoint.transport
    connections = concurrency if transport == "rest" else 1
    load = Load(concurrency=concurrency, connections=connections, seconds=seconds, warmup=seconds / 5, keep=0)
    run = measuring.measure(asked, load)
    samples = run.samples
    return Cost(
        transport=transport,
        body=len(asked.requests[0].body),
        concurrency=concurrency,
        connections=connections,
        requests=len(samples),
        failed=int((~samples.ok).sum()),
        rate=len(samples) / seconds,
        p50=_micro(samples.latency, 0.5),
        cpu=measuring.generator(run).cpu_per_request * 1e6,
        target=TARGETS[transport],
    )


def lateness(asked: Target, schedule: Constant | Poisson, seconds: float) -> Lateness:
    """Measure one open loop."""
    load = Load(schedule=schedule, connections=32, seconds=seconds, warmup=seconds / 5, keep=0)
    run = measuring.measure(asked, load)
    samples = run.samples
    late = samples.fired - samples.intended
    return Lateness(
        transport=asked.endpoint.transport,
        schedule=type(schedule).__name__.lower(),
        rate=schedule.rate,
        requests=len(samples),
        failed=int((~samples.ok).sum()),
        p50=_micro(late, 0.5),
        p99=_micro(late, 0.99),
        worst=float(late.max()) * 1e6,
        queueing_p99=_micro(samples.sent - samples.fired, 0.99),
        cpu=measuring.generator(run).cpu_per_request * 1e6,
        target=PUNCTUAL,
    )


def measured(seconds: float, concurrencies: Iterable[int], sizes: Iterable[int]) -> tuple[list[Cost], list[Lateness]]:
    """Measure everything, for that many seconds each."""
    with null_server() as (http, grpc):
        ports = {"rest": http, "grpc": grpc}
        costs = [
            cost(target(transport, ports[transport], size), concurrency, seconds)
            for transport, size, concurrency in product(ports, sizes, concurrencies)
        ]
        schedules: tuple[Constant | Poisson, ...] = (Constant(RATE), Poisson(RATE))
        return costs, [
            lateness(target(transport, ports[transport], SIZES[0]), schedule, seconds)
            for transport, schedule in product(ports, schedules)
        ]


def machine() -> dict[str, object]:
    """Say where this was measured, and how busy it was there besides."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generator", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each of the measurements (2)")
    parser.add_argument("--quick", action="store_true", help="half a second each, one size and concurrency only")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    where = machine()
    few = (0.5, (8,), SIZES[:1])
    costs, late = measured(*(few if options.quick else (options.seconds, CONCURRENCIES, SIZES)))
    if options.json:
        found = {"machine": where, "closed": list(map(asdict, costs)), "open": list(map(asdict, late))}
        print(json.dumps(found, indent=2))
    else:
        print("\n".join(page(where, costs, late)))


def page(where: dict[str, object], costs: list[Cost], late: list[Lateness]) -> list[str]:
    """Give the tables."""
    lines = [", ".join(f"{name} {value}" for name, value in where.items()), ""]
    lines += [
        "| closed loop | body | concurrency | connections | req/s | p50 µs | CPU µs a request | target |",
        _bar(8),
    ]
    lines += [
        f"| {c.transport} | {c.body} | {c.concurrency} | {c.connections} | {c.rate:,.0f} | {c.p50:.0f} | {c.cpu:.1f} "
        f"| {_verdict(c.cpu, c.target, c.failed)} |"
        for c in costs
    ]
    lines += [
        "",
        "| open loop | req/s | late p50 µs | p99 | worst | queueing p99 | CPU µs a request | target |",
        _bar(8),
    ]
    lines += [
        f"| {o.transport}, {o.schedule} | {o.rate:,.0f} | {o.p50:.0f} | {o.p99:.0f} | {o.worst:.0f} | {o.queueing_p99:.0f} "
        f"| {o.cpu:.1f} | {_verdict(o.p99, o.target, o.failed)} |"
        for o in late
    ]
    return lines


def _bar(columns: int) -> str:
    return "|" + " --- |" * columns


def _verdict(value: float, most: float, failed: int) -> str:
    if failed:
        return f"{failed} failed"
    return f"≤ {most:g}: {'held' if value <= most else 'missed'}"


def _micro(values: Seconds, quantile: float) -> float:
    return float(np.quantile(values, quantile, method="inverted_cdf")) * 1e6 if len(values) else float("nan")


if __name__ == "__main__":
    main()
