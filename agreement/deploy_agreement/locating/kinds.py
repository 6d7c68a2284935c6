"""Operators that differ: in an attribute, or of another kind, or one too many or too few."""

from __future__ import annotations

from collections.abc import Iterator

from deploy_agreement.locating import attributes
from deploy_agreement.locating.case import Case, Reason
from deploy_agreement.locating.operators import ACTIVATIONS, HEADS, NORMS, PARTS, named
from deploy_agreement.locating.parting import activation

_TELLING = ACTIVATIONS | NORMS | HEADS | {"max pool", "average pool", "padding", "mean", "choice"}
_ADDED = ACTIVATIONS | {"max pool", "average pool"}


def of_attributes(case: Case) -> Iterator[Reason]:
    """Compare attributes of operators of one family on both sides."""
    one, other = case.matching.one, case.matching.other
    mine, theirs = case.families()
    left = dict(theirs)
    for name, family in mine.items():
        twin = next((each for each, its in left.items() if its == family), None)
        if twin is None:
            continue
        del left[twin]
        alike = case.alike or one.value(name).ndim < 3
        told = [
            f"{key} {attributes.told(got)}, wanted is {attributes.told(want)}"
            for key, want, got in attributes.differences(one, name, other, twin, alike=alike)
        ]
        if told:
            yield Reason(name, f"{named(family)} has " + "; and ".join(sorted(told)))


def of_kinds(case: Case) -> Iterator[Reason]:
    """Tell operators that only one side has."""
    mine, theirs = case.families()
    fused = {activation(case.matching.other, name) for name in case.region.other}
    for name, family in mine.items():
        explained = PARTS.get(family, set()) | {family}
        if (
            family in _TELLING
            and not explained & set(theirs.values())
            and family not in fused
            and not _inside(case, family)
        ):
            instead = [each for _, each in _surplus(mine, theirs) if each in _TELLING]
            is_there = f"{named(instead[0])} is there, wanted is {named(family)}" if instead else ""
            yield Reason(name, is_there or f"{named(family)} is missing")
    for name, family in _surplus(mine, theirs):
        parts = {part for each in mine.values() for part in PARTS.get(each, ())}
        if family in _ADDED and family not in parts:
            again = any(case.matching.one.family[pair.one] == family for pair in case.region.edge)
            yield Reason(
                name, f"{named(family)} is applied {'once more' if again else 'that the reference has not'}", other=True
            )


def _inside(case: Case, family: str) -> bool:
    # A folded batch norm is in the weights.
    return family == "batch norm" and any(f in HEADS for f in case.families()[1].values())


def _surplus(mine: dict[str, str], theirs: dict[str, str]) -> list[tuple[str, str]]:
    left = list(mine.values())
    found = []
    for name, family in theirs.items():
        if family in left:
            left.remove(family)
        else:
            found.append((name, family))
    return found
