"""What may have made a difference before the first tensor that shows it: an operator whose result is only just tolerated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deploy_agreement.locating import gates, kinds, values
from deploy_agreement.locating.case import Case, Reason
from deploy_agreement.locating.matching import Matching
from deploy_agreement.locating.names import place
from deploy_agreement.locating.parting import Region, around

_NEAR = 0.25  # of what is tolerated
_MOST = 32  # operators, the nearest
# What is seen in the files themselves: values that are tolerated are no evidence.
_FINDERS: tuple[Callable[[Case], Iterator[Reason]], ...] = (gates.of_cells, kinds.of_attributes, values.of_weights)


def suspected(matching: Matching, region: Region) -> str:
    """Say of the nearest operator before a region that it differs, if its result is near its limit; empty for none."""
    one = matching.one
    before = one.ordered(one.above([region.first.one], lambda _: False)[0] - {region.first.one})
    pairs = (matching.pairs[name] for name in reversed(before) if matching.agrees(name) and not one.is_move(name))
    for pair in [pair for pair in pairs if pair.over > _NEAR][:_MOST]:
        case = Case(matching, around(matching, pair))
        for find in _FINDERS:
            if (found := next(iter(find(case)), None)) and not found.other:
                where = place(one.nodes[found.tensor])
                return f"{where}: {found.told}, though its result keeps to what is tolerated ({pair.over:.2g} ×)"
    return ""
