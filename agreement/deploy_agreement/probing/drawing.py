"""Seeded inputs in the range of the golden ones: as many as fit into the time, so that rare faults have a chance to show."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deploy_agreement.probing.inputs import drawn_inputs
from deploy_agreement.probing.probes import Probe, answered, joined
from deploy_agreement.probing.sizes import batches
from deploy_agreement.rows import Rows, batch_symbol, rows_of, take
from deploy_agreement.tolerances.rounding import Noise
from deploy_core.errors import DeployError, EndpointError, InputError
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
    predictor: Predictor, probe: Probe, size: int, seconds: float, *, few: int = FEW, sizes: Sequence[int] = ()
) -> Iterator[tuple[Probe, Tensors | DeployError]]:
    """Ask for a probe in batches of `size` rows while there is time, at first of `few`; give each part of it with the answer.

    With `sizes`, it is asked in batches of these first. An error is given as it is, and ends it, but for one that says
    no to more than `size` rows (`is_limit`).
    """
    axes = rows_of(predictor.signature, probe.inputs, probe.outputs)
    if any(name not in axes.outputs for name in probe.outputs) or (axes.count <= size and not sizes):
        yield probe, _answer(predictor, probe)
        return
    for index in _chosen(probe, axes.count, size, seconds, few, sizes):
        part = part_of(probe, axes, index)
        got = _answer(predictor, part)
        yield part, got
        if isinstance(got, DeployError) and not is_limit(got, len(index), size):
            return


def _chosen(probe: Probe, count: int, size: int, seconds: float, few: int, sizes: Sequence[int]) -> Iterator[Array]:
    if not sizes:
        return _indexes(count, size, few, seconds)
    most = max(size, min(MOST, _ELEMENTS // max(1, _each(probe.inputs, probe.outputs, count))))
    return batches(count, sizes, size, seconds, most=most)


def is_limit(error: DeployError, rows: int, size: int) -> bool:
    """Tell whether it says that so many rows are too many, as one may whom nobody promised to take so many.

    That is an endpoint with a status, and a file with a limit of its own, as of a program whose memory is planned ahead.
    """
    answered = isinstance(error, EndpointError) and error.status is not None
    return rows > size and (answered or isinstance(error, InputError))


def _answer(predictor: Predictor, part: Probe) -> Tensors | DeployError:
    try:
        return predictor.predict(part.inputs)
    except DeployError as error:
        return error


def part_of(probe: Probe, axes: Rows, index: Array) -> Probe:
    """Give some rows of a probe."""
    return Probe(
        probe.name,
        take(probe.inputs, axes.inputs, index),
        take(probe.outputs, axes.outputs, index),
        probe.noise,
        counts=probe.counts,
        label=probe.label,
        unsure=take(probe.unsure, axes.outputs, index),
        shaky=take(probe.shaky, axes.outputs, index),
    )


def _is_free(reference: Predictor, axes: Rows, outputs: Tensors) -> bool:
    return batch_symbol(reference.signature.inputs) is not None and axes.outputs.keys() == outputs.keys()


def _most(axes: Rows, golden: Tensors, outputs: Tensors, budget: Budget) -> int:
    return max(min(budget.rows, _ELEMENTS // max(1, _each(golden, outputs, axes.count))), FEW)


def _each(inputs: Tensors, outputs: Tensors, count: int) -> int:
    """Give how many elements a row has."""
    return sum(array.size for array in (*inputs.values(), *outputs.values())) // max(1, count)


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
