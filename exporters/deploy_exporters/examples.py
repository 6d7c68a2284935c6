"""Example inputs: made from specs, brought to a number of rows; and what a model's answers to them tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deploy_core.dtypes import dtype_name, is_float, numpy_dtype
from deploy_core.errors import ExportError, UsageError
from deploy_core.signature import BATCH, Array, Tensors, TensorSpec


@dataclass(frozen=True)
class Probes:
    """Two example inputs between which every symbol changes; `symbols` tells it by its two sizes."""

    first: dict[str, Array]
    second: dict[str, Array]
    symbols: Mapping[tuple[int, int], str]


def probes(specs: Sequence[TensorSpec], example: Tensors) -> Probes:
    """Make two inputs of 2 and of 3 rows: of the example, unless it has one size where the specs have a symbol."""
    small, grown = sizes(specs), sizes(specs, grown=True)
    symbols = {(small[symbol], grown[symbol]): symbol for symbol in small}
    if len(symbols) == 1:
        return Probes(rows(example, 2), rows(example, 3), symbols)
    return Probes(from_specs(specs), from_specs(specs, grown=True), symbols)


def sizes(specs: Sequence[TensorSpec], *, grown: bool = False) -> dict[str, int]:
    """Give each symbol a size of its own: 2 to the batch, 8 to the next, …; one more if `grown`."""
    symbols = dict.fromkeys(dim for spec in specs for dim in spec.shape if isinstance(dim, str))
    others = [symbol for symbol in symbols if symbol != BATCH]
    return {BATCH: 2 + grown, **{symbol: 8 + 3 * index + grown for index, symbol in enumerate(others)}}


def from_specs(specs: Sequence[TensorSpec], *, grown: bool = False) -> dict[str, Array]:
    """Make fixed pseudo-random inputs; symbols become what `sizes` gives."""
    random = np.random.default_rng(0)
    chosen = sizes(specs, grown=grown)
    return {spec.name: _random(spec, chosen, random) for spec in specs}


def rows(example: Tensors, count: int) -> dict[str, Array]:
    """Give the example with `count` rows, its own repeated if there are fewer."""
    return {
        name: np.ascontiguousarray(array[np.arange(count) % len(array)]) if array.ndim else array
        for name, array in example.items()
    }


def at_least_two_rows(example: Tensors) -> dict[str, Array]:
    """Repeat a single row: converters take a batch of 1 for a constant. Raises UsageError for an empty example."""
    lengths = [len(array) for array in example.values() if array.ndim]
    if 0 in lengths:
        raise UsageError("the example inputs are empty", hint="give at least one row")
    return rows(example, max(2, *lengths)) if len(set(lengths)) == 1 else dict(example)


def output_specs(
    two: Tensors, three: Tensors, names: Sequence[str], symbols: Mapping[tuple[int, int], str]
) -> tuple[TensorSpec, ...]:
    """Tell outputs' specs from the answers to two probes; `names` override the model's own."""
    if names and len(names) != len(two):
        raise UsageError(
            f"{len(names)} output names are given, the model has {len(two)} outputs",
            hint=f"its own names are {', '.join(two)}",
        )
    if len(set(names)) != len(names):
        raise UsageError(f"two outputs would have one name: {', '.join(names)}", hint="name each output apart")
    if list(two) != list(three):
        raise ExportError("the model's outputs depend on the size of the batch", hint="return the same outputs always")
    chosen = tuple(names) or tuple(two)
    return tuple(_spec(name, two[own], three[own], symbols) for name, own in zip(chosen, two, strict=True))


def check_numbers(outputs: Tensors) -> None:
    """Raise ExportError if an output is NaN."""
    for name, array in outputs.items():
        if is_float(dtype_name(array.dtype)) and np.isnan(array.astype(np.complex128)).any():
            raise ExportError(
                f"output {name!r} of the source model is NaN for the example inputs",
                hint="nothing could be compared with it; check the weights and the example",
            )


def shown(arrays: Tensors) -> str:
    """Give names, dtypes and shapes for a message."""
    return ", ".join(f"{name}:{array.dtype}{list(array.shape)}" for name, array in arrays.items())


def check_batch(specs: Sequence[TensorSpec]) -> None:
    """Raise UsageError unless the first dimension of every given spec is the batch."""
    for spec in specs:
        if not spec.shape or spec.shape[0] != BATCH:
            rest = ",".join(map(str, (BATCH, *spec.shape[1:])))
            raise UsageError(
                f"input {spec} has no batch as its first dimension", hint=f"write {spec.name}:{spec.dtype}[{rest}]"
            )


def _random(spec: TensorSpec, sizes: Mapping[str, int], random: np.random.Generator) -> Array:
    shape = [sizes[dim] if isinstance(dim, str) else dim for dim in spec.shape]
    if is_float(spec.dtype):
        return random.standard_normal(shape).astype(numpy_dtype(spec.dtype))
    if spec.dtype == "string":
        return np.full(shape, b"text", dtype=object)
    return random.integers(0, 2, shape).astype(numpy_dtype(spec.dtype))


def _spec(name: str, two: Array, three: Array, symbols: Mapping[tuple[int, int], str]) -> TensorSpec:
    if two.ndim != three.ndim:
        raise ExportError(f"output {name!r} has {two.ndim} dimensions for 2 rows and {three.ndim} for 3")
    pairs = enumerate(zip(two.shape, three.shape, strict=True))
    shape = tuple(a if a == b else symbols.get((a, b), f"{name}_{axis}") for axis, (a, b) in pairs)
    return TensorSpec(name, dtype_name(two.dtype), shape)
