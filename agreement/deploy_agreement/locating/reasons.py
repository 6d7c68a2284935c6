"""Why two models part where they do, in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deploy_agreement.locating import gates, kinds, narrow, operands, values
from deploy_agreement.locating.case import Case, Reason
from deploy_agreement.locating.matching import Matching
from deploy_agreement.locating.operators import LOOPS, family
from deploy_agreement.locating.parting import Region

_SHOWN = 4  # operators of a longer stretch
# The first that finds something: what is surest comes first.
_FINDERS: tuple[Callable[[Case], Iterator[Reason]], ...] = (
    gates.of_cells,
    kinds.of_attributes,
    operands.of_lookups,
    narrow.of_results,
    narrow.of_inputs,
    operands.of_preparation,
    values.of_batch_norms,
    values.of_layer_norms,
    values.of_activations,
    values.of_matrices,
    narrow.of_steps,
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
    return Reason(region.first.one, _nothing(case), known=False)


def _nothing(case: Case) -> str:
    one, other = case.matching.one, case.matching.other
    wanted, there = (
        [graph.nodes[name].operator for name in names]
        for graph, names in zip((one, other), case.families(), strict=True)
    )
    gives = "gives" if len(there) == 1 else "give"
    inner = next((each for each in there if family(each) in LOOPS), "")
    hidden = f", as far as they can be seen: what {inner} does inside is not" if inner else ""
    return (
        f"{_listed(there) or 'it'} {gives} other values than {_listed(wanted) or 'the reference'},"
        f" with attributes and weights that do not differ{hidden}"
    )


def _listed(operators: list[str]) -> str:
    shown = operators[-_SHOWN:]
    return ", ".join(shown[:-1]) + (" and " if len(shown) > 1 else "") + "".join(shown[-1:])
