"""What judging costs beside the model: `python -m benchmarks.agreement_cost` compares and measures noise of large outputs and small.

Answers are there already, so that only the arithmetic of agreement is measured: CPU seconds, and the most memory beyond
that of wanted and given answers, in units of the output. Each measurement has a process of its own. With `--baseline FOLDER`,
another checkout, both take turns, and the last column is the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deploy_agreement import Noise, compare, noise
from deploy_core.signature import Array, Signature, Tensors, TensorSpec

SHAPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "small, 64 × 10": ("scores", (64, 10)),
    "masks, 8 × 21 × 256 × 256": ("logits", (8, 21, 256, 256)),
    "images, 8 × 3 × 640 × 640": ("image", (8, 3, 640, 640)),
    "tokens, 4 × 96 × 30522": ("logits", (4, 96, 30522)),
}
HUGE = {"tokens, 4 × 512 × 30522": ("logits", (4, 512, 30522))}
ROOMS = ("core", "agreement")
_SMALL = 10**5  # elements; a measurement of so few is repeated
_AGAIN = 30
_WHEN = (" before", "")


@dataclass
class Kept:
    """Answers to row numbers with arrays that are there already: first with the first, then with the last; counts its seconds."""

    signature: Signature
    kept: list[Array]
    seconds: float = 0.0
    asked: int = 0

    def predict(self, inputs: Tensors) -> dict[str, Array]:
        """Give the rows that are asked for."""
        started = _cpu()
        answer = self.kept[-1 if self.asked else 0]
        rows = inputs["rows"][:, 0].round().astype(np.intp)
        whole = np.array_equal(rows, np.arange(len(answer)))
        found = {self.signature.outputs[0].name: answer if whole else answer[rows]}
        self.asked += 1
        self.seconds += _cpu() - started
        return found

    def close(self) -> None:
        """There is nothing to close."""


@dataclass
class Kept64(Kept):
    """Has float64, too."""

    def predict_float64(self, inputs: Tensors) -> dict[str, Array]:
        """Give the answers in float64."""
        started = _cpu()
        found = {name: array.astype(np.float64) for name, array in self.predict(inputs).items()}
        self.seconds += _cpu() - started
        return found


@dataclass(frozen=True)
class Case:
    """An output with its inputs, right answers, and ones that differ by rounding."""

    name: str
    inputs: Tensors
    want: Array
    near: Array

    @property
    def signature(self) -> Signature:
        """Give the signature of a model that answers so."""
        outputs = TensorSpec(self.name, "float32", ("batch", *self.want.shape[1:]))
        return Signature((TensorSpec("rows", "float32", ("batch", 1)),), (outputs,))

    def compared(self, got: Array) -> float:
        """Compare as `deploy check` does, and give the seconds of it."""
        predictor = Kept(self.signature, [got])
        scale = np.full((1, *self.want.shape[1:]), 1e-6)
        started = _cpu()
        row = compare("it", {self.name: self.want}, predictor, self.inputs, noise=Noise({self.name: scale}, "given"))
        assert row.outputs[0].compared
        return _cpu() - started - predictor.seconds

    def measured(self) -> float:
        """Measure the noise, and give the seconds of it."""
        predictor = Kept64(self.signature, [self.want, self.near])
        started = _cpu()
        noise(predictor, self.inputs)
        return _cpu() - started - predictor.seconds


def made(name: str, shape: tuple[int, ...]) -> Case:
    """Make a case."""
    random = np.random.default_rng(0)
    want = random.standard_normal(shape, np.float32)
    near = want * (1 + random.choice(np.array([-1e-7, 0, 1e-7], np.float32), shape))
    return Case(name, {"rows": np.arange(len(want), dtype=np.float32)[:, None]}, want, near)


def wrong(case: Case) -> Array:
    """Give answers of which one row is wrong."""
    got = case.near.copy()
    got[-1] *= np.float32(1.01)
    return got


MEASURES: dict[str, Callable[[Case], Callable[[], float]]] = {
    "compare, rounding apart": lambda case: lambda: case.compared(case.near),
    "compare, the same bits": lambda case: lambda: case.compared(case.want),
    "compare, a row is wrong": lambda case: (lambda got: lambda: case.compared(got))(wrong(case)),
    "noise": lambda case: case.measured,
}


def main() -> int:
    """Measure every case, here and in another checkout."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement_cost", description=__doc__)
    parser.add_argument("--baseline", type=Path, help="another checkout, to be measured beside this one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--huge", action="store_true", help="62 million elements, too; needs 2 GB of memory and more")
    parser.add_argument("--only", default="", help="cases and measures whose names hold this")
    parser.add_argument("--one", nargs=2, metavar=("CASE", "MEASURE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(*given.one)))
        return 0
    heads = [
        "output",
        "measured",
        *(f"{what}{when}" for when in _WHEN[not given.baseline :] for what in ("CPU s", "memory")),
    ]
    _row(heads + ["ratio"] * bool(given.baseline))
    _row(["---"] * (len(heads) + bool(given.baseline)))
    for case in SHAPES | (HUGE if given.huge else {}):
        for measure in (each for each in MEASURES if given.only in f"{case} {each}"):
            _row([case, measure, *_columns(case, measure, given.rounds, given.baseline)])
    return 0


def _row(cells: list[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def one(case: str, measure: str) -> dict[str, float]:
    """Measure one thing in this process."""
    subject = made(*(SHAPES | HUGE)[case])
    run = MEASURES[measure](subject)
    small = subject.want.size < _SMALL
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    seconds = statistics.median(run() for _ in range(_AGAIN if small else 1))
    return {"seconds": seconds, "memory": (_memory("VmHWM") - before) / subject.want.nbytes}


def _columns(case: str, measure: str, rounds: int, baseline: Path | None) -> Iterator[str]:
    places = [*([baseline] if baseline else []), Path.cwd()]
    found = [[_child(place, case, measure) for place in places] for _ in range(rounds)]
    for column in zip(*found, strict=True):
        yield f"{statistics.median(each['seconds'] for each in column):.3g}"
        yield f"{statistics.median(each['memory'] for each in column):.1f} ×" if "small" not in case else "–"
    if baseline:
        yield f"{statistics.median(after['seconds'] / before['seconds'] for before, after in found):.3f}"


def _child(place: Path, case: str, measure: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.agreement_cost", "--one", case, measure]
    rooms = os.pathsep.join(str(place.resolve() / room) for room in ROOMS)
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": rooms}, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def _cpu() -> float:
    return time.process_time()  # with the system's part: large temporaries cost most there


def _memory(what: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
