"""wrk and h2load: their commands, and what they print."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deploy_core import child
from deploy_dialects.wire import HttpRequest, RpcRequest
from deploy_latency.load import Target

TOOLS = {"rest": "wrk", "grpc": "h2load"}  # both are packages of Debian: wrk, nghttp2-client
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_PATIENCE = 60.0


@dataclass(frozen=True)
class Told:
    """What a tool says of a run: seconds where nothing else is named."""

    requests: int
    failed: int
    rate: float
    p50: float | None
    p99: float | None


class UnreadableError(Exception):
    """What a tool printed has not the form that it should have."""


def tool_for(transport: str) -> str | None:
    """Give the tool for a transport if it is installed."""
    return TOOLS[transport] if shutil.which(TOOLS[transport]) else None


def run(target: Target, concurrency: int, seconds: int, folder: Path) -> Told:
    """Send the first of a target's requests again and again. Raises UnreadableError if the tool fails."""
    request = target.requests[0]
    if isinstance(request, HttpRequest):
        command = _wrk(target, request, concurrency, seconds, folder)
        return read_wrk(_printed(command))
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    printed = _printed(_h2load(target, request, concurrency, seconds, folder))
    return read_h2load(printed, log.read_text().splitlines())


def _printed(command: list[str]) -> str:
    said = child.output(command, seconds=_PATIENCE)
    if said.code:
        raise UnreadableError(f"{command[0]}: {said.last}")
    return said.out


def _wrk(target: Target, request: HttpRequest, concurrency: int, seconds: int, folder: Path) -> list[str]:
    (folder / "body").write_bytes(request.body)
    script = folder / "post.lua"
    headers = "".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}\n" for k, v in request.headers.items())
    body = f'wrk.body = io.open({json.dumps(str(folder / "body"))}, "rb"):read("*a")\n'
    script.write_text(f'wrk.method = "{request.method}"\n{headers}{body}')
    url = f"http://{target.endpoint.address}{request.target}"
    sizes = ["-t1", f"-c{concurrency}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    return ["wrk", *sizes, "-s", str(script), url]


def _h2load(target: Target, request: RpcRequest, concurrency: int, seconds: int, folder: Path) -> list[str]:
    body = folder / "message"
    body.write_bytes(b"\0" + len(request.body).to_bytes(4, "big") + request.body)
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    sizes = ["-t1", f"-c{concurrency}", "-m1", f"-D{seconds}", f"--log-file={folder / 'h2load.log'}"]
    return ["h2load", *sizes, "-d", str(body), *headers, f"http://{target.endpoint.address}{request.method}"]


def read_wrk(text: str) -> Told:
    """Read what wrk prints with --latency."""
    done = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not done or not rate:
        raise UnreadableError(f"wrk printed {text[:200]!r}")
    at = {int(q): float(value) * _UNITS[unit] for q, value, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s|m)", text)}
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = sum(map(int, errors.groups())) if errors else 0
    return Told(int(done[1]), failed + (int(bad[1]) if bad else 0), float(rate[1]), at.get(50), at.get(99))


def read_h2load(text: str, log: Iterable[str]) -> Told:
    """Read what h2load prints, and its log: begin, status and microseconds of each request."""
    counts = {name: int(value) for value, name in re.findall(r"(\d+) (succeeded|failed|errored|timeout)", text)}
    rate = re.search(r"finished in [^,]+, ([\d.]+) req/s", text)
    if not rate or "succeeded" not in counts:
        raise UnreadableError(f"h2load printed {text[:200]!r}")
    took = np.array([int(line.split("\t")[2]) for line in log if line.count("\t") >= 2], np.float64) / 1e6
    p50, p99 = np.quantile(took, (0.5, 0.99), method="inverted_cdf").tolist() if len(took) else (None, None)
    return Told(counts["succeeded"], counts.get("failed", 0), float(rate[1]), p50, p99)
