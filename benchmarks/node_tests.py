"""How much of ONNX the translation to TensorFlow speaks, measured by the standard's own node tests.

Run as `python -m benchmarks.node_tests`. Each case goes from ONNX to a SavedModel on disk, which is loaded and run, and
on to a TFLite file, which LiteRT runs; ONNX's own tolerances judge.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import node_cases, node_page
from benchmarks.node_cases import NodeCase
from benchmarks.node_runs import CONSTANT, FED, PASS, TFLITE, to_json
from benchmarks.node_workers import run_all

TITLES = {
    CONSTANT: "through SavedModel, shape-like inputs as initialisers",
    FED: "through SavedModel, every input fed",
    TFLITE: "through TFLite, shape-like inputs as initialisers",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code."""
    options = _parsed(arguments)
    if options.list:
        node_cases.LIST.write_text(node_cases.written_list())
        print(f"{node_cases.LIST.name}: {len(node_cases.listed())} cases")
        return 0
    document = json.loads(options.read.read_text()) if options.read else _measured(options)
    for line in summary(document):
        print(line)
    _write(options, document)
    return 0


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    return measured(_chosen(list(node_cases.load().values()), options), options.workers)


def _write(options: argparse.Namespace, document: dict[str, Any]) -> None:
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.write:
        options.write.write_text(node_page.page(document, summary(document)))
    if options.failures:
        for case in document["cases"]:
            for way in (way for way in TITLES if case[way]["state"] != PASS):
                print(f"{case['name']} {way} {case[way]['state']}: {case[way]['reason']}")


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.node_tests", description=__doc__)
    parser.add_argument("--list", action="store_true", help="write the list of cases that count, and run nothing")
    parser.add_argument("--operator", action="append", metavar="NAME", help="only the cases of this operator")
    parser.add_argument("--shard", type=_shard, default=(0, 1), metavar="I/N", help="only every N-th case, from 1/N on")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time (default: 2)")
    parser.add_argument("--failures", action="store_true", help="print every case that does not pass, and why")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome as JSON")
    parser.add_argument("--read", type=Path, metavar="FILE", help="take the outcomes from such a file, and run nothing")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page as Markdown")
    return parser.parse_args(arguments)


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 1 to N, e.g. 1/4")
    return int(number) - 1, int(count)


def _chosen(cases: list[NodeCase], options: argparse.Namespace) -> list[NodeCase]:
    wanted = set(options.operator or ())
    if unknown := wanted - {case.operator for case in cases}:
        raise SystemExit(f"no case is about {', '.join(sorted(unknown))}")
    index, count = options.shard
    return [case for case in cases if not wanted or case.operator in wanted][index::count]


def measured(cases: Sequence[NodeCase], workers: int) -> dict[str, Any]:
    """Run the cases and give the document that `--json` writes."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for done, (case, outcomes) in enumerate(run_all(cases, workers, Path(folder, "log.txt")), 1):
            rows.append({"name": case.name, "operator": case.operator, **to_json(outcomes)})
            if done % 100 == 0:
                print(f"{done} of {len(cases)}", file=sys.stderr)
    rows.sort(key=lambda row: str(row["name"]))
    return {
        "schema": "node-tests/1",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": node_page.versions(),
        "denominator": len(cases),
        "cases": rows,
    }


def summary(document: dict[str, Any]) -> list[str]:
    """Say in a line for each way how many cases pass, of how many, and what became of the others."""
    lines = []
    for way, title in TITLES.items():
        states = Counter(case[way]["state"] for case in document["cases"])
        share = states[PASS] / max(document["denominator"], 1)
        rest = ", ".join(f"{states[state]} {state}" for state in ("fail", "refused"))
        lines.append(f"{title}: {states[PASS]}/{document['denominator']} ({share:.1%}) pass, {rest}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
