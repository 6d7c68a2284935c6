"""Numbers held in fewer bits than float32 has, known by their form: what float16, bfloat16 and TF32 leave of others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deploy_agreement.locating.case import Case, Reason
from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.layouts import equal
from deploy_agreement.locating.operators import HEADS, named
from deploy_agreement.locating.seen import COARSE, Seen, limit
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array

_BITS = {"bfloat16": 7, "TF32": 10}  # behind the point; float16 has a range of its own, too
KINDS = ("bfloat16", "float16", "TF32")  # the narrowest first: each holds what TF32 holds
_TEN = "10 bits, as float16 and TF32 have"  # both hold the same, but for what is very small or large
_SAID = {"bfloat16": "7 bits, as bfloat16 has", "float16": _TEN, "TF32": _TEN}
_ENOUGH = 4  # values: one in 2^13 of float32 is one of TF32 by chance
_ENOUGH_STEPS = 16  # values: by chance each of them lies so near to a step, at either side
_NEAR_STEP = 0.02
_MOST_OF = 0.9  # of a model's weights: some are few and plain numbers


def narrowed(want: Array, got: Array) -> str:
    """Give the kind of number that all of `got` are and those of `want` are not; empty if there is none.

    Whether the one is what the other was rounded to is not asked.
    """
    if want.dtype.kind != "f" or got.dtype.kind != "f" or np.count_nonzero(got) < _ENOUGH:
        return ""
    for kind in KINDS:
        if _held(got, kind).all() and int((~_held(want, kind)).sum()) >= _ENOUGH:
            return kind
    return ""


def rounded(want: Array, got: Array) -> str:
    """Give the kind that `got`, laid out as `want` is, was rounded to from about those values; empty if it was not."""
    kind = narrowed(want, got)
    if not kind or want.shape != got.shape:
        return ""
    wide = want.astype(np.float64)
    bound = COARSE[kind] * np.abs(wide) + 2.0**-24  # below which float16 has nothing
    return kind if (np.abs(got - wide) <= bound).all() else ""


def in_steps(want: Array, got: Array) -> bool:
    """Tell whether `got`, laid out as `want` is, was rounded to 8 bits from about those values: as a whole, or along an axis."""
    if want.shape != got.shape or want.dtype.kind != "f" or got.dtype.kind != "f" or got.size < _ENOUGH_STEPS:
        return False
    if _in_steps(want.reshape(1, -1), got.reshape(1, -1)):
        return True
    return any(_in_steps(_slices(want, axis), _slices(got, axis)) for axis in range(got.ndim))


def _slices(array: Array, axis: int) -> Array:
    return np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)


def _in_steps(want: Array, got: Array) -> bool:
    mine, theirs = want.astype(np.float64), got.astype(np.float64)
    if theirs.shape[1] < _ENOUGH_STEPS:
        return False
    low, high = theirs.min(axis=1, keepdims=True), theirs.max(axis=1, keepdims=True)
    for step in (np.maximum(high, -low) / 127, (np.maximum(high, 0) - np.minimum(low, 0)) / 255):
        with np.errstate(divide="ignore", invalid="ignore"):
            places, wanted = theirs / step, mine / step
        near = (step == 0) | (np.abs(places - np.rint(places)) < _NEAR_STEP)  # a channel of zeros has no step
        if near.all() and (np.abs(theirs - mine) <= (0.5 + _NEAR_STEP) * step).all():
            return bool((np.abs(wanted - np.rint(wanted)) >= _NEAR_STEP).any())
    return False


def throughout(one: Seen, other: Seen) -> str:
    """Give the kind that nearly all weights of `other` are and those of `one` are not; empty if there is none."""
    mine, theirs = (list(_weights(Graph(seen))) for seen in (one, other))
    for kind in KINDS:
        if mine and theirs and _share(theirs, kind) >= _MOST_OF > 2 * _share(mine, kind):
            return kind
    return ""


def of_results(case: Case) -> Iterator[Reason]:
    """Tell a result that less than float32 gives, and no more of it than that explains."""
    name = case.region.first.one
    if case.got is None or case.matching.precision:
        return
    kind = narrowed(case.want, case.got)
    if kind and equal(case.want, case.got, limit(case.want, 0.0, precision=kind)):
        yield Reason(name, f"its result is what {kind} gives")


def of_inputs(case: Case) -> Iterator[Reason]:
    """Tell an operator whose input is rounded on its way, as TF32 has it: factors of ten bits, sums of float32."""
    one, other, name = case.matching.one, case.matching.other, case.region.first.one
    if one.family[name] not in HEADS or case.matching.precision:
        return
    wanted = [one.value(parent) for parent in one.parents[name]]
    for head in (each for each in case.region.other if other.family[each] == one.family[name]):
        given = [other.value(parent) for parent in other.parents[head] if not case.matching.agreed(parent)]
        kinds = {kind for want in wanted for got in given if (kind := _near(want, got))}
        if len(kinds) == 1:
            yield Reason(name, f"{named(one.family[name])} takes its input rounded to {_SAID[kinds.pop()]}")


def of_steps(case: Case) -> Iterator[Reason]:
    """Tell weights or a result of 8 bits where everything else is explained by them."""
    if case.matching.precision:
        return
    nodes, name = case.matching.other.nodes, case.region.first.one
    node = nodes[case.region.first.other]
    if any(_has_bytes(nodes[each]) for each in case.region.other):
        yield Reason(name, "its weights are of 8 bits, which the reference's are not")
    elif "zero_point" in node.attributes:
        step = float(node.attributes.get("scale", 0.0))
        yield Reason(name, f"its result is quantised, in steps of {step:.3g}, which the reference's is not")


def quantised(one: Seen, other: Seen) -> bool:
    """Tell by the tensors inside whether numbers of 8 bits are held against floats."""
    return any("zero_point" in step.attributes or _has_bytes(step) for seen in (one, other) for step in seen.steps)


def _has_bytes(node: Intermediate) -> bool:
    arrays = node.weights.values()
    return any(each.dtype.itemsize == 1 and each.dtype.kind in "iu" and each.size >= _ENOUGH for each in arrays)


def _near(want: Array, got: Array) -> str:
    kind = narrowed(want, got) if want.size == got.size else ""
    return kind if kind and equal(want, got, limit(want, 0.0, precision=kind)) else ""


def _share(arrays: list[Array], kind: str) -> float:
    return sum(bool(_held(array, kind).all()) for array in arrays) / len(arrays)


def _weights(graph: Graph) -> Iterator[Array]:
    """Give each array of weights once; one that is the same throughout says nothing of its kind."""
    found = {id(array): array for node in graph.nodes.values() for array in node.weights.values()}
    for array in found.values():
        if array.dtype.kind == "f" and array.size >= _ENOUGH and array.min() < array.max():
            yield array


def _held(array: Array, kind: str) -> Array:
    """Tell of each value whether a kind of number holds it."""
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
        exact = np.asarray(single == array)
        if kind == "float16":
            return np.asarray(exact & (single.astype(np.float16).astype(np.float32) == single))
    left = np.uint32((1 << (23 - _BITS[kind])) - 1)
    return np.asarray(exact & ((np.ascontiguousarray(single).view(np.uint32) & left) == 0))
