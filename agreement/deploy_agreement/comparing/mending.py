"""Inputs changed in the ways that pipelines get them wrong; if one makes a predictor agree, that is what it does wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from deploy_core.signature import Array, Tensors


def mended_inputs(inputs: Tensors) -> Iterator[tuple[str, str, Tensors]]:
    """Give kind and words of what may be wrong, and the inputs that would set it right."""
    for name, array in inputs.items():
        if array.ndim == 4 and array.dtype.kind == "f":
            yield from _images(name, array, inputs)
    names = list(inputs)
    for place, left in enumerate(names):
        for right in names[place + 1 :]:
            if inputs[left].shape == inputs[right].shape and inputs[left].dtype == inputs[right].dtype:
                swapped = {**inputs, left: inputs[right], right: inputs[left]}
                yield "swapped-inputs", f"inputs {left!r} and {right!r} are swapped", swapped


def _images(name: str, array: Array, inputs: Tensors) -> Iterator[tuple[str, str, Tensors]]:
    for kind, said, change in _CHANGES:
        with np.errstate(over="ignore"):
            changed = change(array)
        if changed.shape == array.shape:
            yield kind, f"input {name!r}: {said}", {**inputs, name: np.ascontiguousarray(changed, array.dtype)}


def _as_nhwc(array: Array) -> Array:
    return array.transpose(0, 2, 3, 1).reshape(array.shape)


def _as_nchw(array: Array) -> Array:
    return array.transpose(0, 3, 1, 2).reshape(array.shape)


_CHANGES: tuple[tuple[str, str, Callable[[Array], Array]], ...] = (
    ("layout", "NCHW values are read as NHWC", _as_nhwc),
    ("layout", "NHWC values are read as NCHW", _as_nchw),
    ("layout", "height and width (axes 2 and 3) are swapped", lambda a: a.swapaxes(2, 3)),
    ("layout", "height and width (axes 1 and 2) are swapped", lambda a: a.swapaxes(1, 2)),
    ("channel-order", "the channels on axis 1 are in reverse order", lambda a: a[:, ::-1]),
    ("channel-order", "the channels on axis 3 are in reverse order", lambda a: a[..., ::-1]),
    ("input-scale", "values are divided by 255", lambda a: a * 255.0),
    ("input-scale", "values are multiplied by 255", lambda a: a / 255.0),
)
