"""What there is to reason about: the place where two models part, with what lies around it on both sides."""

from __future__ import annotations

from dataclasses import dataclass

from deploy_agreement.figures import eps, spread
from deploy_agreement.locating.matching import Matching, Pair
from deploy_agreement.locating.operators import MOVES
from deploy_agreement.locating.parting import Region
from deploy_core.signature import Array


@dataclass(frozen=True)
class Reason:
    """The tensor of the reference whose operator is to blame, and what is wrong with it; in `other`, if it has none.

    It is not `known` if nothing was found to be wrong.
    """

    tensor: str
    told: str
    other: bool = False
    known: bool = True


@dataclass(frozen=True)
class Case:
    """What there is to reason about."""

    matching: Matching
    region: Region

    @property
    def want(self) -> Array:
        """What the reference has there."""
        return self.matching.one.value(self.region.first.one)

    @property
    def got(self) -> Array | None:
        """What came, laid out as the reference has it; None if it is of another size."""
        layout = self.region.first.layout
        value = self.matching.other.value(self.region.first.other)
        return layout.back(value, self.want.shape) if layout else None

    @property
    def bound(self) -> float:
        """How near made-up values must come to those that came, to explain them."""
        return max(8 * self.region.first.limit, 64 * eps("float32") * spread(self.want))

    def families(self) -> tuple[dict[str, str], dict[str, str]]:
        """Give the families on each side, by tensor, without what only moves values."""
        one, other = self.matching.one, self.matching.other
        mine = {name: one.family[name] for name in self.region.one if one.family[name] not in MOVES}
        theirs = {name: other.family[name] for name in self.region.other if other.family[name] not in MOVES}
        return mine, theirs

    @property
    def alike(self) -> bool:
        """Whether axes mean the same on both sides: what goes in lies as it does in the reference."""
        one, other = self.matching.one, self.matching.other
        return all(_plain(pair, one.value(pair.one), other.value(pair.other)) for pair in self.region.edge)


def _plain(pair: Pair, one: Array, other: Array) -> bool:
    return pair.layout is not None and pair.layout.plain and one.ndim == other.ndim
