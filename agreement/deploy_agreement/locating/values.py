"""Values that differ: made by other weights, another function, or from the right ones by something that left a pattern."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deploy_agreement.comparing.patterns import patterns
from deploy_agreement.locating import batch_norms, folding, gates, layer_norms, replay, weights
from deploy_agreement.locating.case import Case, Reason
from deploy_agreement.locating.layouts import same_values
from deploy_agreement.locating.operators import ACTIVATIONS, RECURRENT
from deploy_agreement.locating.parting import chain
from deploy_agreement.locating.seen import COARSE
from deploy_core.signature import Array


def of_batch_norms(case: Case) -> Iterator[Reason]:
    """A batch norm, which may be folded into what comes before it."""
    one = case.matching.one
    if case.got is None or "batch norm" in case.families()[1].values():
        return  # one that stands by itself has weights to compare
    for name in (each for each in case.region.one if one.family[each] == "batch norm"):
        after = [one.family[each] for each in chain(one, name)[1:]]
        if name != case.region.first.one and not _only_relu(case, name, after):
            continue
        x = one.value(one.parents[name][0])
        if x.shape != case.got.shape:
            continue
        told = batch_norms.told_of(one.nodes[name], x, case.got, positive=name != case.region.first.one)
        if told:
            yield Reason(name, told)


def of_layer_norms(case: Case) -> Iterator[Reason]:
    """Tell a layer norm with another epsilon, whatever it is made of."""
    one, name = case.matching.one, case.region.first.one
    if case.got is None or one.family[name] != "layer norm" or not one.parents[name]:
        return
    if case.matching.agrees(one.parents[name][0]):
        told = layer_norms.told_of(one.nodes[name], one.value(one.parents[name][0]), case.got)
        if told:
            yield Reason(name, told)


def _only_relu(case: Case, name: str, after: list[str]) -> bool:
    follows = chain(case.matching.one, name)
    return len(after) > 0 and after[0] == "relu" and follows[1] == case.region.first.one


def of_activations(case: Case) -> Iterator[Reason]:
    """Another function of the same input."""
    one = case.matching.one
    name = case.region.first.one
    if case.got is None or one.family[name] not in ACTIVATIONS or not one.parents[name]:
        return
    x = one.value(one.parents[name][0])
    if not case.matching.agrees(one.parents[name][0]) or x.dtype.kind != "f":
        return
    own = set(replay.ways(x, case.want, case.bound))
    for words in (each for each in replay.ways(x, case.got, case.bound) if each not in own):
        gives = f"gives {words}" if words.startswith("its input") else f"is {words}"
        yield Reason(name, f"{gives}, wanted is {one.nodes[name].operator}")


def of_matrices(case: Case) -> Iterator[Reason]:
    """A matrix that lies the other way round."""
    one = case.matching.one
    for name in (each for each in case.region.one if one.family[each] == "dense"):
        matrix = next((w for w in one.nodes[name].weights.values() if w.ndim == 2 and w.shape[0] == w.shape[1]), None)
        if matrix is None or case.got is None or name != case.region.first.one or not one.parents[name]:
            continue
        x = one.value(one.parents[name][0]).astype(np.float64)
        ways = [x @ matrix, x @ matrix.T]
        right = int(_apart(case.want, ways[1]) < _apart(case.want, ways[0]))
        if _apart(case.got, ways[1 - right]) <= case.bound:
            yield Reason(name, "the weight is transposed")


def _apart(values: Array, product: Array) -> float:
    """How far values are from a product and a bias of whatever size."""
    if product.shape != values.shape:
        return float("inf")
    return float(np.ptp((values - product).reshape(-1, product.shape[-1]), axis=0).max())


def of_weights(case: Case) -> Iterator[Reason]:
    """Weights that differ; a batch norm that the other side has folded is folded first."""
    one, other = case.matching.one, case.matching.other
    free = gates.without(case.region.other, case, other=True)
    theirs = {f"{name}:{key}": array for name in free for key, array in other.nodes[name].weights.items()}
    families = set(case.families()[1].values())
    mine = gates.without(case.region.one, case, other=False)
    wanted = folding.folded(one, mine, families)
    slopes = {} if "batch norm" in families else folding.slopes(one, case.region.one)
    slack = max(weights.SLACK, 2 * COARSE.get(case.matching.precision, 0.0))
    for name in (each for each in mine if one.family[each] in RECURRENT):
        wanted[name] = gates.taken_apart(case, name, theirs.values(), slack)
    known = weights.Known(weights.everywhere(one), slopes, slack)
    for name, told in weights.differences(wanted, theirs, known):
        yield Reason(name, told)


def of_patterns(case: Case) -> Iterator[Reason]:
    """What may have been done to the right values."""
    name = case.region.first.one
    if case.got is None:
        yield Reason(
            name, f"gives shape {case.matching.other.value(case.region.first.other).shape}, wanted is {case.want.shape}"
        )
        return
    if case.want.dtype.kind == "f" and np.isfinite(case.got).all() and np.isfinite(case.want).all():
        for _, words in patterns(case.want, case.got, case.bound):
            yield Reason(name, words)
    if same_values(case.want, case.got, case.region.first.limit):
        yield Reason(name, "gives the same values in another order")
