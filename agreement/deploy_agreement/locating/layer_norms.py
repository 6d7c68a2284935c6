"""What a layer norm did with its input, found from values alone: most runtimes make it of several operators."""

from __future__ import annotations

import numpy as np

from deploy_agreement.locating.attributes import attribute, told
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array

_NEAR = 1e-4


def told_of(node: Intermediate, x: Array, got: Array) -> str:
    """Say which epsilon made `got` of `x`, if it is another than that of `node`; empty if no epsilon did."""
    arrays: list[Array] = [np.asarray(array, np.float64) for array in node.weights.values() if array.ndim]
    scale = arrays[0] if arrays else np.ones(x.shape[-1:])
    offset = arrays[1] if len(arrays) > 1 else np.zeros_like(scale)
    count = scale.ndim
    if x.shape != got.shape or count > x.ndim or not np.all(scale):
        return ""
    axes = tuple(range(x.ndim - count, x.ndim))
    centred = x.astype(np.float64) - x.mean(axes, np.float64, keepdims=True)
    normal = (got.astype(np.float64) - offset) / scale
    variance = (centred * centred).mean(axes)
    if not variance.all():
        return ""
    slope = (normal * centred).mean(axes) / variance
    if not (slope > 0).all():
        return ""
    # Rows of little variance tell it best.
    found = float(f"{np.average(1 / slope**2 - variance, weights=1 / variance):.2g}")
    again = centred / np.sqrt(np.expand_dims(variance, axes) + found)
    own = float(attribute(node.attributes, "epsilon", 1e-5))
    if found < 0 or np.isclose(found, own, rtol=1e-2) or np.abs(again - normal).max() > _NEAR * np.abs(normal).max():
        return ""
    return f"layer norm has epsilon {told(found)}, wanted is {told(own)}"
