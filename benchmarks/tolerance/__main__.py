"""Measure: python -m benchmarks.tolerance [--seeds 600] [--inputs float16]: false alarms on honest arithmetic, and small faults found."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.tolerance.arithmetic import HONEST
from benchmarks.tolerance.models import Computed, Model, model
from deploy_agreement import Noise, compare, noise
from deploy_core.dtypes import numpy_dtype

FAULTS = (1.001, 1.01)
_TURNS = 2  # faults of each size planted in each model
_LEAST = 0.3  # of the root mean square of a weight: what is nearly 0 is no fault when it is a percent more


@dataclass(frozen=True)
class Found:
    """One comparison: `times` is the deviation of the worst element in units of its tolerance."""

    kind: str
    what: str
    seed: int
    times: float
    ok: bool
    ok_by_one_number: bool = True  # as judged by the greatest noise of all elements


def honest(seed: int, dtype: str = "float32") -> Iterator[Found]:
    """Compare a model, whose inputs are of that dtype, with itself in every other arithmetic."""
    made, source, measured = _opened(seed, dtype)
    want = source.predict({"x": made.x})
    for how in HONEST:
        if how.tile and "convolutions" not in made.kind:
            continue
        row = compare(how.name, want, Computed(made, how), {"x": made.x}, noise=measured, batches=(1, 7))
        yield Found(made.kind, how.name, seed, row.outputs[0].needed_times or 0.0, row.ok)


def faulty(seed: int, factor: float, dtype: str = "float32") -> Iterator[Found]:
    """Change single weights that matter, and compare; a fault that changes nothing at all is none."""
    made, source, measured = _opened(seed, dtype)
    want = source.predict({"x": made.x})
    random = np.random.default_rng(seed)
    for _ in range(_TURNS):
        name, place = _weight(made, random)
        wrong = Computed(made.with_fault(name, place, factor))
        row = compare(name, want, wrong, {"x": made.x}, noise=measured, batches=())
        flat = compare(name, want, wrong, {"x": made.x}, noise=Noise(measured.greatest(), ""), batches=())
        if row.outputs[0].max_abs:
            yield Found(made.kind, f"{factor - 1:.1%}", seed, row.outputs[0].needed_times or 0.0, row.ok, flat.ok)


def _opened(seed: int, dtype: str) -> tuple[Model, Computed, Noise]:
    drawn = model(seed)
    made = replace(drawn, x=drawn.x.astype(numpy_dtype(dtype)))
    source = Computed(made)
    return made, source, noise(source, {"x": made.x})


def _weight(made: Model, random: np.random.Generator) -> tuple[str, tuple[int, ...]]:
    names = [name for name, array in made.weights.items() if array.ndim > 1 and name != "bias"]
    name = names[random.integers(len(names))]
    size = np.abs(made.weights[name])
    counts = np.flatnonzero(size.ravel() > _LEAST * np.sqrt(np.mean(size**2)))
    return name, tuple(int(i) for i in np.unravel_index(random.choice(counts), size.shape))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row for every kind of model; exit with 1 if an honest pair is accused."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tolerance", description=__doc__)
    parser.add_argument("--seeds", type=int, default=600)
    parser.add_argument("--inputs", default="float32", metavar="DTYPE", help="of inputs; all computes in float32")
    asked = parser.parse_args(arguments)
    seeds, dtype = range(asked.seeds), asked.inputs
    pairs = _by_kind(found for seed in seeds for found in honest(seed, dtype))
    faults = {factor: _by_kind(f for seed in seeds for f in faulty(seed, factor, dtype)) for factor in FAULTS}
    print(
        "| model | honest pairs | accused | median | 99 % | greatest | 0.1 % found | by one number | 1 % found | by one number |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for kind, found in {**pairs, "all": [f for each in pairs.values() for f in each]}.items():
        print(f"| {kind} | {_honest(found)} | {' | '.join(_faulty(one, kind) for one in faults.values())} |")
    return int(any(not found.ok for each in pairs.values() for found in each))


def _by_kind(found: Iterator[Found]) -> dict[str, list[Found]]:
    kinds: dict[str, list[Found]] = defaultdict(list)
    for one in found:
        kinds[one.kind].append(one)
    return kinds


def _honest(found: Sequence[Found]) -> str:
    times = np.array([one.times for one in found])
    accused = sum(not one.ok for one in found)
    return f"{len(found)} | {accused} | {np.median(times):.2f} | {np.quantile(times, 0.99):.2f} | {times.max():.2f}"


def _faulty(kinds: dict[str, list[Found]], kind: str) -> str:
    found = kinds[kind] if kind in kinds else [one for each in kinds.values() for one in each]
    by_each, by_one = sum(not one.ok for one in found), sum(not one.ok_by_one_number for one in found)
    return f"{by_each} of {len(found)} | {by_one}"


if __name__ == "__main__":
    raise SystemExit(main())
