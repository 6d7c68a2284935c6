"""What is asked beside the golden inputs, with the answers of whoever knows the right ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from deploy_agreement import Probe
from deploy_agreement.probing.asking import GIVEN
from deploy_agreement.probing.drawing import FEW, ROWS, Budget, drawn
from deploy_agreement.probing.edges import edge_probes
from deploy_agreement.probing.probes import answered, refused
from deploy_agreement.probing.sizes import sizes_for
from deploy_agreement.rows import batch_symbol, rows_of
from deploy_core.errors import DeployError, InputError, first_line
from deploy_core.predictor import Predictor
from deploy_toolkit.flows import promised
from deploy_toolkit.flows.check.request import Request, inputs_from
from deploy_toolkit.flows.check.wanted import Wanted

_SHOWN = 3
_EDGES = 20.0  # seconds for the reference, which is asked several times for each, and once for all subjects
SECONDS = 1.0  # for drawn rows: of the reference, and of each subject


@dataclass(frozen=True)
class Probes:
    """Inputs beyond the golden ones; `why` says why nobody answers for them.

    `size` and `few` are of the batches that are asked, `sizes` those that drawn rows are asked in first.
    """

    drawn: Probe | None = None
    edges: tuple[Probe, ...] = ()
    given: tuple[Probe, ...] = ()
    sized: tuple[Probe, ...] = ()
    size: int = ROWS
    few: int = FEW
    sizes: tuple[int, ...] = ()
    why: str = ""


NOTHING = Probes(why="nothing else is asked")


def probes_of(wanted: Wanted, request: Request) -> Probes:
    """Ask the reference for what is drawn, lies at the edges, or was given. Raises InputError for given inputs that do not fit."""
    if wanted.reference is None:
        return Probes(why="no reference is kept that answers for other inputs than the golden ones")
    try:
        if wanted.version and wanted.version.reference:
            wanted.version.require_intact(wanted.version.reference)
        reference = wanted.reference()
    except DeployError as error:
        return Probes(why=f"the reference cannot be asked: {first_line(error)}")
    try:
        return _asked(reference, wanted, request)
    finally:
        reference.close()


def _asked(reference: Predictor, wanted: Wanted, request: Request) -> Probes:
    size = _size(reference, wanted)
    few = FEW if wanted.batches else size  # a batch that may not be as small as any usual one
    given = tuple(_given(reference, wanted, request))
    _require_answered(given)
    asked = Probes(given=given, size=size, few=few)
    try:
        if wanted.version:
            asked = replace(asked, sized=promised.sized(wanted.version, reference))
        budget = Budget(seconds=SECONDS, seed=request.seed, size=size, few=few)
        found = drawn(reference, wanted.inputs, wanted.outputs, wanted.noise, budget)
        rows = min(wanted.batches) if wanted.batches else _rows(reference, wanted)
        # An id out of range could be the end of somebody's server.
        beyond = not hasattr(reference, "endpoint")
        edges = edge_probes(reference, wanted.inputs, wanted.noise, rows, beyond=beyond, seconds=_EDGES)
        return replace(asked, drawn=found, edges=tuple(edges), sizes=_sizes(reference, wanted, request.seed))
    except DeployError as error:
        return replace(asked, why=f"the reference does not answer: {first_line(error)}")


def _given(reference: Predictor, wanted: Wanted, request: Request) -> Iterator[Probe]:
    """All that the user gave, but for what is asked in place of golden inputs."""
    for name, arrays in list(request.inputs.items())[0 if wanted.is_golden else 1 :]:
        with inputs_from(name):
            inputs = reference.signature.conform(arrays)
            if batch_symbol(reference.signature.inputs) and not rows_of(reference.signature, inputs, {}).count:
                raise InputError("it holds no rows", hint="give at least one")
        try:
            yield answered(reference, GIVEN, inputs, wanted.noise, label=name)
        except DeployError as error:
            yield refused(GIVEN, inputs, first_line(error), label=name)


def _require_answered(given: Sequence[Probe]) -> None:
    """Raise InputError if nothing of what was given can be compared: who asks for it is not to read that all agrees."""
    if given and all(probe.refused for probe in given):
        why = "; ".join(f"{probe.label}: {probe.refused}" for probe in given[:_SHOWN])
        raise InputError(f"the reference refuses the given inputs: {why}", hint="give inputs that the model takes")


def _size(reference: Predictor, wanted: Wanted) -> int:
    free = batch_symbol(reference.signature.inputs) is not None and wanted.version is None
    return ROWS if free else _rows(reference, wanted)


def _sizes(reference: Predictor, wanted: Wanted, seed: int) -> tuple[int, ...]:
    """Give further sizes of batches; none where the batch is fixed."""
    if batch_symbol(reference.signature.inputs) is None:
        return ()
    rows = _rows(reference, wanted)
    each = sum(array.size for array in (*wanted.inputs.values(), *wanted.outputs.values())) // rows
    within = promised.within(wanted.version) if wanted.version else None
    return sizes_for(within, {*wanted.batches, rows}, each, seed=seed)


def _rows(reference: Predictor, wanted: Wanted) -> int:
    return max(1, rows_of(reference.signature, wanted.inputs, {}).count)
