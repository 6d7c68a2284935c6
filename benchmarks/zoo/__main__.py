"""Run the zoo: python -m benchmarks.zoo [--quick] [--shard 1/4] [--only NAME,…] [--write docs/zoo.md]."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.zoo import children, page, pairs, registry
from benchmarks.zoo.model import ROOT, Model
from benchmarks.zoo.results import Outcome, append, read

_TOOLS = (
    "torch",
    "transformers",
    "tensorflow",
    "keras",
    "onnx",
    "onnxruntime",
    "tf2onnx",
    "ai-edge-litert",
    "openvino",
    "executorch",
)
_GIT = (("rev-parse", "--short=9", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is not done yet, write the page if asked to, print the summary."""
    options = _parser().parse_args(arguments)
    if options.models_folder:
        os.environ["DEPLOY_ZOO_MODELS"] = str(Path(options.models_folder).resolve())
    wanted = _wanted(options)
    for index, model in enumerate(wanted, start=1):
        for by in _sides(options):
            _run(model, by, options, f"{index}/{len(wanted)}")
    results = read(options.results)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(page.page(registry.MODELS, results, tools()))
    print(page.summary(wanted, results))
    return 0


def tools() -> str:
    """Give the versions of what converts and runs."""
    return ", ".join(f"{name} {known}" for name in _TOOLS if (known := _version(name)))


@cache
def commit() -> str:
    """Give the commit of the code that runs, with a `+` where files differ from it; empty outside of a clone."""
    try:
        told = [subprocess.run(("git", *words), cwd=ROOT, capture_output=True, text=True, check=True) for words in _GIT]
    except (OSError, subprocess.CalledProcessError):
        return ""
    head, changes = (each.stdout.strip() for each in told)
    return head + "+" * bool(changes)


def _run(model: Model, by: str, options: argparse.Namespace, place: str) -> None:
    done = read(options.results)
    left = [
        name
        for name in options.formats or pairs.formats(model)
        if name in pairs.formats(model) and not _is_done(done.get((model.name, name, by)), model, options)
    ]
    if not left:
        return
    began = time.perf_counter()
    limits = {"seconds": options.seconds, "gigabytes": options.gigabytes, "python": options.public_python}
    if model.available:
        found = children.run(model, by, left, **limits)
    else:
        reason = f"{model.file.name} is not there: see --models-folder"
        found = [Outcome(model.name, name, by, "failed" if by == "ours" else "none", reason) for name in left]
    date, used, at = datetime.now(UTC).date().isoformat(), tools(), commit()
    made = [replace(outcome, version=model.version, date=date, tools=used, commit=at) for outcome in found]
    append(options.results, made)
    told = " ".join(f"{outcome.format}:{outcome.verdict}" for outcome in found)
    print(f"{place} {model.name} {by} {time.perf_counter() - began:.0f} s  {told}", file=sys.stderr, flush=True)


def _sides(options: argparse.Namespace) -> tuple[str, ...]:
    return tuple(by for by in ("ours", "public") if not getattr(options, f"no_{by}"))


def _is_done(outcome: Outcome | None, model: Model, options: argparse.Namespace) -> bool:
    if outcome is None or outcome.version != model.version:
        return False
    if outcome.verdict == "none":
        return "not installed" not in outcome.reason or not options.public_python
    return outcome.good or not options.again or (outcome.by == "public" and options.again != "all")


def _wanted(options: argparse.Namespace) -> list[Model]:
    names = [name for name in options.only.split(",") if name]
    unknown = sorted(set(names) - {model.name for model in registry.MODELS})
    if unknown:
        raise SystemExit(f"there is no {', '.join(unknown)} in the zoo")
    chosen = [
        model for model in registry.MODELS if (not names or model.name in names) and (model.quick or not options.quick)
    ]
    part, _, parts = options.shard.partition("/")
    return chosen[int(part) - 1 :: int(parts)]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.zoo", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a dozen models or more, under 10 minutes on two cores")
    add("--shard", default="1/1", metavar="I/N", help="every Nth model, from the Ith")
    add("--only", default="", metavar="NAME[,…]", help="these models")
    add("--formats", type=lambda text: text.split(","), metavar="FORMAT[,…]", help="these formats")
    add("--results", type=Path, default=Path("zoo.jsonl"), help="where outcomes are kept, and what is done already")
    add("--again", nargs="?", const="ours", choices=("ours", "all"), help="try what went wrong again: our side, or all")
    add("--write", type=Path, metavar="FILE.md", help="write the page")
    add("--no-public", action="store_true", help="leave the public routes out")
    add("--no-ours", action="store_true", help="the public routes alone")
    add(
        "--public-python",
        default=os.environ.get("DEPLOY_ZOO_PYTHON", ""),
        metavar="PATH",
        help="a Python with litert-torch",
    )
    add("--models-folder", default="", metavar="DIR", help="where packages with real models are (pip install --target)")
    add("--seconds", type=float, default=900, help="the most that one model and side may take")
    add("--gigabytes", type=float, default=8, help="the most memory that one model may take")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what runs is ended and its folder removed
    sys.exit(main())
