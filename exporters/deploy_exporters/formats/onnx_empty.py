"""Batches of no rows, and sequences of no steps, which end a process in which ONNX Runtime runs a recurrent model.

ONNX Runtime 1.32 calls std::terminate for an LSTM or a GRU with a dimension of 0.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np

from deploy_core.errors import InputError
from deploy_core.signature import BATCH, Array, Signature, TensorSpec

_DEADLY = (b'"\x04LSTM', b'"\x03GRU')  # how a node of a file begins to name its operator: field 4, and the length


@cache
def is_deadly(path: Path) -> bool:
    """Tell whether an ONNX file has such operators; looked up when it is first asked for nothing."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(name) >= 0 for name in _DEADLY)


def answer(
    run: Callable[[dict[str, Array]], dict[str, Array]], signature: Signature, arrays: Mapping[str, Array]
) -> dict[str, Array]:
    """Give the answer to a batch of no rows: that to one row, without it.

    Raises InputError where a dimension other than the batch is 0, or an output is not by rows.
    """
    nothing = [symbol for symbol, size in signature.sizes(arrays).items() if size == 0]
    if nothing != [BATCH] or not all(BATCH in spec.shape for spec in signature.outputs):
        raise InputError(
            f"the inputs have {' = '.join(nothing)} = 0, which a recurrent model cannot be asked", hint="leave them out"
        )
    one = run({spec.name: _one_row(spec, arrays[spec.name]) for spec in signature.inputs})
    return {spec.name: one[spec.name].take([], axis=spec.shape.index(BATCH)) for spec in signature.outputs}


def _one_row(spec: TensorSpec, array: Array) -> Array:
    shape = [1 if dim == BATCH else size for dim, size in zip(spec.shape, array.shape, strict=True)]
    if array.dtype.kind == "O":
        return np.full(shape, b"", dtype=object)
    return np.zeros(shape, array.dtype)
