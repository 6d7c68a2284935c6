"""Run it: python -m benchmarks.faults [--quick] [--only NAME,…] [--write docs/faults.md]."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.faults import honest, page
from benchmarks.faults.fault import Fault
from benchmarks.faults.ground import Ground
from benchmarks.faults.judging import judge_all
from benchmarks.faults.registry import FAULTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, check and print; give 1 if a fault was missed or an honest pair accused."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="deploy-faults-") as temporary:
        ground = Ground(Path(options.folder or temporary), options.quick)
        began = time.perf_counter()
        try:
            verdicts = [] if options.no_faults else list(judge_all(ground, _wanted(options)))
            pairs = [] if options.no_honest else list(honest.judge_all(ground))
        finally:
            ground.workers.close()
        seconds = time.perf_counter() - began
    if options.write:
        options.write.write_text(page.page(verdicts, pairs, seconds, _command(options)))
    print(page.summary(verdicts, pairs, seconds))
    return 0 if all(one.found for one in verdicts) and all(pair.ok for pair in pairs) else 1


def _wanted(options: argparse.Namespace) -> list[Fault]:
    names = [name for name in options.only.split(",") if name]
    if unknown := sorted(set(names) - {fault.name for fault in FAULTS}):
        raise SystemExit(f"there is no fault {', '.join(unknown)}")
    return [fault for fault in FAULTS if (fault.name in names or not names) and (fault.quick or not options.quick)]


def _command(options: argparse.Namespace) -> str:
    return " ".join(["python -m benchmarks.faults", *["--quick"] * options.quick, f"--write {options.write}"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.faults", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a fault of each kind or so, about a minute on two cores")
    add("--only", default="", metavar="NAME[,…]", help="these faults")
    add("--write", type=Path, metavar="FILE.md", help="write the page")
    add("--folder", type=Path, metavar="DIR", help="keep the models and what is made of them, for the next time")
    add("--no-honest", action="store_true", help="leave the honest pairs out")
    add("--no-faults", action="store_true", help="leave the faults out")
    return parser


if __name__ == "__main__":
    sys.exit(main())
