"""What was detected: boxes that are sure enough, each with its class, matched by how far they overlap."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deploy_agreement.deciding.classes import named_class
from deploy_agreement.figures import encoded, is_text
from deploy_agreement.results.decisions import DETECTIONS, SHOWN, Decisions, Flip, told
from deploy_core.signature import Array, Tensors

SURE = 0.5  # the score from which a box counts
SAME = 0.5  # the overlap (intersection by union) from which two boxes are the same
_CORNERS = 4
_BOXES = re.compile(r"box|location|rect", re.IGNORECASE)
_SCORES = re.compile(r"score|conf|prob", re.IGNORECASE)
_CLASSES = re.compile(r"class|label|categor", re.IGNORECASE)


@dataclass(frozen=True)
class Outputs:
    """The names of the outputs that tell detections; `classes` is empty if there is one class only."""

    boxes: str
    scores: str
    classes: str = ""

    @property
    def names(self) -> frozenset[str]:
        """All that there are."""
        return frozenset({self.boxes, self.scores, self.classes} - {""})

    def fits(self, want: Tensors, got: Tensors) -> bool:
        """Tell whether answers hold all of them, in shapes that belong together, as numbers or text where these are wanted."""
        if not self.names <= got.keys():
            return False
        boxes = got[self.boxes]
        alike = boxes.ndim == want[self.boxes].ndim and boxes.shape[-1] == _CORNERS
        return alike and all(
            got[name].shape[: boxes.ndim - 1] == boxes.shape[:-1] and is_text(got[name]) == is_text(want[name])
            for name in self.names
        )


@dataclass(frozen=True)
class _Found:
    """What was detected in one row, the surest first."""

    boxes: Array
    scores: Array
    classes: Array


def find(want: Tensors) -> Outputs | None:
    """Tell which outputs hold boxes, their scores and their classes, by shape and by name."""
    for name, boxes in want.items():
        if boxes.dtype.kind != "f" or boxes.ndim not in (2, 3) or boxes.shape[-1] != _CORNERS:
            continue
        beside = {other: array for other, array in want.items() if array.shape == boxes.shape[:-1]}
        scores = next((n for n, a in beside.items() if a.dtype.kind == "f" and _SCORES.search(n) and _shares(a)), "")
        if _BOXES.search(name) and scores:
            return Outputs(name, scores, next((n for n in beside if n != scores and _CLASSES.search(n)), ""))
    return None


def decide(
    outputs: Outputs,
    want: Tensors,
    got: Tensors,
    labels: Sequence[str],
    *,
    slack: float = 0.0,
    each_alone: bool = False,
) -> Decisions:
    """Count detections that are missing, or that nobody wanted; a class that differs is both.

    `slack` is how far a score may lie off, `each_alone` says that boxes of two dimensions are one for each row.
    """
    axis = 1 if each_alone else 0
    wanted, came = ([*_rows(outputs, answer, axis)] for answer in (want, got))
    if any(_by_centre(row.boxes) for row in wanted):
        wanted, came = ([replace(row, boxes=_corners(row.boxes)) for row in rows] for rows in (wanted, came))
    pairs = list(zip(wanted, came, strict=False))
    flips = [flip for row, pair in enumerate(pairs) for flip in _differences(row, *pair, labels, slack)]
    close = sum(flip.close for flip in flips)
    count = sum(len(one.scores) for one, _ in pairs)
    extra = sum(flip.want == "nothing" for flip in flips)
    margin = max((flip.margin for flip in flips if flip.margin is not None), default=None)
    each = [f"{len(flips) - extra:,} missing"] * (len(flips) > extra) + [f"{extra:,} extra"] * (extra > 0)
    verb = f"differ ({', '.join(each)})" if flips else "are found again"
    said = told("detections", count + extra, len(flips), verb, close=close, margin=margin)
    return Decisions(
        kind=DETECTIONS,
        rows=count + extra,
        flips=len(flips),
        flipped=tuple(dict.fromkeys(flip.row for flip in flips))[:SHOWN],
        margin=margin,
        said=said or "nothing is detected with a score of 0.5 or more",
        close=close,
        shown=tuple(sorted(flips, key=lambda flip: -(flip.margin or 0.0))[:SHOWN]),
    )


def overlap(one: Array, others: Array) -> Array:
    """Give intersection by union of a box with each of several, all by their corners."""
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    with np.errstate(invalid="ignore", over="ignore"):  # boxes without an end overlap nothing
        common: Array = np.clip(high - low, 0, None).prod(axis=1)
        union = (one[2:] - one[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - common
    known = np.isfinite(union) & (union > 0)
    return np.where(known, common / np.where(known, union, 1.0), 0.0)


def _rows(outputs: Outputs, answer: Tensors, axis: int) -> Iterator[_Found]:
    boxes, scores = answer[outputs.boxes].astype(np.float64), answer[outputs.scores].astype(np.float64)
    classes = encoded(answer[outputs.classes]) if outputs.classes else np.zeros(scores.shape)
    if boxes.ndim == 2:
        boxes, scores, classes = (np.expand_dims(each, axis) for each in (boxes, scores, classes))
    for box, score, kind in zip(boxes, scores, classes, strict=True):
        order = np.argsort(-score, kind="stable")
        order = order[score[order] >= SURE]
        yield _Found(box[order], score[order], kind[order])


def _by_centre(boxes: Array) -> bool:
    """Whether boxes are told by centre and size: then a second corner lies before the first."""
    return bool((boxes[:, 2:] < boxes[:, :2]).any())


def _corners(boxes: Array) -> Array:
    """Give the corners of boxes that are told by centre and size."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _differences(row: int, want: _Found, got: _Found, labels: Sequence[str], slack: float) -> Iterator[Flip]:
    free = np.ones(len(got.scores), bool)
    for box, score, kind in zip(want.boxes, want.scores, want.classes, strict=True):
        shared = np.where(free & (got.classes == kind), overlap(box, got.boxes), 0.0) if len(free) else np.zeros(0)
        if shared.size and shared.max() >= SAME:
            free[int(shared.argmax())] = False
        else:
            yield Flip(row, _told(kind, score, labels), "nothing", float(score) - SURE, bool(score - SURE <= slack))
    for kind, score in zip(got.classes[free], got.scores[free], strict=True):
        yield Flip(row, "nothing", _told(kind, score, labels), float(score) - SURE, bool(score - SURE <= slack))


def _told(kind: object, score: float, labels: Sequence[str]) -> str:
    return f"{named_class(kind, labels)} ({score:.2f})"


def _shares(scores: Array) -> bool:
    return bool(scores.size) and bool((scores >= 0).all()) and bool((scores <= 1).all())
