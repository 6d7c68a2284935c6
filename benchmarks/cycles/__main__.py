"""Prints what is left over after servers were started and killed."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import cycles
from benchmarks.cycles.deaths import DEATHS, QUICK
from benchmarks.cycles.running import run_all, table
from benchmarks.cycles.serving import Way


def _hear_all() -> None:
    """Have the servers hear Ctrl-C and SIGHUP, which they would ignore if we do, as `nohup` and a shell's `&` have it."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *told: None)  # we go on, and what is started begins with the usual


def _exported(folder: Path) -> Path:
    """A store with two versions of the smallest example, in all formats that servers want."""
    source = Path(__file__).parents[2] / "examples" / "simplenet.py"
    words = ["export", f"{source}:torch_net", "--to", "onnx,mar,savedmodel", "--name", "simplenet"]
    for _ in range(2):
        command = [sys.executable, "-m", "deploy_toolkit.cli", *words, "--store", str(folder)]
        subprocess.run(command, check=True)
    return folder


def main() -> int:
    """Print the table; give 1 if anything was left over."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cycles", description=cycles.__doc__)
    parser.add_argument("--cycles", type=int, default=50, help="for each server")
    parser.add_argument("--server", default="embedded", help="several with commas")
    parser.add_argument("--in", dest="where", choices=("process", "container"), default="process")
    parser.add_argument("--store", type=Path, help="default: one is made from an example")
    parser.add_argument("--model", default="simplenet")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one cycle of the most important deaths")
    parser.add_argument("more", nargs="*", help="after --: further words for deploy serve, e.g. --image NAME")
    given = parser.parse_args()
    _hear_all()
    with tempfile.TemporaryDirectory(prefix="dc-store-") as folder:
        store = given.store or _exported(Path(folder))
        ways = [Way(server, store, given.model, given.where, tuple(given.more)) for server in given.server.split(",")]
        deaths = QUICK if given.quick else DEATHS
        outcomes = run_all(ways, deaths, len(QUICK) if given.quick else given.cycles, parallel=given.parallel)
    print(table(outcomes))
    bad = [outcome for outcome in outcomes if outcome.left]
    for outcome in bad:
        print(f"\n{outcome.server}, {outcome.death.name}: {', '.join(outcome.left)}", *outcome.said, sep="\n  ")
    print(f"\n{len(outcomes)} cycles, {len(bad)} left something over")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
