"""What a subject is asked beyond golden inputs: further probes, properties, other ways to the same server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from deploy_agreement import Agreement, Check, compare
from deploy_agreement.probing import properties as has
from deploy_agreement.probing.asking import Judge, checked, edged, skipped
from deploy_agreement.probing.drawing import FEW
from deploy_agreement.probing.transports import Way, messages, same_ways
from deploy_agreement.rows import batch_symbol, rows_of, take
from deploy_core.errors import DeployError, first_line
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors
from deploy_toolkit.flows import degradation, kept
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.mates import Mate, binary
from deploy_toolkit.flows.check.probing import SECONDS, Probes
from deploy_toolkit.flows.check.wanted import Wanted
from deploy_toolkit.flows.subjects import Subject

_SOME = 16
_WHILE = 5.0  # seconds
_QUESTIONS = 9  # as many as a model has edges that count, if it has inputs of several dtypes
_INT8 = "an int8 variant is held to its golden answers"


@dataclass(frozen=True)
class Asked:
    """One subject that answered the golden inputs, and all that it is to be asked by; `each` are the seconds that one took."""

    subject: Subject
    predictor: Predictor
    row: Agreement
    inquiry: Inquiry
    each: float = 0.0

    @property
    def patience(self) -> float:
        """For how many seconds edges are asked: a while, or as long as some golden questions took."""
        return max(_WHILE, _QUESTIONS * self.each)

    @property
    def wanted(self) -> Wanted:
        """The right answers."""
        return self.inquiry.wanted

    @property
    def probes(self) -> Probes:
        """What is asked beside the golden inputs."""
        return self.inquiry.probes

    @property
    def mate(self) -> Mate | None:
        """Another way to the same server, if there is one."""
        return self.inquiry.mates.get(self.subject.name)

    @property
    def some(self) -> Tensors:
        """Golden rows by which properties show: a few of them, where the batch is free."""
        if self.probes.few != FEW or not self.wanted.batches:
            return self.wanted.inputs
        rows = rows_of(self.predictor.signature, self.wanted.inputs, {})
        return take(self.wanted.inputs, rows.inputs, np.arange(min(_SOME, rows.count)))

    @property
    def judge(self) -> Judge:
        """How its answers are judged where the reference gave the right ones, or it itself did."""
        # An int8 variant repeats itself as exactly as any file: what was measured is about others' answers.
        terms = replace(self.inquiry.form(self.subject), measured=None)
        return partial(compare, self.subject.name, terms=terms, batches=(), labels=self.wanted.labels)

    @property
    def judge_of_rows(self) -> Judge:
        """How its answers to rows are judged that it is asked for among others: a dynamic variant's scales are the batch's."""
        if not degradation.is_dynamic(self.subject.artifact):
            return self.judge
        # Each may be off by what was measured, which is half of what is tolerated, and the other way.
        terms = self.inquiry.terms(self.subject)
        return partial(compare, self.subject.name, terms=terms, batches=(), labels=self.wanted.labels)


def checks(one: Asked) -> Iterator[Check]:
    """Make every check, those that could end a worker last."""
    yield from _as_published(one)
    yield from _drawn(one)
    yield from _properties(one)
    if one.subject.endpoint is not None:
        yield from _endpoint(one)
    yield from _edges(one)


def _as_published(one: Asked) -> Iterator[Check]:
    version, artifact = one.subject.version, one.subject.artifact
    if version is None or artifact is None or one.inquiry.request.terms().asked:
        return
    served = one.subject.endpoint is not None
    if check := kept.held(version, artifact, one.predictor, ours=not served):
        yield replace(check, said=f"held to {version}/{artifact.name}: {check.said}") if served else check


def _drawn(one: Asked) -> Iterator[Check]:
    names = ["drawn", *(probe.name for probe in one.probes.given)]
    if why := _not_probed(one):
        yield from (skipped(name, why) for name in names)
        return
    ask = partial(checked, one.predictor, judge=one.judge, size=one.probes.size, few=one.probes.few, seconds=SECONDS)
    yield ask(one.probes.drawn, sizes=one.probes.sizes) if one.probes.drawn else skipped("drawn", one.probes.why)
    for probe in one.probes.given:
        yield ask(probe)


def _edges(one: Asked) -> Iterator[Check]:
    if why := _not_probed(one):
        yield skipped("edges", why)
        return
    # What the reference refuses could be the end of whoever takes it: only of workers of ours.
    asked = [probe for probe in one.probes.edges if one.subject.endpoint is None or not probe.refused]
    yield edged(one.predictor, asked, one.judge, seconds=one.patience)


def _not_probed(one: Asked) -> str:
    if one.wanted.version and one.subject.artifact and one.subject.artifact == one.wanted.version.reference:
        return "the reference gave the answers itself"
    if not one.row.ok:
        return "it answers the golden inputs otherwise already"
    if degradation.is_int8(one.subject.artifact):
        return _INT8
    return "" if one.probes.edges or one.probes.drawn or one.probes.given else one.probes.why


def _properties(one: Asked) -> Iterator[Check]:
    rows = (one.predictor, one.some, one.judge_of_rows, one.wanted.noise)
    yield _made("again", partial(has.again, one.predictor, one.some, one.judge, one.wanted.noise))
    yield _made("order", partial(has.order, *rows, seed=one.inquiry.request.seed))
    if one.subject.endpoint is None:
        yield skipped("at once", "a file in a worker is asked one thing at a time")


def _endpoint(one: Asked) -> Iterator[Check]:
    given = (one.predictor, one.some, one.judge_of_rows, one.wanted.noise)
    free = batch_symbol(one.predictor.signature.inputs) is not None and bool(one.wanted.batches)
    yield _made("at once", partial(has.at_once, *given, free=free))
    yield _made("one of many", partial(has.one_of_many, one.subject.open, *given, free=free))
    yield from _transports(one)


def _transports(one: Asked) -> Iterator[Check]:
    with ExitStack() as stack:
        try:
            ways = [Way(way.name, stack.enter_context(way.opened()), way.doubted) for way in _ways(one)]
        except DeployError as error:
            yield skipped("transports", f"another way to it cannot be gone: {first_line(error)}")
            return
        if not ways:
            return
        large = one.mate is not None and one.mate.large
        asked = messages(one.predictor.signature, one.wanted.inputs, one.probes.edges, large=large)
        surely_one = one.mate is None or one.mate.surely_one
        first = Way(one.subject.name, one.predictor)
        yield same_ways(first, ways, list(asked), surely_one=surely_one)


def _ways(one: Asked) -> list[Mate]:
    own = binary(one.subject, one.predictor.signature, one.inquiry.request.access)
    return [mate for mate in (one.mate, own) if mate is not None]


def _made(name: str, make: partial[Check]) -> Check:
    try:
        return make()
    except DeployError as error:
        return has.failing(name, "answers golden inputs no more", error)
