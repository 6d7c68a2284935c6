"""Exporting to five formats against a bare script that makes the same files by the same routes in two processes.

Run as `python -m benchmarks.export_cost`; `--write` puts the table into docs/export-cost.md. What `deploy export` does
to prove the files is reported apart: a bare script proves nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "export-cost.md"
FORMATS = ("torchscript", "mar", "onnx", "savedmodel", "tflite")
AIM = 1.15
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Round:
    """Seconds of one pair; `proving` is the part of `whole` that a bare script does not have."""

    bare: float
    whole: float
    proving: float
    bare_cpu: float
    whole_cpu: float
    proving_cpu: float

    @property
    def ratio(self) -> float:
        """What `deploy export` takes without proving, in units of the bare script."""
        return (self.whole - self.proving) / self.bare

    @property
    def cpu_ratio(self) -> float:
        """The same in seconds of processor time, which other work on the machine moves less."""
        return (self.whole_cpu - self.proving_cpu) / self.bare_cpu


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    rounds = [_pair(number) for number in range(options.rounds)]
    page = _page(rounds)
    print(page)
    if options.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page)
    return 0 if statistics.median(each.ratio for each in rounds) <= AIM else 1


def _pair(number: int) -> Round:
    """Measure both, every other time in the other order, so that a machine that slows down slows both."""
    with tempfile.TemporaryDirectory(prefix="export-cost-") as folder:
        first = Path(folder)
        if number % 2:
            ours, bare = _ours(first), _bare(first)
        else:
            bare, ours = _bare(first), _ours(first)
    measured = Round(bare[0], *ours[:2], bare[1], *ours[2:])
    told = f"bare {measured.bare:.1f} s, deploy export {measured.whole:.1f} s, {measured.proving:.1f} s of it proving"
    print(f"round {number + 1}: {told}: {measured.ratio:.2f}, in CPU {measured.cpu_ratio:.2f}", file=sys.stderr)
    return measured


def _bare(folder: Path) -> tuple[float, float]:
    begun, cpu = time.monotonic(), _cpu()
    for script in ("bare_torch", "bare_tf"):
        command = [sys.executable, "-m", f"benchmarks.export_cost.{script}", str(folder)]
        subprocess.run(command, env={**os.environ, **_QUIET}, check=True, capture_output=True)
    return time.monotonic() - begun, _cpu() - cpu


def _ours(folder: Path) -> tuple[float, float, float, float]:
    begun, cpu = time.monotonic(), _cpu()
    source = f"{Path(__file__).with_name('model.py')}:net"
    command = [sys.executable, "-m", "deploy_toolkit.cli", "export", source, "--to", ",".join(FORMATS)]
    command += ["--name", "net", "--store", str(folder / "models")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    said = [(line, (time.monotonic(), _cpu_of(process.pid))) for line in process.stderr]
    if process.wait() != 0:
        raise SystemExit("".join(line for line, _ in said))
    return time.monotonic() - begun, _proving(said, 0), _cpu() - cpu, _proving(said, 1)


def _proving(said: Sequence[tuple[str, tuple[float, float]]], column: int) -> float:
    """Give what lies between the events that begin and end a proof: the source's own answers, and the comparison."""
    words = ("asking", "writing", "comparing", "stored")
    at = {word: next(used[column] for line, used in said if line.startswith(word)) for word in words}
    return at["writing"] - at["asking"] + at["stored"] - at["comparing"]


def _cpu_of(pid: int) -> float:
    """Give the CPU seconds of a process and of those below it, which are ended only after the last event."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in family)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _page(rounds: Sequence[Round]) -> str:
    rows = {
        "bare script, two processes": [each.bare for each in rounds],
        "`deploy export`": [each.whole for each in rounds],
        "… of it proving the files": [each.proving for each in rounds],
        "… without proving": [each.whole - each.proving for each in rounds],
        "CPU of the bare script": [each.bare_cpu for each in rounds],
        "CPU of `deploy export`": [each.whole_cpu for each in rounds],
        "… of it proving the files, in CPU": [each.proving_cpu for each in rounds],
    }
    table = [
        f"| {name} | {statistics.median(values):.1f} | {min(values):.1f} – {max(values):.1f} |"
        for name, values in rows.items()
    ]
    ratios, cpu = [each.ratio for each in rounds], [each.cpu_ratio for each in rounds]
    tools = ", ".join(f"{name} {version(name)}" for name in ("torch", "tensorflow", "onnx"))
    return f"""# What exporting costs

One small residual network to {", ".join(FORMATS)}: `deploy export`, against a bare script
that makes the same files by the same routes in two processes (`benchmarks/export_cost`). {len(rounds)} pairs in turns,
{datetime.now(UTC):%Y-%m-%d}; {tools}; {os.cpu_count()} CPUs, load {os.getloadavg()[2]:.1f} while measured.
Written by `python -m benchmarks.export_cost --write`.

| seconds | median | range |
|---|---|---|
{chr(10).join(table)}

Without proving, `deploy export` takes **{statistics.median(ratios):.2f}** times what the bare script takes (median of the
pairs; {min(ratios):.2f} – {max(ratios):.2f}), and **{statistics.median(cpu):.2f}** times its processor time ({min(cpu):.2f} –
{max(cpu):.2f}).

The aim is at most {AIM}. The TensorFlow worker imports its libraries while torch exports; on a machine that others use, two
busy processes also get more of it than the one of the bare script: there, processor time is the figure to go by. It is below
1 where the bare processes take their libraries down in order and the workers are just ended.

Proving is what nobody else does: the source model answers in its own precision and in float64, and every file answers the
same inputs in its own runtime, at several batch sizes.
"""


if __name__ == "__main__":
    sys.exit(main())
