"""Run the example models on an NVIDIA GPU: python -m benchmarks.gpu [--write docs/gpu.md].

Exports them on the CPU and with the source on the GPU, runs every file that can run there, the embedded server and
TorchServe, and prints whether they agree with what was trained, and how long a request takes. Exit code 6 without a GPU,
4 if something disagrees.
"""

from __future__ import annotations

import argparse
import copy
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.gpu import subjects
from benchmarks.gpu.measuring import LEAST, Result
from benchmarks.gpu.page import page
from deploy_core.device import CPU, Device
from deploy_core.errors import first_line
from deploy_model_store import Version
from deploy_toolkit import export
from deploy_toolkit.demo import simplecnn, simplenet
from deploy_toolkit.flows.formats import formats
from deploy_toolkit.probes import gpu
from deploy_toolkit.probes.finding import look

Say = Callable[[str], None]
MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {"simplenet": simplenet.torch_net, "simplecnn": simplecnn.torch_net}
FORMATS = ("torchscript", "pt2", "onnx", "mar")  # what can run on a GPU, as a file or in a server
_TOOLS = ("torch", "onnxruntime", "onnxruntime-gpu", "onnx", "torchserve")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code."""
    options = _parser().parse_args(arguments)
    found = look({"gpu": gpu.gpus, "driver": gpu.driver}, seconds=30)
    if not found["gpu"].ok:
        print(f"there is nothing to measure here: {found['gpu'].told}", file=sys.stderr)
        return 6
    places = (CPU, Device.parse(options.device))  # the CPU, to have something to compare the figures with
    with TemporaryDirectory(prefix="gpu-") as folder:
        say = partial(print, file=sys.stderr, flush=True)
        parts = run(Path(folder), places, Extent(options.requests), say=say)
    text = page(parts, _machine([found["gpu"].told, found["driver"].told]), options.requests)
    print(text)
    if options.write:
        options.write.write_text(text)
    return 4 if any(result.verdict == "disagree" for part in parts.values() for result in part) else 0


@dataclass(frozen=True)
class Extent:
    """How much is asked; `requests` are those that are timed, each."""

    requests: int
    names: Sequence[str] = tuple(MODELS)
    formats: Sequence[str] = FORMATS
    served: tuple[tuple[str, str], ...] = subjects.SERVED


def run(store: Path, places: Sequence[Device], extent: Extent, *, say: Say) -> dict[str, list[Result]]:
    """Export with the source on each of the devices, and ask everything on each; the first of them is the CPU."""
    exports: list[Result] = []
    asked: dict[str, list[Result]] = {f"Asked on {place}": [] for place in places}
    for name in extent.names:
        model, example = MODELS[name]()
        made = [_stored(name, model, example, place, store, extent.formats, say) for place in places]
        exports += [result for result, _ in made]
        stored = [version for _, version in made if version is not None]
        for place, results in zip(places, asked.values(), strict=True):
            say(f"asking {', '.join(map(str, stored))} on {place}")
            results += _asked(model, stored, store, place, extent)
    return {"Exports": exports, **asked}


def _stored(
    name: str, model: Any, example: Any, place: Device, store: Path, to: Sequence[str], say: Say
) -> tuple[Result, Version | None]:
    """Export with the source on that device; every file is proved by its export."""
    told = f"{name}-from-{place.kind}"
    say(f"exporting {told}")
    able = [cell.format for cell in formats() if cell.kind == "torch" and cell.format in to and not cell.missing]
    try:
        source = copy.deepcopy(model).to(subjects.torch_name(place))
        made = export(source, to=able, name=told, example=example, store=store)
    except Exception as error:  # torch raises anything where it is not made for CUDA: the others go on
        return Result(told, ", ".join(able), "failed", why=first_line(error)), None
    return Result(told, ", ".join(able), "agree" if made.report.ok else "disagree"), made.version


def _asked(model: Any, stored: Sequence[Version], store: Path, device: Device, extent: Extent) -> Iterator[Result]:
    for number, one in enumerate(stored):
        if number == 0:
            yield subjects.of_source(copy.deepcopy(model), one, device, extent.requests)
            yield from subjects.of_servers(one, store, device, extent.requests, extent.served)
        if number == 0 or device.on_gpu:
            yield from subjects.of_files(one, device, extent.requests)


def _machine(told: Sequence[str]) -> list[str]:
    tools = ", ".join(f"{name} {known}" for name in _TOOLS if (known := _version(name)))
    return [*told, f"Python {platform.python_version()}, {tools}", f"{datetime.now(UTC):%Y-%m-%d}"]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _requests(text: str) -> int:
    if int(text) < LEAST:
        raise argparse.ArgumentTypeError(f"{text} requests have no 99th percentile: give {LEAST} or more")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda:0", help="which GPU, as nvidia-smi counts them")
    parser.add_argument("--requests", type=_requests, default=1000, help="how many requests are timed, each")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the page")
    return parser


if __name__ == "__main__":
    sys.exit(main())
