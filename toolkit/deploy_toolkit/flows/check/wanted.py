"""The right answers: whose they are, to which inputs, and how much they move by rounding alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from deploy_agreement import BATCHES, Noise, batches_for, batches_like, enough_rows, noise, same_inputs
from deploy_agreement.figures import nan_count
from deploy_core.errors import ExportError, TamperedError, UsageError
from deploy_core.predictor import Predictor
from deploy_core.signature import Tensors
from deploy_exporters.formats import hosted
from deploy_exporters.worker import Workers
from deploy_model_store import Store, Version
from deploy_toolkit.flows import promised, subjects
from deploy_toolkit.flows.check.request import Request, inputs_from
from deploy_toolkit.flows.golden import noise_of
from deploy_toolkit.flows.subjects import Chosen, Named, Subject

GOLDEN = "golden outputs"  # of a stored version, as what gave the right answers


@dataclass(frozen=True)
class Wanted:
    """The right answers, who gave them, and how much they move by rounding alone.

    `reference` opens whoever answers for other inputs than these; None if nobody does. The inputs are not golden if they
    are the user's own.
    """

    by: str
    inputs: Tensors
    outputs: Tensors
    noise: Noise
    version: Version | None = None
    known: Mapping[str, Tensors] = field(default_factory=dict)
    batches: tuple[int, ...] = BATCHES
    reference: Callable[[], Predictor] | None = None
    is_golden: bool = True

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """The names of the classes of an output, where the version has them."""
        stored = self.version.record.labels if self.version else None
        return {stored["output"]: tuple(stored["names"])} if stored else {}


def wanted(request: Request, named: list[Named], shelf: Store, workers: Workers) -> Wanted:
    """Find them: golden outputs of the first stored version, else what its reference or the first subject answers."""
    chosen = [subjects.find(request.against, shelf)] if isinstance(request.against, str) else named
    if isinstance(request.against, str) and isinstance(chosen[0], Chosen):
        raise UsageError(
            f"--against {chosen[0]} is one artifact, and what is wanted is what was trained",
            hint=f"name {chosen[0]} beside the others: endpoints are held to it if it is the first",
        )
    version = next(iter(subjects.versions(chosen)), None)
    if version is None:
        given = next(iter(request.inputs.items()), None)
        return _answers_of(next(subjects.expand(chosen[0], workers, trust=request.trust, access=request.access)), given)
    if request.inputs and version.reference is None:
        raise UsageError(f"{version} keeps no reference", hint="check it without --inputs")
    return Wanted(
        GOLDEN,
        version.golden.inputs,
        version.golden.outputs,
        noise_of(version.golden),
        version,
        _known(version, shelf),
        promised.batches(version),
        None if version.reference is None else partial(hosted, workers, version.reference),
    )


def _known(version: Version, shelf: Store) -> dict[str, Tensors]:
    """What other versions of the model answer to the same inputs: wrong values are often those of one of them."""
    found = {}
    for number in shelf.versions(version.name):
        with suppress(TamperedError):  # a damaged neighbour is its own check's affair
            other = shelf.version(version.name, number)
            if number != version.number and same_inputs(other.golden.inputs, version.golden.inputs):
                found[str(other)] = other.golden.outputs
    return found


def _answers_of(subject: Subject, given: tuple[str, Tensors] | None) -> Wanted:
    if given is None:
        raise UsageError(
            f"no inputs are known to ask {subject.name}",
            hint="give --inputs FILE.npz, or name a stored model first, which has golden ones",
        )
    predictor = subject.open()
    try:
        name, inputs = given
        signature = predictor.signature
        with inputs_from(name):
            arrays = signature.conform(inputs)
            enough = enough_rows(signature, arrays)
        outputs = predictor.predict(arrays)
        _require_numbers(name, outputs)
        measured = noise(predictor, *batches_like(signature, enough), nan_agrees=True)
        return Wanted(
            subject.name,
            arrays,
            outputs,
            measured,
            batches=batches_for(signature),
            reference=subject.open,
            is_golden=False,
        )
    finally:
        predictor.close()


def _require_numbers(file: str, outputs: Tensors) -> None:
    for name, array in outputs.items():
        if array.size and nan_count(array) == array.size:
            raise ExportError(
                f"{file}: the right answers are NaN in all {array.size} values of output {name!r}",
                hint="give inputs to which the model answers with numbers",
            )
