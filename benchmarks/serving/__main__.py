"""Measures, and writes docs/serving.md and docs/serving.svg."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import serving
from benchmarks.serving import page, tools
from benchmarks.serving.measuring import Plan, measure
from benchmarks.serving.peers import PEERS, Peer
from benchmarks.serving.records import Records
from deploy_core import child
from deploy_core.errors import DeployError, UsageError
from deploy_toolkit.flows.bench.flow import machine

ROOT = Path(__file__).parents[2]
SOURCES = {"simplenet": ROOT / "examples" / "simplenet.py", "cnn": Path(__file__).with_name("cnn.py")}
_ATTRIBUTES = {"simplenet": "torch_net", "cnn": "net"}
FULL = Plan(tuple(SOURCES), (1, 8, 64), rounds=3, seconds=1, starts=3)
QUICK = Plan(("simplenet",), (8,), rounds=2, seconds=1, starts=1)


def main() -> int:
    """Run the command; give its exit code."""
    options = _parser().parse_args()
    # One prediction uses one thread, in whatever library: with several, two cores would measure who takes them first.
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="deploy-serving-") as temporary:
        try:
            return _main(options, options.environments or Path(temporary))
        except DeployError as error:
            print(f"{error}\n  {error.hint}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted: the same command goes on if it has --environments or --results", file=sys.stderr)
            return 130


def _main(options: argparse.Namespace, environments: Path) -> int:
    environments = environments.absolute()
    plan = QUICK if options.quick else FULL
    models = _models(options.models) or plan.models
    plan = Plan(models, plan.concurrencies, options.rounds or plan.rounds, plan.seconds, plan.starts)
    peers = _chosen(options.peers)
    records = Records(options.results or environments / "results.jsonl", plan.settings(peers))
    if not records.of(kind="machine"):
        told = {name: bool(tools.tool_for(transport)) for transport, name in tools.TOOLS.items()}
        records.add({"kind": "machine", "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", **machine(), "tools": told})
    for model in plan.models:
        measure(model, peers, plan, records, _stored(model, environments / "models"), environments)
    text = page.page(records, peers)
    print(text)
    if options.write:
        options.write.with_suffix(".svg").write_bytes(page.plot(records, peers))
        options.write.write_text(text)
    return 1 if page.bad(records) else 0


def _stored(name: str, store: Path) -> Path:
    """Give the store with the model, exported if it is not there."""
    if not (store / name).exists():
        source = f"{SOURCES[name]}:{_ATTRIBUTES[name]}"
        words = ["export", source, "--to", "onnx,mar", "--name", name, "--store", str(store)]
        said = child.output([sys.executable, "-m", "deploy_toolkit.cli", *words], seconds=300.0)
        if said.code:
            raise UsageError(f"{name} could not be exported: {said.last}", hint="run deploy export yourself")
    return store


def _models(names: str) -> tuple[str, ...]:
    wanted = tuple(name for name in names.lower().split(",") if name)
    if unknown := [name for name in wanted if name not in SOURCES]:
        raise UsageError(f"unknown model {unknown[0]!r}", hint=f"known: {', '.join(SOURCES)}")
    return wanted


def _chosen(names: str) -> tuple[Peer, ...]:
    wanted = [name for name in names.lower().split(",") if name]
    known = {peer.name.lower(): peer for peer in PEERS}
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"unknown server {unknown[0]!r}", hint=f"known: {', '.join(known)}")
    return tuple(peer for name, peer in known.items() if not wanted or name in wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=serving.__doc__)
    parser.add_argument(
        "--environments", type=Path, help="keeps environments, models and results (default: a temporary folder)"
    )
    parser.add_argument(
        "--results", type=Path, help="the JSON lines (default: results.jsonl there); a run goes on from them"
    )
    parser.add_argument("--models", default="", help="simplenet, cnn (default: both, quick: the first)")
    parser.add_argument("--peers", default="", help="several with commas (default: all)")
    parser.add_argument("--rounds", type=int, default=0, help="default 3, quick 2")
    parser.add_argument("--quick", action="store_true", help="the small model at one concurrency, two rounds")
    parser.add_argument("--write", type=Path, help="writes the page here, and its plot beside it, e.g. docs/serving.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
