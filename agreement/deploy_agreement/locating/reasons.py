"""Why two models part where they do, in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deploy_agreement.locating import kinds, operands, values
from deploy_agreement.locating.case import Case, Reason
from deploy_agreement.locating.matching import Matching
from deploy_agreement.locating.parting import Region

# The first that finds something: what is surest comes first.
_FINDERS: tuple[Callable[[Case], Iterator[Reason]], ...] = (
    kinds.of_attributes,
    operands.of_lookups,
    operands.of_preparation,
    values.of_batch_norms,
    values.of_activations,
    values.of_matrices,
    values.of_weights,
    operands.of_unused,
    kinds.of_kinds,
    operands.of_tensors,
    operands.of_order,
    values.of_patterns,
)


def reason(matching: Matching, region: Region) -> Reason:
    """Find out why; that nothing was found is said, too."""
    case = Case(matching, region)
    for find in _FINDERS:
        if found := next(iter(find(case)), None):
            return found
    return Reason(region.first.one, _nothing(case))


def _nothing(case: Case) -> str:
    one, other = case.matching.one, case.matching.other
    mine, theirs = one.nodes[case.region.first.one], other.nodes[case.region.first.other]
    return f"{theirs.operator} gives other values than {mine.operator}, with attributes and weights that do not differ"
