"""`deploy check --localise`: where a subject that disagrees parts from the reference first, and that one operator alone."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from deploy_agreement import DERIVED, Agreement, Located, Terms, Worst, compare
from deploy_agreement.figures import comparable, deviation
from deploy_agreement.locating import Found, Inspectable, Seen, locate, look
from deploy_agreement.results.report import DISAGREE
from deploy_core.errors import DeployError, first_line
from deploy_core.predictor import HasIntermediates, Predictor
from deploy_core.signature import Tensors
from deploy_exporters.formats import hosted
from deploy_exporters.worker import Workers
from deploy_toolkit.flows.check import reproducing
from deploy_toolkit.flows.check.inquiry import Inquiry
from deploy_toolkit.flows.check.naming import slug
from deploy_toolkit.flows.check.reproducing import Looked, NothingShownError
from deploy_toolkit.flows.check.showing import Shown, agrees, shown
from deploy_toolkit.flows.check.wanted import GOLDEN, Wanted
from deploy_toolkit.flows.degradation import stored_terms
from deploy_toolkit.flows.subjects import Subject
from deploy_toolkit.output import OnEvent


@dataclass(frozen=True)
class _Asked:
    """What there is to ask with, and about what."""

    row: Agreement
    inquiry: Inquiry
    workers: Workers
    worst: Worst | None = None

    @property
    def wanted(self) -> Wanted:
        """The right answers to golden inputs."""
        return self.inquiry.wanted

    def shown(self, subject: Subject, predictor: Predictor) -> Shown:
        """Give inputs at which it disagrees."""
        return shown(subject, predictor, self.row, self.inquiry, self.worst)


def located(
    subject: Subject,
    row: Agreement,
    inquiry: Inquiry,
    workers: Workers,
    on_event: OnEvent,
    *,
    worst: Worst | None = None,
) -> Located | None:
    """Find where a subject parts from whoever gave the right answers, and write a reproduction of the one operator.

    The reference is looked into, or an artifact of its version that agrees; for an endpoint, the artifact that it serves.
    """
    on_event(f"looking for where {subject.name} parts from the right answers")
    asked = _Asked(row, inquiry, workers, worst)
    try:
        with _opened(subject) as predictor:
            if isinstance(predictor, HasIntermediates):
                return _located(asked, subject, predictor)
            return _outside(asked, subject, predictor)
    except DeployError as error:
        told = f"{error} ({error.hint})" if error.hint else str(error)
        return Located(subject.name, _against(inquiry.wanted), said=f"nothing inside could be seen: {told}")


def _is_of_form(row: Agreement) -> bool:
    """Whether outputs are missing, too many, or of another shape or dtype, and no value is wrong."""
    compared = [output for output in row.outputs if output.compared]
    odd = len(compared) < len(row.outputs) or any(problem.kind == "extra-output" for problem in row.problems)
    return odd and all(output.ok for output in compared) and all(check.verdict != DISAGREE for check in row.checks)


def _located(asked: _Asked, subject: Subject, predictor: Inspectable) -> Located:
    one = asked.shown(subject, predictor)
    told, reference = _reference(asked, one)
    if reference is None:
        return Located(subject.name, _against(asked.wanted), said=told)
    seen = look(subject.name, predictor, one.inputs)
    found = locate(reference, seen, precision=_precision(subject), limits=one.limits)
    place = found.located
    if place.first is None:
        place = replace(place, said=_nowhere(one, seen, place, asked.row))
    else:
        path = subject.artifact.path if subject.artifact else Path(subject.name)
        place = _reproduced(asked, Looked(path, predictor.signature, one.inputs), subject.name, reference, found)
    said = [place.said, *([f"seen at {one.where}"] if one.where else []), *([told] if told else [])]
    return replace(place, said="; ".join(said))


def _nowhere(one: Shown, seen: Seen, found: Located, row: Agreement) -> str:
    count = len(next(iter(seen.inputs.values()), ()))
    told = f"{len(found.matches)} tensors inside were matched, and all agree on {count} rows"
    if _is_of_form(row):
        return f"{told}: what is wrong is the form of its answers"
    if one.certain:
        return f"{told} when each operator runs by itself: what the runtime makes of them together differs"
    return f"{told}: it disagrees on other inputs, at other sizes or in other batches only"


def _outside(asked: _Asked, subject: Subject, predictor: Predictor) -> Located:
    """Say whether the file that an endpoint serves disagrees as well, and if it does, where."""
    version = asked.wanted.version
    if version is None or not hasattr(predictor, "endpoint"):
        kind = type(predictor).__name__ if subject.artifact is None else subject.artifact.name
        return Located(subject.name, _against(asked.wanted), said=f"nothing inside of {kind} can be seen")
    one = asked.shown(subject, predictor)
    answers = predictor.predict(one.inputs)
    nearest, _, ok = min(_artifacts_beside(asked, one, answers), key=lambda each: each[1], default=("", 0.0, True))
    if not nearest:
        return Located(subject.name, _against(asked.wanted), said="no artifact of its version can be asked")
    chosen = next(artifact for artifact in version.artifacts if artifact.name == nearest)
    file = Subject(f"{version}/{nearest}", partial(hosted, asked.workers, chosen), version=version, artifact=chosen)
    if ok:
        return Located(
            subject.name, file.name, said=f"the file {file.name} agrees, the server does not: look at what is sent"
        )
    with _opened(file) as behind:
        if not isinstance(behind, HasIntermediates):
            return Located(
                subject.name, _against(asked.wanted), said=f"it answers as {file.name}, which disagrees as well"
            )
        found = _located(asked, file, behind)
    return replace(found, subject=subject.name, said=f"it answers as {file.name} does: {found.said}")


def _artifacts_beside(asked: _Asked, one: Shown, answers: Tensors) -> Iterator[tuple[str, float, bool]]:
    """Give each artifact of the version: how far its answers lie from those, and whether it agrees with what is wanted."""
    version = asked.wanted.version
    for artifact in version.artifacts if version else ():
        # What cannot run here has a row of its own that says why.
        opener = partial(hosted, asked.workers, artifact)
        with suppress(DeployError), _opened(Subject(artifact.name, opener)) as predictor:
            off = _off(predictor.predict(one.inputs), answers)
            terms = stored_terms(version, artifact, asked.wanted.outputs, asked.wanted.noise)
            yield artifact.name, off, _agrees(asked, predictor, one, terms)


def _reference(asked: _Asked, one: Shown) -> tuple[str, Seen | None]:
    """Look into whoever gave the right answers, else into an artifact that agrees; the words say which, if it is that."""
    opener = asked.wanted.reference
    why = "it is not kept" if opener is None else "its format does not let itself be looked into"
    try:
        with _opened(Subject(_against(asked.wanted), opener)) if opener else nullcontext() as predictor:
            if isinstance(predictor, HasIntermediates):
                return "", look(_against(asked.wanted), predictor, one.inputs, nudged=True)
    except DeployError as error:
        why = str(error)
    seen = next(_artifacts_inside(asked, one), None)
    if seen is None:
        return f"nothing can be looked into to compare with: {why}", None
    return f"compared with {seen.name}, which agrees, since the reference was not looked into: {why}", seen


def _artifacts_inside(asked: _Asked, one: Shown) -> Iterator[Seen]:
    """Look into each artifact of the version that agrees."""
    version = asked.wanted.version
    for artifact in (each for each in (version.artifacts if version else ()) if not each.variant):
        name = f"{version}/{artifact.name}"
        with suppress(DeployError), _opened(Subject(name, partial(hosted, asked.workers, artifact))) as predictor:
            if isinstance(predictor, HasIntermediates) and _agrees(asked, predictor, one):
                yield look(name, predictor, one.inputs, nudged=True)


def _agrees(asked: _Asked, predictor: Predictor, one: Shown, terms: Terms = DERIVED) -> bool:
    wanted = asked.wanted
    golden = compare("", wanted.outputs, predictor, wanted.inputs, noise=wanted.noise, terms=terms, batches=())
    return golden.ok and agrees(predictor, one, terms)


def _precision(subject: Subject) -> str:
    variant = subject.artifact.variant if subject.artifact else ""  # of a file of somebody's, its numbers tell
    return next((kind for kind in ("float16", "bfloat16", "int8") if kind in variant), "")


def _off(one: Tensors, other: Tensors) -> float:
    if not all(name in other and comparable(array, other[name]) for name, array in one.items()):
        return float("inf")
    apart = (deviation(array, other[name], nan_agrees=True) for name, array in one.items())
    return max((float(each.max(initial=0.0)) for each in apart), default=0.0)


def _against(wanted: Wanted) -> str:
    return f"{wanted.version}/reference" if wanted.by == GOLDEN else wanted.by


def _reproduced(asked: _Asked, looked: Looked, subject: str, reference: Seen, found: Found) -> Located:
    """Write the operator alone, if it is one, and say where; or why it does not stand alone."""
    place = found.located
    if found.operands is None:
        return place if found.known else _suspected(found)
    tensor = found.operands.other.name.partition(";")[0]
    folder = asked.inquiry.request.found / slug(subject, tensor)
    try:
        written = reproducing.written(folder, looked, found.operands, place.said, reference.name, asked.workers)
    except DeployError as error:
        if found.upstream and (not found.known or isinstance(error, NothingShownError)):
            return _suspected(found)
        return replace(place, said=f"{place.said}; by itself its operator shows nothing: {first_line(error)}")
    return replace(place, reproduction=written)


def _suspected(found: Found) -> Located:
    """Name what differs before the first tensor that shows it, in words that say that it is not proven."""
    if not found.upstream:
        return found.located
    said = f"{found.upstream}: probably the cause; the first beyond it shows nothing by itself: {found.located.said}"
    return replace(found.located, said=said)


@contextmanager
def _opened(subject: Subject) -> Generator[Predictor]:
    predictor = subject.open()
    try:
        yield predictor
    finally:
        predictor.close()
