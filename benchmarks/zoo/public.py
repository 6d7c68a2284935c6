"""The public side of a model, in a process of its own: what a user would call without us, judged as our files are."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.zoo import judge, registry
from benchmarks.zoo.model import Model
from benchmarks.zoo.results import Outcome, append
from deploy_core.artifact import size_of
from deploy_core.errors import reason

Maker = Callable[[Model, judge.Judge, Path], tuple[str, Path]]
_KINDS = {"torch": "public_torch", "keras": "public_keras"}


def outcomes(model: Model, formats: Sequence[str]) -> list[Outcome]:
    """Write each format by its public route and judge the file."""
    makers = _makers(model.kind)
    if not any(name in makers for name in formats):
        return [_none(model, name) for name in formats]
    asked = judge.opened(model)
    found = []
    with TemporaryDirectory(prefix="zoo-public-") as folder:
        for name in formats:
            found.append(
                _made(model, asked, name, makers[name], Path(folder)) if name in makers else _none(model, name)
            )
    return found


def _makers(kind: str) -> Mapping[str, Maker]:
    if kind not in _KINDS:
        return {}
    from importlib import import_module

    makers: Mapping[str, Maker] = import_module(f"benchmarks.zoo.{_KINDS[kind]}").MAKERS
    return makers


def _made(model: Model, asked: judge.Judge, name: str, maker: Maker, folder: Path) -> Outcome:
    began = time.perf_counter()
    try:
        how, path = maker(model, asked, folder)
        seconds, size = round(time.perf_counter() - began, 1), round(size_of(path) / 1e6, 2)
        verdict, why = asked.verdict(name, path)
    except NotInstalledError as missing:
        return Outcome(model.name, name, "public", "none", str(missing))
    except Exception as error:
        return Outcome(model.name, name, "public", "failed", reason(error))
    return Outcome(model.name, name, "public", verdict, why, seconds, size, how)


def _none(model: Model, name: str) -> Outcome:
    return Outcome(model.name, name, "public", "none", f"no public route from {model.kind} to {name}")


class NotInstalledError(Exception):
    """A public converter is not here: that is no failure of its."""


def other_python() -> str:
    """Give the Python that has litert-torch. Raises NotInstalledError."""
    found = os.environ.get("DEPLOY_ZOO_PYTHON", "")
    if not found:
        raise NotInstalledError("litert-torch is not installed: see --public-python")
    return found


def main(name: str, formats: str, results: str) -> None:
    """Write the outcomes of one model to a file, each as it comes."""
    model = registry.named(name)
    append(Path(results), outcomes(model, formats.split(",")))


if __name__ == "__main__":
    main(*sys.argv[1:])
