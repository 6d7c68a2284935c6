"""Whether a gate sees 2 ms: `python -m benchmarks.gate --store demo-out` measures a server, then again, then with a delay planted.

Exit code 0 if the gate lets the same server pass and stops the slower one, 1 if not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.meddling import meddling
from deploy_core.endpoint import Endpoint
from deploy_latency.load import Load
from deploy_latency.report import Report
from deploy_toolkit.flows import serve
from deploy_toolkit.flows.bench import flow, judging
from deploy_toolkit.flows.bench.request import Request
from deploy_toolkit.reports.bench import document

GATE = "p50<=1.5x,p99<=2x"
DELAY = 0.002
ROUNDS = 6


def main() -> int:
    """Measure three times, and say what the gate says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--store", type=Path, default=Path("demo-out"))
    parser.add_argument("--model", default="simplenet")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each of the three runs")
    given = parser.parse_args()
    with serve.serving(serve.Request((given.model,)), store=given.store) as running, TemporaryDirectory() as folder:
        endpoint = next(one for one in running.endpoints if one.transport == "rest")
        baseline = Path(folder, "baseline.json")
        baseline.write_text(json.dumps(document.to_json(_measured(endpoint, 0.0, given.store, given.seconds, None))))
        same = _measured(endpoint, 0.0, given.store, given.seconds, baseline)
        slower = _measured(endpoint, DELAY, given.store, given.seconds, baseline)
    for name, report in (("the same server", same), (f"with {DELAY * 1e3:g} ms planted", slower)):
        print(f"{name}: exit code {judging.exit_code(report)}: {'; '.join(_told(report))}")
    return 0 if (judging.exit_code(same), judging.exit_code(slower)) == (0, 5) else 1


def _measured(endpoint: Endpoint, delay: float, store: Path, seconds: float, baseline: Path | None) -> Report:
    with meddling(endpoint.port, delay) as port:
        load = Load(concurrency=1, seconds=seconds, warmup=0.5)
        gate = GATE if baseline else ""
        subject = str(replace(endpoint, port=port))
        return flow.bench(Request((subject,), load, rounds=ROUNDS, gate=gate, baseline=baseline), store=store)


def _told(report: Report) -> Iterator[str]:
    for one in report.judged:
        figure = one.figure
        interval = f" ({figure.low:.2f}–{figure.high:.2f})" if figure.low and figure.high else ""
        yield f"{one.limit} {one.verdict} at {figure.value or 0:.2f}{interval}"


if __name__ == "__main__":
    sys.exit(main())
