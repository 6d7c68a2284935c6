"""Recurrent layers that differ: which gate of which weight is off, or what is computed otherwise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations

import numpy as np

from deploy_agreement.locating import attributes, weights
from deploy_agreement.locating.case import Case, Reason
from deploy_agreement.locating.operators import RECURRENT
from deploy_agreement.locating.recurrent import Cell, Part, as_parts, cells
from deploy_agreement.locating.seen import COARSE
from deploy_core.signature import Array

_NAMES = {
    "i": "input gate",
    "f": "forget gate",
    "c": "cell gate",
    "o": "output gate",
    "r": "reset gate",
    "z": "update gate",
    "h": "new gate",
}


def paired(case: Case) -> list[tuple[Cell, Cell]]:
    """Give the cells of both sides that stand for each other: of one direction, in the order of computation."""
    mine = _told_apart(cells(case.matching.one, case.region.one))
    theirs = _told_apart(cells(case.matching.other, case.region.other))
    if len(mine) == len(theirs) and mine.keys() != theirs.keys():
        return list(zip(mine.values(), theirs.values(), strict=True))
    return [(cell, theirs[key]) for key, cell in mine.items() if key in theirs]


def of_cells(case: Case) -> Iterator[Reason]:
    """Compare recurrent layers, each weight gate by gate in the order of its format, and what they compute."""
    slack = max(weights.SLACK, 2 * COARSE.get(case.matching.precision, 0.0))
    pairs = paired(case)
    finders = (_computed, lambda want, got: _weights(want, got, slack), _directions)
    for find in finders:
        for number, (want, got) in enumerate(pairs):
            where = _where([one for one, _ in pairs], number)
            yield from (Reason(want.tensor, told + where) for told in find(want, got))


def without(names: Iterable[str], case: Case, *, other: bool) -> list[str]:
    """Give the tensors of a side whose weights are not those of cells that were compared."""
    graph = case.matching.other if other else case.matching.one
    return [name for name in names if graph.family[name] not in RECURRENT] if paired(case) else list(names)


def taken_apart(case: Case, name: str, theirs: Iterable[Array], slack: float) -> dict[str, Array]:
    """Give the weights of a recurrent operator in the order of gates in which other operators have most of them.

    A runtime that has no such operator makes it of others. Empty if they have none: nothing is known of their order then.
    """
    node, known = case.matching.one.nodes[name], [(weights.scale(array), array) for array in theirs]
    count, axis = as_parts(node, case.matching.one.family[name])
    best: tuple[int, dict[str, Array]] = (0, {})
    for order in permutations(range(count)):
        turned = {key: _turned(array, order, axis) for key, array in node.weights.items()}
        for wanted in (turned, _added(turned)):
            found = [_is_among(known, array, slack) for array in wanted.values()]
            # Of two that are found as far, the one of which less is left.
            score = 2 * sum(found) - len(found) + len(node.weights) + 1 if any(found) else 0
            best = max(best, (score, wanted), key=lambda each: each[0])
    return best[1]


def _is_among(known: Iterable[tuple[float, Array]], array: Array, slack: float) -> bool:
    """Whether one of these arrays, each with its scale, is the same: of another scale none is, which is seen at once."""
    scale = weights.scale(array)
    near = (got for own, got in known if not abs(own - scale) > slack * scale)
    return any(weights.same(array, got, slack) for got in near)


def _turned(array: Array, order: Sequence[int], axis: int) -> Array:
    where = axis if array.ndim > axis else 0
    if not array.ndim or array.shape[where] % len(order):
        return array
    parts = np.split(array, len(order), axis=where)
    return np.concatenate([parts[place] for place in order], axis=where)


def _added(turned: dict[str, Array]) -> dict[str, Array]:
    """Add up biases, two and two."""
    flat = [key for key, array in turned.items() if array.ndim == 1]
    rest = {key: array for key, array in turned.items() if array.ndim != 1}
    return rest | {one: turned[one] + turned[two] for one, two in zip(flat[::2], flat[1::2], strict=False)}


def _told_apart(found: list[Cell]) -> dict[tuple[str, int], Cell]:
    counts: dict[str, int] = defaultdict(int)
    keyed = {}
    for cell in found:
        keyed[cell.direction, counts[cell.direction]] = cell
        counts[cell.direction] += 1
    return keyed


def _where(every: list[Cell], number: int) -> str:
    """Say which of several cells it is: those of one operator are its layers and directions."""
    cell = every[number]
    own = [each for each in every if each.tensor == cell.tensor]
    sides = len({each.direction for each in own})
    told = (
        [f"layer {next(place for place, each in enumerate(own) if each is cell) // sides + 1}"]
        if len(own) > sides
        else []
    )
    told += [cell.direction] if sides > 1 else []
    return f" ({', '.join(told)})" if told else ""


def _computed(want: Cell, got: Cell) -> Iterator[str]:
    told = [
        f"{key} {_plain(got.attributes[key])}, wanted is {_plain(value)}"
        for key, value in want.attributes.items()
        if key in got.attributes and not attributes.same(value, got.attributes[key])
    ]
    if told:
        yield "the recurrent layer has " + "; and ".join(sorted(told))


def _directions(want: Cell, got: Cell) -> Iterator[str]:
    if want.direction != got.direction:
        yield f"the recurrent layer runs {got.direction}, wanted is {want.direction}"


def _weights(want: Cell, got: Cell, slack: float) -> Iterator[str]:
    wrong: dict[str, list[str]] = defaultdict(list)
    for kind, gate in want.parts:
        if (kind, gate) in got.parts and _differ(want, got, (kind, gate), slack):
            wrong[kind].append(gate)
    yield from (_told(want, got, kind, gates, slack) for kind, gates in wrong.items())


def _differ(want: Cell, got: Cell, part: Part, slack: float) -> bool:
    one, other = want.parts[part], got.parts[part]
    return one.shape == other.shape and not weights.near(one, other, slack * _scale(want, part[0]))


def _told(want: Cell, got: Cell, kind: str, gates: list[str], slack: float) -> str:
    """Say how a weight differs: by gates that changed places, as a whole, or how that of the first gate does."""
    owners = {gate: _owner(want, got.parts[kind, gate], slack) for gate in gates}
    if len(gates) > 1 and all(owners.values()):
        moved = ", ".join(f"that of the {_NAMES[gate]} is that of the {owner}" for gate, owner in owners.items())
        return f"{kind} has its gates in another order: {moved}"
    if len(gates) == len({gate for _, gate in want.parts}):
        one, other = (np.concatenate([cell.parts[kind, gate] for gate in gates]) for cell in (want, got))
        return f"{kind} {weights.how(one, other, weights.Known({}, {}, slack))}"
    gate = gates[0]
    if owners[gate]:
        return f"{kind} of the {_NAMES[gate]} is that of the {owners[gate]}"
    one, other = want.parts[kind, gate], got.parts[kind, gate]
    near = slack * _scale(want, kind) / (weights.scale(one) or 1.0)  # in units of what is compared
    told = weights.how(one, other, weights.Known({}, {}, near))
    return f"{kind} of the {_NAMES[gate]} {told}{_more(gates[1:])}"


def _more(gates: list[str]) -> str:
    return f", and that of the {' and the '.join(_NAMES[gate] for gate in gates)} differs as well" if gates else ""


def _owner(want: Cell, got: Array, slack: float) -> str:
    """Give the gate of the reference's cell whose weight an array is, in words; empty for none."""
    found = (
        _NAMES[gate] for (kind, gate), array in want.parts.items()
        if array.shape == got.shape and array.any() and weights.near(array, got, slack * _scale(want, kind))
    )  # fmt: skip
    return next(found, "")


def _scale(cell: Cell, kind: str) -> float:
    return max(weights.scale(array) for (own, _), array in cell.parts.items() if own == kind)


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else attributes.told(value)
