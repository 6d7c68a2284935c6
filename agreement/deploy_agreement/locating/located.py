"""Where two models part first, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from deploy_agreement.locating.case import Reason
from deploy_agreement.locating.matching import Matching, Pair
from deploy_agreement.locating.names import place
from deploy_agreement.locating.narrow import quantised, throughout
from deploy_agreement.locating.parting import Parted, Region, parted
from deploy_agreement.locating.reasons import reason
from deploy_agreement.locating.seen import Seen
from deploy_agreement.locating.unsteady import unsteady
from deploy_agreement.locating.upstream import suspected
from deploy_agreement.results.found import Inside, Located, Match
from deploy_core.predictor import Intermediate
from deploy_core.signature import Array

_MOST = 16  # operators; more are no minimal reproduction
NOWHERE = "all tensors that could be matched agree"


@dataclass(frozen=True)
class Operands:
    """What the operator to blame takes, as the reference has it, laid out as the subject wants it, and what should come."""

    one: Intermediate
    other: Intermediate
    operators: tuple[
        str, ...
    ]  # the tensors of the subject that are computed: more than one, where the reference has one
    inputs: Mapping[str, Array]  # by the subject's names
    expected: Array
    limit: float


@dataclass(frozen=True)
class Found:
    """Where they part as plain data, and what a reproduction of the one operator needs; None if it is more than one.

    `known` says that a reason was found; `upstream` names what differs before, if the one operator shows nothing by itself.
    """

    located: Located
    operands: Operands | None = None
    known: bool = True
    upstream: str = ""


def locate(one: Seen, other: Seen, *, precision: str = "", limits: Mapping[str, float] | None = None) -> Found:
    """Find the first tensor of `other` that differs from the same of `one`, the reference, and say why.

    `limits` are what is tolerated of each output; `precision` is the dtype that `other` computes in, if less than float32.
    """
    # Masks are infinite, and what is made of them in trying an explanation may be no number.
    with np.errstate(all="ignore"):
        found = _parted(one, other, precision, limits)
        drawn = unsteady(found.matching, found.region)
        if drawn:
            return _found(found, *drawn)
        if found.region:
            return _found(found, found.region, reason(found.matching, found.region))
        return Found(Located(other.name, one.name, _matches(found.matching, found.pairs()), said=NOWHERE))


def _parted(one: Seen, other: Seen, precision: str, limits: Mapping[str, float] | None) -> Parted:
    """Find where they part: one that computes in less throughout may have a fault that this does not explain, told first."""
    if not precision and (coarse := "int8" if quantised(one, other) else throughout(one, other)):
        # Any stretch of it lies apart by what such numbers are apart: only what is more than that is told of.
        found = parted(one, other, precision=coarse, limits=limits, tighter=(1.0,))
        if found.region or not limits:
            return found
    return parted(one, other, precision=precision, limits=limits)


def _found(found: Parted, region: Region, why: Reason) -> Found:
    pairs = found.pairs()
    at = pairs.index(region.first) if region.first in pairs else _after(found.matching, region.first, pairs)
    rest = pairs[at + (region.first in pairs) :]
    matches = _matches(found.matching, [*pairs[:at], _first(found, region, why), *rest])
    said = f"{_place(found.matching, why)}: {why.told}"
    one, other = found.matching.one.seen, found.matching.other.seen
    located = Located(other.name, one.name, matches, matches[at], said)
    return Found(located, _operands(found.matching, region), why.known, suspected(found.matching, region))


def _after(matching: Matching, first: Pair, pairs: list[Pair]) -> int:
    """Give the place of a pair among others in the order of computation, behind those of the same tensor."""
    order = matching.one.order
    return sum(order[pair.one] <= order[first.one] for pair in pairs)


def _matches(matching: Matching, pairs: Iterable[Pair]) -> tuple[Match, ...]:
    return tuple(_match(matching, pair) for pair in pairs)


def _place(matching: Matching, why: Reason) -> str:
    return place((matching.other if why.other else matching.one).nodes[why.tensor])


def _first(found: Parted, region: Region, why: Reason) -> Pair:
    """The pair that differs, told as that of the operator to blame, if that is another of the region."""
    pair = region.first
    if why.other:
        return replace(pair, other=why.tensor) if why.tensor in region.other else pair
    return replace(pair, one=why.tensor) if why.tensor in found.matching.one.nodes else pair


def _match(matching: Matching, pair: Pair) -> Match:
    one, other = matching.one.nodes[pair.one], matching.other.nodes[pair.other]
    return Match(inside(one), inside(other), pair.by, pair.off, pair.over)


def inside(one: Intermediate) -> Inside:
    """Give a tensor without its values."""
    return Inside(one.name, one.operator, one.layer, one.attributes, one.inputs)


def _operands(matching: Matching, region: Region) -> Operands | None:
    """Take what the subject computes there by itself: all that goes in has to be equal to a tensor of the reference."""
    other, layout = matching.other, region.first.layout
    far = {parent for name in region.other for parent in other.parents[name]} - set(region.other)
    pairs = [matching.pairs.get(matching.taken.get(name, "")) for name in other.ordered(far)]
    if layout is None or not pairs or len(region.other) > _MOST:
        return None
    inputs = {}
    for pair in pairs:
        if pair is None or not pair.ok or pair.layout is None:
            return None
        array = pair.layout.of(matching.one.value(pair.one))
        inputs[pair.other] = array.astype(other.value(pair.other).dtype)
    mine, node = matching.one.nodes[region.first.one], other.nodes[region.first.other]
    return Operands(mine, node, region.other, inputs, layout.of(mine.value), region.first.limit)
