"""Seeded inputs in the range of the golden ones: as many as fit into the time, so that rare faults have a chance to show."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from deploy_agreement.probing.inputs import drawn_inputs
from deploy_agreement.probing.probes import Probe, answered, joined
from deploy_agreement.rows import Rows, batch_symbol, rows_of, take
from deploy_agreement.tolerances.rounding import Noise
from deploy_core.predictor import Predictor
from deploy_core.signature import Array, Tensors

ROWS = 64
MOST = 4096
_ELEMENTS = 2**21  # of inputs and outputs together, of all rows
FEW = 8  # rows of the first batches


@dataclass(frozen=True)
class Budget:
    """How many rows are drawn by which seed, for how many seconds a predictor is asked for them, and in what batches.

    These are of `size` rows, and of `few` at first and where that many take too long.
    """

    rows: int = MOST
    seconds: float = 1.0
    seed: int = 0
    size: int = ROWS
    few: int = FEW


def drawn(reference: Predictor, golden: Tensors, outputs: Tensors, measured: Noise, budget: Budget) -> Probe:
    """Draw rows like the golden ones and have the reference answer them in batches of as many, while there is time.

    Of a model whose batch is fixed, or that has an output without rows, it is one batch. Raises what the reference does.
    """
    axes = rows_of(reference.signature, golden, outputs)
    free = _is_free(reference, axes, outputs)
    most = _most(axes, golden, outputs, budget) if free else axes.count
    inputs = drawn_inputs(reference.signature, golden, most, seed=budget.seed)
    size = budget.size if free else axes.count
    probes = []
    for index in _indexes(most, size, min(budget.few, size) if free else size, budget.seconds):
        batch = take(inputs, axes.inputs, index)
        probes.append(answered(reference, "drawn", batch, measured))
    return joined(probes, (axes.inputs, axes.outputs))


def asked(
    predictor: Predictor, probe: Probe, size: int, seconds: float, *, few: int = FEW
) -> Iterator[tuple[Probe, Tensors]]:
    """Ask for a probe in batches of `size` rows while there is time, at first of `few`; give each part of it with the answer.

    Raises what the predictor does.
    """
    axes = rows_of(predictor.signature, probe.inputs, probe.outputs)
    if axes.count <= size or any(name not in axes.outputs for name in probe.outputs):
        yield probe, predictor.predict(probe.inputs)
        return
    for index in _indexes(axes.count, size, few, seconds):
        part = _part(probe, axes, index)
        yield part, predictor.predict(part.inputs)


def _part(probe: Probe, axes: Rows, index: Array) -> Probe:
    return Probe(
        probe.name,
        take(probe.inputs, axes.inputs, index),
        take(probe.outputs, axes.outputs, index),
        probe.noise,
        counts=probe.counts,
        label=probe.label,
        unsure=take(probe.unsure, axes.outputs, index),
    )


def _is_free(reference: Predictor, axes: Rows, outputs: Tensors) -> bool:
    return batch_symbol(reference.signature.inputs) is not None and axes.outputs.keys() == outputs.keys()


def _most(axes: Rows, golden: Tensors, outputs: Tensors, budget: Budget) -> int:
    each = sum(array.size for array in (*golden.values(), *outputs.values())) // max(1, axes.count)
    return max(min(budget.rows, _ELEMENTS // max(1, each)), FEW)


def _indexes(
    count: int, size: int, few: int, seconds: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[Array]:
    """Give the rows of each batch: few at first, whose time does not count, then twice as many as long as there is time."""
    start, step, end = 0, min(few, size), math.inf
    while start < count and (began := clock()) < end:
        yield np.arange(start, min(start + step, count))
        now = clock()
        if start == 0:
            end = now + seconds
        start += step
        if 2 * (now - began) <= seconds:
            step = min(2 * step, size)
