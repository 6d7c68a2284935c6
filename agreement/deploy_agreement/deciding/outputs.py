"""Which outputs are decided by, and how: a classifier's scores, a probability, boxes with scores, a map of classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from deploy_agreement.deciding import classes, detections, thresholds
from deploy_agreement.figures import comparable, encoded
from deploy_agreement.results.decisions import Decisions
from deploy_core.dtypes import dtype_name, is_float
from deploy_core.signature import Array, Tensors

_MAP_DIMENSIONS = 4
_SEQUENCE_DIMENSIONS = 3


def decide(
    want: Tensors,
    got: Tensors,
    axes: Mapping[str, int],
    limits: Mapping[str, Array],
    labels: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Decisions]:
    """Give, by output, what follows from the wanted answers and from those that came, where something does.

    `axes` says which axis of an output holds the rows, `limits` how far each element may lie off (an array or a number);
    `labels` name the classes of an output. What an output is for is told by its shape, its values, its name and the number of labels;
    where that is not sure, nothing is said of classes but only of the greatest value.
    """
    found: dict[str, Decisions] = {}
    names = labels or {}
    boxes = detections.find(want)
    if boxes is not None and boxes.fits(want, got):
        slack = float(np.max(limits.get(boxes.scores, 0.0), initial=0.0))
        alone = boxes.boxes in axes
        found[boxes.boxes] = detections.decide(
            boxes, want, got, names.get(boxes.classes, ()), slack=slack, each_alone=alone
        )
    taken = boxes.names if boxes is not None else frozenset()
    for name, array in want.items():
        if name in taken or name not in got or name not in axes or not comparable(array, got[name]) or not array.size:
            continue
        limit = np.broadcast_to(np.asarray(limits.get(name, 0.0), np.float64), array.shape)
        pair = [np.moveaxis(each, axes[name], 0) for each in (array, got[name], limit)]
        if decisions := _one(name, pair[0], pair[1], pair[2], names.get(name, ())):
            found[name] = decisions
    return found


def _one(name: str, want: Array, got: Array, limit: Array, labels: Sequence[str]) -> Decisions | None:
    if not is_float(dtype_name(want.dtype)):
        return classes.answers(encoded(want), encoded(got), labels)
    if "c" in (want.dtype.kind, got.dtype.kind):
        return None
    want, got = _wide(want), _wide(got)
    if want.ndim == 1 or (want.ndim == 2 and want.shape[1] == 1):
        flat = [each.reshape(len(want)) for each in (want, got, limit)]
        return thresholds.decide(name, flat[0], flat[1], flat[2], labels)
    axis = next(_class_axes(name, want, labels), None)
    if axis is None:
        return None
    moved = [np.moveaxis(each, axis, -1) for each in (want, got, limit)]
    return classes.decide(moved[0], moved[1], moved[2], labels, sure=classes.sure(name, moved[0], labels))


def _class_axes(name: str, want: Array, labels: Sequence[str]) -> Iterator[int]:
    """Which axis holds the classes: of a matrix the last; of more dimensions only where values or names say so."""
    if want.ndim == 2:
        yield 1
    elif want.ndim in (_SEQUENCE_DIMENSIONS, _MAP_DIMENSIONS):
        candidates = (want.ndim - 1,) if want.ndim == _SEQUENCE_DIMENSIONS else (1, _MAP_DIMENSIONS - 1)
        several = [axis for axis in candidates if want.shape[axis] > 1]
        yield from (axis for axis in several if classes.are_probabilities(np.moveaxis(want, axis, -1)))
        yield from (axis for axis in several if len(labels) == want.shape[axis])
        if classes.named(name):
            yield from sorted(several, key=lambda axis: want.shape[axis])[:1]


def _wide(array: Array) -> Array:
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
