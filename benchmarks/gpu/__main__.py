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
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.gpu import subjects
from benchmarks.gpu.measuring import LEAST, Result
from benchmarks.gpu.page import page
from deploy_core.device import CPU, Device
from deploy_core.errors import DeployError
from deploy_model_store import Version
from deploy_toolkit import export
from deploy_toolkit.demo import simplecnn, simplenet
from deploy_toolkit.flows.formats import formats
from deploy_toolkit.probes import gpu
from deploy_toolkit.probes.finding import look

Say = Callable[[str], None]
MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {"simplenet": simplenet.torch_net, "simplecnn": simplecnn.torch_net}
FORMATS = ("torchscript", "pt2", "onnx", "mar", "savedmodel", "tflite")
_TOOLS = ("torch", "onnxruntime", "onnxruntime-gpu", "onnx", "tensorflow", "torchserve")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit code."""
    options = _parser().parse_args(arguments)
    found = look({"gpu": gpu.gpus, "driver": gpu.driver}, seconds=30)
    if not found["gpu"].ok:
        print(f"there is nothing to measure here: {found['gpu'].told}", file=sys.stderr)
        return 6
    places = (Device.parse(options.device), CPU)  # the CPU, to have something to compare the figures with
    with TemporaryDirectory(prefix="gpu-") as folder:
        parts = run(Path(folder), places, options.requests, say=lambda text: print(text, file=sys.stderr, flush=True))
    text = page(parts, _machine([found["gpu"].told, found["driver"].told]), options.requests)
    print(text)
    if options.write:
        options.write.write_text(text)
    return 4 if any(result.verdict == "disagree" for part in parts.values() for result in part) else 0


def run(
    store: Path,
    places: Sequence[Device],
    requests: int,
    *,
    say: Say,
    names: Sequence[str] = tuple(MODELS),
    to: Sequence[str] = FORMATS,
    served: tuple[tuple[str, str], ...] = subjects.SERVED,
) -> dict[str, list[Result]]:
    """Export with the source on each of the devices, and ask everything there."""
    parts: dict[str, list[Result]] = {f"On {place}": [] for place in places}
    for name in names:
        model, example = MODELS[name]()
        for place, results in zip(places, parts.values(), strict=True):
            stored = _stored(name, model, example, place, store, to, say, results)
            if stored is not None:
                results += _asked(model, stored, store, place, requests, served, say)
    return parts


def _stored(
    name: str, model: Any, example: Any, place: Device, store: Path, to: Sequence[str], say: Say, results: list[Result]
) -> Version | None:
    """Export with the source on that device; every file is proved by its export."""
    told = f"{name}-from-{place.kind}"
    say(f"exporting {told}")
    able = [cell.format for cell in formats() if cell.kind == "torch" and cell.format in to and not cell.missing]
    source = copy.deepcopy(model).to(subjects.torch_name(place))
    try:
        return export(source, to=able, name=told, example=example, store=store).version
    except DeployError as error:
        results.append(Result(told, "export", "failed", why=str(error)))
        return None


def _asked(
    model: Any,
    stored: Version,
    store: Path,
    device: Device,
    requests: int,
    served: tuple[tuple[str, str], ...],
    say: Say,
) -> list[Result]:
    say(f"asking {stored} on {device}")
    results = [subjects.of_source(copy.deepcopy(model), stored, device, requests)]
    results += subjects.of_files(stored, device, requests)
    say(f"serving {stored} on {device}")
    return [*results, *subjects.of_servers(stored, store, device, requests, served)]


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
