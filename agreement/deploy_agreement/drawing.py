"""Seeded inputs in the range of the golden ones: as many as fit into the time, so that rare faults have a chance to show."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from deploy_agreement.inputs import drawn_inputs
from deploy_agreement.probes import Probe, answered, joined
from deploy_agreement.rounding import Noise
from deploy_agreement.rows import Rows, batch_symbol, rows_of, take
from deploy_core.predictor import Predictor
from deploy_core.signature import Array, Tensors

ROWS = 64
MOST = 4096
_ELEMENTS = 2**21  # of inputs and outputs together, of all rows
_FEWEST = 8


@dataclass(frozen=True)
class Budget:
    """How many rows are drawn by which seed, in batches of what size, and for how many seconds a predictor is asked for them."""

    rows: int = MOST
    seconds: float = 1.0
    seed: int = 0
    size: int = ROWS


def drawn(reference: Predictor, golden: Tensors, outputs: Tensors, measured: Noise, budget: Budget) -> Probe:
    """Draw rows like the golden ones and have the reference answer them in batches of as many, while there is time.

    Of a model whose batch is fixed, or that has an output without rows, it is one batch. Raises what the reference does.
    """
    axes = rows_of(reference.signature, golden, outputs)
    most = _most(axes, golden, outputs, budget) if _is_free(reference, axes, outputs) else axes.count
    inputs = drawn_inputs(reference.signature, golden, most, seed=budget.seed)
    size = budget.size if most > axes.count else axes.count
    probes = []
    for index in _while_there_is_time(_batches(most, size), budget.seconds):
        batch = take(inputs, axes.inputs, index)
        probes.append(answered(reference, "drawn", batch, measured))
    return joined(probes, (axes.inputs, axes.outputs))


def asked(predictor: Predictor, probe: Probe, size: int, seconds: float) -> Iterator[tuple[Probe, Tensors]]:
    """Ask for a probe in batches of `size` rows while there is time; give each part of it with the answer.

    Raises what the predictor does.
    """
    axes = rows_of(predictor.signature, probe.inputs, probe.outputs)
    if axes.count <= size or any(name not in axes.outputs for name in probe.outputs):
        yield probe, predictor.predict(probe.inputs)
        return
    for index in _while_there_is_time(_batches(axes.count, size), seconds):
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
    return max(min(budget.rows, _ELEMENTS // max(1, each)), _FEWEST)


def _batches(count: int, size: int) -> list[Array]:
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def _while_there_is_time(
    batches: list[Array], seconds: float, clock: Callable[[], float] = time.monotonic
) -> Iterator[Array]:
    """Give the first at any rate."""
    end = clock() + seconds
    for number, index in enumerate(batches):
        if number and clock() > end:
            return
        yield index
