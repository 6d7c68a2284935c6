"""Numbers held in fewer bits than float32 has, known by their form: what float16, bfloat16 and TF32 leave of others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deploy_agreement.locating.case import Case, Reason
from deploy_agreement.locating.graph import Graph
from deploy_agreement.locating.layouts import equal
from deploy_agreement.locating.operators import HEADS, named
from deploy_agreement.locating.seen import COARSE, Seen, limit
from deploy_core.signature import Array

_BITS = {"bfloat16": 7, "TF32": 10}  # behind the point; float16 has a range of its own, too
KINDS = ("bfloat16", "float16", "TF32")  # the narrowest first: each holds what TF32 holds
_TEN = "10 bits, as float16 and TF32 have"  # both hold the same, but for what is very small or large
_SAID = {"bfloat16": "7 bits, as bfloat16 has", "float16": _TEN, "TF32": _TEN}
_ENOUGH = 4  # values: one in 2^13 of float32 is one of TF32 by chance
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
    """Tell a result in steps of 8 bits where everything else is explained by them."""
    node = case.matching.other.nodes[case.region.first.other]
    if "zero_point" in node.attributes and not case.matching.precision:
        step = float(node.attributes.get("scale", 0.0))
        yield Reason(
            case.region.first.one, f"its result is quantised, in steps of {step:.3g}, which the reference's is not"
        )


def _near(want: Array, got: Array) -> str:
    kind = narrowed(want, got) if want.size == got.size else ""
    return kind if kind and equal(want, got, limit(want, 0.0, precision=kind)) else ""


def _share(arrays: list[Array], kind: str) -> float:
    return sum(bool(_held(array, kind).all()) for array in arrays) / len(arrays)


def _weights(graph: Graph) -> Iterator[Array]:
    for node in graph.nodes.values():
        yield from (array for array in node.weights.values() if array.dtype.kind == "f" and array.size >= _ENOUGH)


def _held(array: Array, kind: str) -> Array:
    """Tell of each value whether a kind of number holds it."""
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
        exact = np.asarray(single == array)
        if kind == "float16":
            return np.asarray(exact & (single.astype(np.float16).astype(np.float32) == single))
    left = np.uint32((1 << (23 - _BITS[kind])) - 1)
    return np.asarray(exact & ((np.ascontiguousarray(single).view(np.uint32) & left) == 0))
