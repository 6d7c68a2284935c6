"""Other ways to the server behind an endpoint: another transport or dialect that is asked, too, and its own binary form."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from deploy_agreement import Agreement
from deploy_agreement.probing import transports
from deploy_core.endpoint import Endpoint
from deploy_core.predictor import Predictor
from deploy_core.signature import Signature
from deploy_dialects.carrying import has_choice
from deploy_toolkit.flows.access import Access
from deploy_toolkit.flows.subjects import Subject


@dataclass(frozen=True)
class Mate:
    """Another way to a server. Not `surely_one`, if it could be another server; `large`, if a large message is worth its time.

    `doubted`, if it was found to answer wrong by itself.
    """

    name: str
    open: Callable[[], Predictor]
    surely_one: bool = True
    large: bool = False
    doubted: bool = False

    @contextmanager
    def opened(self) -> Generator[Predictor]:
        """Give its predictor, and close that."""
        predictor = self.open()
        try:
            yield predictor
        finally:
            predictor.close()


def mates(subjects: Iterable[Subject]) -> dict[str, Mate]:
    """Give for every endpoint but the first of its server that first one, by the name of the subject."""
    first: dict[tuple[object, ...], Subject] = {}
    found: dict[str, Mate] = {}
    crossed: set[str] = set()
    for subject in subjects:
        if subject.endpoint is None:
            continue
        leader = first.setdefault(_server(subject), subject)
        if leader is subject or leader.endpoint is None:
            continue
        crosses = leader.endpoint.transport != subject.endpoint.transport and leader.name not in crossed
        crossed |= {leader.name} if crosses else set()
        surely = bool(subject.server) or leader.endpoint.address == subject.endpoint.address
        found[subject.name] = Mate(leader.name, leader.open, surely, crosses)
    return found


def doubted(mates: Mapping[str, Mate], row: Agreement) -> dict[str, Mate]:
    """Give the ways to servers anew once one of them was asked: it is doubted if it disagrees otherwise than with another way."""
    own = replace(row, checks=tuple(check for check in row.checks if check.name != transports.NAME))
    is_wrong = bool(row.outputs) and not own.ok
    return {
        name: replace(mate, doubted=True) if is_wrong and mate.name == row.subject else mate
        for name, mate in mates.items()
    }


def binary(subject: Subject, signature: Signature, access: Access) -> Mate | None:
    """Give the same endpoint with tensors as raw bytes, if its dialect has the choice for this model."""
    endpoint = subject.endpoint
    if endpoint is None or not has_choice(endpoint.dialect, endpoint.transport, signature):
        return None
    reached = access.ours if subject.server else access
    return Mate("its own binary form", partial(reached.client, endpoint, binary=True))


def _server(subject: Subject) -> tuple[object, ...]:
    endpoint = subject.endpoint
    assert isinstance(endpoint, Endpoint)
    return (subject.server or endpoint.host, endpoint.model, endpoint.version)
