"""Everything against everything: one reference, the same inputs, a row for every other predictor."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from deploy_agreement import (
    BATCHES,
    Agreement,
    Noise,
    Problem,
    Report,
    Sized,
    Tolerance,
    batches_for,
    batches_like,
    compare,
    compare_sizes,
    enough_rows,
    failed,
    noise,
    same_inputs,
    unproved,
)
from deploy_core import state
from deploy_core.errors import DeployError, TamperedError, UsageError
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors
from deploy_exporters.formats import hosted
from deploy_exporters.worker import Workers
from deploy_model_store import Store, Version
from deploy_toolkit.flows import degradation, promised, serve, subjects
from deploy_toolkit.flows.access import USUAL, Access
from deploy_toolkit.flows.golden import noise_of
from deploy_toolkit.flows.subjects import Named, Subject
from deploy_toolkit.output import OnEvent, silent

_GOLDEN = "golden outputs"  # of a stored version, as what gave the right answers


@dataclass(frozen=True)
class Request:
    """What to compare; the first stored version (or `against`) is the reference, else the first subject.

    `trust` lets files that are not stored run code of their own; `access` is for the endpoints among the subjects.
    """

    subjects: tuple[str, ...]
    servers: tuple[str, ...] = ()
    against: str | None = None
    inputs: Tensors | None = None
    atol: float | None = None
    rtol: float | None = None
    trust: bool = False
    access: Access = USUAL


@dataclass(frozen=True)
class _Wanted:
    """The right answers, who gave them, and how much they move by rounding alone."""

    by: str
    inputs: Tensors
    outputs: Tensors
    noise: Noise
    version: Version | None = None
    known: Mapping[str, Tensors] = field(default_factory=dict)
    batches: tuple[int, ...] = BATCHES
    sized: tuple[Sized, ...] = ()


def check(request: Request, *, store: Path, on_event: OnEvent = silent) -> Report:
    """Compare every subject with the reference. Raises UsageError if there is nothing to compare with or to compare."""
    shelf = Store(store)
    named = [subjects.find(text, shelf) for text in request.subjects]
    if request.servers and not any(isinstance(one, Version) for one in named):
        raise UsageError(
            f"nothing is named that {request.servers[0]} could serve", hint="name a stored model beside the files"
        )
    request.access.require_fit(subjects.endpoints(named))
    with ExitStack() as stack:
        workers = stack.enter_context(Workers(state.logs()))
        wanted = _wanted(request, named, shelf, workers)
        found = [subject for one in named for subject in _expanded(one, workers, request)]
        todo = [subject for subject in found if subject.name != wanted.by]
        for server in request.servers:
            todo += stack.enter_context(_served(server, named, request.access.ours, store, on_event))
        if not todo:
            raise UsageError("there is nothing to compare", hint="name a second file or endpoint")
        return Report(tuple(_rows(todo, wanted, request, on_event)))


def _expanded(named: Named, workers: Workers, request: Request) -> Iterator[Subject]:
    return subjects.expand(named, workers, trust=request.trust, access=request.access)


def _rows(todo: list[Subject], wanted: _Wanted, request: Request, on_event: OnEvent) -> Iterator[Agreement]:
    for subject in todo:
        on_event(f"checking {subject.name}")
        row = _row(subject, wanted, request)
        yield unproved(row) if subject.unproved else row


def _row(subject: Subject, wanted: _Wanted, request: Request) -> Agreement:
    try:
        predictor = subject.open()
    except DeployError as error:
        return Agreement(subject.name, error=subject.damage) if subject.damage else failed(subject.name, error)
    rule = _rule(subject, wanted)
    try:
        row = compare(
            subject.name,
            wanted.outputs,
            predictor,
            wanted.inputs,
            noise=wanted.noise,
            batches=wanted.batches,
            atol=request.atol,
            rtol=request.rtol,
            precision=rule.precision,
            tolerances=rule.tolerances,
            known=wanted.known,
        )
        row = _with_sizes(_with_cost(row, subject, predictor, wanted), subject, predictor, wanted, request)
        found = (*_damaged(subject), *_stale(predictor, wanted), *_served_variant(predictor, row, wanted))
        told = row.error + _of_another(subject, predictor, wanted) if row.error else ""
        return dataclasses.replace(row, problems=(*found, *row.problems), error=told)
    finally:
        predictor.close()


def _of_another(subject: Subject, predictor: Predictor, wanted: _Wanted) -> str:
    """Say whose inputs it was asked, if it is a model that takes others."""
    theirs = {spec.name for spec in predictor.signature.inputs}
    if theirs == set(wanted.inputs) or wanted.version is None or wanted.by != _GOLDEN:
        return ""
    own = subject.version or subject.name
    return f"; the golden inputs are those of {wanted.version}: check {own} by itself"


def _rule(subject: Subject, wanted: _Wanted) -> degradation.Rule:
    if subject.version is None or subject.artifact is None:
        return degradation.Rule()
    return degradation.stored_rule(subject.version, subject.artifact, wanted.outputs, wanted.noise)


def _with_sizes(row: Agreement, subject: Subject, predictor: Predictor, wanted: _Wanted, request: Request) -> Agreement:
    rule = degradation.form_rule(subject.artifact, wanted.outputs) if subject.artifact else degradation.Rule()
    tolerances = rule.tolerances
    if request.atol is not None or request.rtol is not None:
        tolerances = dict.fromkeys(wanted.outputs, Tolerance(request.atol or 0.0, "as asked", request.rtol or 0.0))
    return compare_sizes(row, predictor, wanted.sized, precision=rule.precision, tolerances=tolerances)


def _with_cost(row: Agreement, subject: Subject, predictor: Predictor, wanted: _Wanted) -> Agreement:
    if subject.version is None or subject.artifact is None:
        return row
    full = degradation.with_cost(row, subject.artifact, predictor, wanted.inputs, wanted.outputs)
    return degradation.with_sizes(Report((full,)), subject.version.artifacts).rows[0]


def _damaged(subject: Subject) -> Iterator[Problem]:
    if subject.damage:
        yield Problem("damaged", subject.damage)


def _stale(predictor: Predictor, wanted: _Wanted) -> Iterator[Problem]:
    endpoint, version = getattr(predictor, "endpoint", None), getattr(predictor, "version", None)
    if endpoint is None or wanted.version is None or version is None or endpoint.model != wanted.version.name:
        return
    # An archive made for TorchServe has a version of its own, "1.0", that says nothing of ours.
    if version.isdigit() and int(version) != wanted.version.number:
        yield Problem("stale", f"it serves version {version}, wanted is version {wanted.version.number}")


def _served_variant(predictor: Predictor, row: Agreement, wanted: _Wanted) -> Iterator[Problem]:
    if row.ok or wanted.version is None or not hasattr(predictor, "endpoint"):
        return
    if names := degradation.resembling(wanted.version, row, wanted.outputs, wanted.noise):
        yield Problem("variant", f"its errors are those of {' or '.join(names)}: the server may serve that variant")


def _wanted(request: Request, named: list[Named], shelf: Store, workers: Workers) -> _Wanted:
    chosen = [subjects.find(request.against, shelf)] if request.against else named
    version = next((one for one in chosen if isinstance(one, Version)), None)
    if version is None:
        return _answers_of(next(_expanded(chosen[0], workers, request)), request.inputs)
    if request.inputs is None:
        golden = version.golden
        measured = noise_of(golden)
        return _Wanted(
            _GOLDEN,
            golden.inputs,
            golden.outputs,
            measured,
            version,
            _known(version, shelf),
            promised.batches(version),
            _sized(version, workers),
        )
    if version.reference is None:
        raise UsageError(f"{version} keeps no reference", hint="check it without --inputs")
    reference = Subject(f"{version}/reference", partial(hosted, workers, version.reference), version=version)
    return _answers_of(reference, request.inputs)


def _sized(version: Version, workers: Workers) -> tuple[Sized, ...]:
    # What is wrong with a reference that cannot answer is told in its own row.
    with suppress(DeployError):
        return promised.sized(version, workers)
    return ()


def _known(version: Version, shelf: Store) -> dict[str, Tensors]:
    """What other versions of the model answer to the same inputs: wrong values are often those of one of them."""
    found = {}
    for number in shelf.versions(version.name):
        with suppress(TamperedError):  # a damaged neighbour is its own check's affair
            other = shelf.version(version.name, number)
            if number != version.number and same_inputs(other.golden.inputs, version.golden.inputs):
                found[str(other)] = other.golden.outputs
    return found


def _answers_of(subject: Subject, inputs: Tensors | None) -> _Wanted:
    if inputs is None:
        raise UsageError(
            f"nothing is known to compare {subject.name} with",
            hint="name a stored model first, or give --inputs FILE.npz",
        )
    predictor = subject.open()
    try:
        arrays = predictor.signature.conform(inputs)
        signature = predictor.signature
        measured = noise(predictor, *batches_like(signature, enough_rows(signature, arrays)))
        batches = promised.batches(subject.version) if subject.version else batches_for(signature)
        return _Wanted(subject.name, arrays, predictor.predict(arrays), measured, subject.version, batches=batches)
    finally:
        predictor.close()


@contextmanager
def _served(
    server: str, named: list[Named], access: Access, store: Path, on_event: OnEvent
) -> Generator[list[Subject]]:
    names = tuple(str(one) for one in named if isinstance(one, Version))
    with serve.serving(serve.Request(names, server), store=store, on_event=on_event) as running:
        yield [Subject(str(endpoint), partial(access.client, endpoint)) for endpoint in running.endpoints]
