"""Shapes that arrive from outside, checked before anything of their size is allocated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from deploy_core.signature import BATCH, Dim, TensorSpec
from deploy_dialects.malformed import Malformed, shown

MAX_RANK = 32  # numpy 1 goes no further
_MAX_ELEMENTS = 2**40


def checked_shape(name: str, dims: Iterable[object]) -> tuple[int, ...]:
    """Give the dimensions as a shape. Raises Malformed for what no tensor can have, products out of bounds included."""
    shape = tuple(dims)
    if len(shape) > MAX_RANK:
        raise Malformed(f"tensor {shown(name)} has {len(shape)} dimensions, at most {MAX_RANK} are possible")
    sizes = [d for d in shape if type(d) is int and d >= 0]
    if len(sizes) != len(shape):
        raise Malformed(f"tensor {shown(name)} has shape {shown(list(shape))}; dimensions are integers from 0 on")
    # A zero must not hide an absurd dimension beside it, hence max(…, 1).
    if prod(max(size, 1) for size in sizes) > _MAX_ELEMENTS:
        raise Malformed(f"tensor {shown(name)} has shape {shown(list(shape))}, which is more than can be held")
    return tuple(sizes)


def check_count(name: str, shape: Sequence[int], count: int) -> None:
    """Raise Malformed unless `count` values fill the shape."""
    if count != prod(shape):
        raise Malformed(f"tensor {shown(name)} of shape {list(shape)} needs {prod(shape)} values, got {count}")


def empty_shape(shape: tuple[int, ...], spec: TensorSpec) -> tuple[int, ...]:
    """Complete a shape read off nested lists that end at an empty one, e.g. `[]` for float32[batch,6]: (0,) → (0, 6)."""
    if 0 not in shape or len(shape) >= len(spec.shape):
        return shape
    return shape + tuple(d if isinstance(d, int) else 0 for d in spec.shape[len(shape) :])


def wire_dims(shape: Sequence[Dim]) -> list[int]:
    """Give a signature's shape as the wires have it: a symbol is -1."""
    return [d if isinstance(d, int) else -1 for d in shape]


def symbolic(name: str, dims: Sequence[int]) -> tuple[Dim, ...]:
    """Give a wire's shape as a signature has it.

    A variable first dimension is the batch, which all tensors share; of the others no wire says which are equal.
    """
    return tuple(d if d >= 0 else BATCH if axis == 0 else f"{name}_{axis}" for axis, d in enumerate(dims))
