"""Export one opened source to formats: the union of the routes, each step once, the source opened once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy_core.artifact import Artifact, digest_of
from deploy_core.errors import DeployError, ExportError
from deploy_core.ranges import Ranges
from deploy_core.signature import BATCH, Signature, Tensors, TensorSpec
from deploy_core.table import require
from deploy_exporters import calibration as representative
from deploy_exporters.formats import check_options, file_of, split
from deploy_exporters.hosted import HostedExact, HostedGradient, HostedInside
from deploy_exporters.routes import STEPS, require_calibration, requirements, route
from deploy_exporters.sources import Given, Source
from deploy_exporters.steps.job import Job, Proof, Written
from deploy_exporters.worker import Worker, Workers

_REFERENCES = {
    "torch": ("torchscript", "pt2"),
    "keras": ("keras",),
    "torchscript": ("torchscript",),
    "onnx": ("onnx",),
    "savedmodel": ("savedmodel",),
    "tflite": ("tflite",),
    "mar": ("mar",),
}
_DIFFERENTIABLE = ("torch", "torchscript", "keras")
_PROOF_ROWS = (2, 3)


class OpenedSource(HostedExact, HostedInside):
    """A source model in its worker: a Predictor that also computes in float64, and can be looked into.

    Either raises UsageError for a kind of source that cannot.
    """

    def __init__(
        self,
        worker: Worker,
        source: Source,
        number: int,
        kind: str,
        signature: Signature,
        example: Tensors,
        description: dict[str, Any],
    ) -> None:
        super().__init__(worker, number, signature)
        self.source = source
        self.kind = kind
        self.example = example
        self.description = description


class OpenedGradient(OpenedSource, HostedGradient):
    """A source model that can also be differentiated."""


@dataclass(frozen=True)
class Order:
    """What to write: the formats below `folder`, each under the model's `name`.

    A format may be named with its variant: `tflite-int8`; `calibration` holds rows of real inputs for those. `options`
    are by format, `ranges` the least and the greatest size of a symbol. `proofs` are inputs with the source's own
    answers, at other sizes than the example's: what tells one way of writing a file from another beside 2 and 3 rows of
    the example. What is `known` of the same model is read instead of being written again, and so is its `reference`.
    `raw` says how raw bytes are prepared and outputs labelled, for files that do so themselves.
    """

    formats: Sequence[str]
    folder: Path
    name: str
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    calibration: Tensors | None = None
    ranges: Ranges = field(default_factory=dict)
    proofs: Sequence[Proof] = ()
    reference: Artifact | None = None
    known: Sequence[Artifact] = ()
    raw: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Export:
    """What an export wrote; `reference` answers for the source model later on."""

    artifacts: tuple[Artifact, ...]
    reference: Artifact


@dataclass
class _Run:
    """The state of one export: what is written, and how."""

    workers: Workers
    opened: OpenedSource
    order: Order
    on_step: Callable[[str], None]
    files: dict[str, Path] = field(default_factory=dict)
    written: dict[str, Written] = field(default_factory=dict)
    routes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tools: dict[str, Mapping[str, str]] = field(default_factory=dict)


def open_source(
    workers: Workers,
    source: Source,
    *,
    example: Tensors | None = None,
    inputs: tuple[TensorSpec, ...] = (),
    outputs: tuple[str, ...] = (),
) -> OpenedSource:
    """Open a source in the source worker. Raises UsageError if it is no model, ExportError if it cannot answer."""
    worker = workers.get("source")
    given = Given(example, inputs, outputs, source.static)
    found = worker.call("deploy_exporters.hosting:open_source", source, given)
    return (OpenedGradient if found[1] in _DIFFERENTIABLE else OpenedSource)(worker, source, *found)


def export(
    workers: Workers,
    opened: OpenedSource,
    order: Order,
    *,
    on_step: Callable[[str], None] = lambda step: None,
) -> Export:
    """Write the formats and the reference; `on_step` hears the name of each step before it runs.

    Raises UsageError and UnavailableError before anything is written, ExportError for a conversion that failed.
    """
    run = _Run(workers, opened, _checked(opened, order), on_step)
    wanted = run.order.formats
    run.order.folder.mkdir(parents=True, exist_ok=True)
    _know(run, (artifact for artifact in order.known if artifact.name not in wanted))
    _prepare(run, wanted)
    for each in wanted:
        _follow(run, each)
    reference = order.reference or _reference(run)
    artifacts = tuple(_artifact(run, each, _whole(run.files[each])) for each in wanted)
    _discard(run, wanted)
    return Export(artifacts, reference)


def _checked(opened: OpenedSource, order: Order) -> Order:
    """Give the order as the steps need it: each format once, the rows as the signature wants them, all proofs."""
    wanted = tuple(dict.fromkeys(order.formats))
    check(opened.kind, wanted, order.options)
    require_calibration(wanted, given=order.calibration is not None)
    rows = None if order.calibration is None else representative.checked(opened.signature, order.calibration)
    proofs = (*_proofs(opened), *order.proofs)
    return replace(order, formats=wanted, folder=order.folder.absolute(), calibration=rows, proofs=proofs)


def _proofs(opened: OpenedSource) -> Iterator[Proof]:
    for count in _PROOF_ROWS if BATCH in opened.signature.symbols else _PROOF_ROWS[:1]:
        inputs = opened.signature.sized(opened.example, {BATCH: count})
        yield inputs, opened.predict(inputs)


def check(kind: str, formats: Iterable[str], options: Mapping[str, Mapping[str, str]]) -> None:
    """Raise UsageError for an unknown format or option, UnavailableError for a missing extra."""
    formats = tuple(formats)
    for name in formats:
        for row in requirements(kind, name):
            require(f"exporting {kind} to {name}", row.needs, row.extra)
    check_options(formats, options)


def _know(run: _Run, artifacts: Iterable[Artifact]) -> None:
    for artifact in artifacts:
        file = artifact.path / file_of(artifact.name, run.order.name)  # in a folder, if something lies beside it
        run.files[artifact.name] = file if artifact.path.is_dir() and file.is_file() else artifact.path
        run.routes[artifact.name] = artifact.route
        run.tools[artifact.name] = artifact.tools


def _prepare(run: _Run, wanted: Sequence[str]) -> None:
    # Workers import their libraries, which takes seconds, while the first steps run in the worker that has the source.
    steps = [STEPS[step] for name in wanted for step in route(run.opened.kind, name)]
    steps = [step for step in steps if step.writes not in run.files]
    for kind in dict.fromkeys(step.worker for step in steps):
        if (worker := _worker(run, kind)) is not run.opened.worker:
            modules = dict.fromkeys(step.function.partition(":")[0] for step in steps if step.worker == kind)
            worker.begin("deploy_exporters.hosting:prepare", tuple(modules))


def _follow(run: _Run, name: str) -> None:
    for step in route(run.opened.kind, name):
        if STEPS[step].writes not in run.files:
            _run_step(run, step)


def _run_step(run: _Run, name: str) -> None:
    step = STEPS[name]
    run.on_step(name)
    order = run.order
    writes = order.folder / step.writes / file_of(step.writes, order.name)
    writes.parent.mkdir(parents=True, exist_ok=True)
    reads = run.files[step.reads] if step.reads else None
    job = Job(
        reads,
        writes,
        run.opened.signature,
        tuple(order.proofs),
        order.name,
        options=order.options.get(split(step.writes)[0], {}),
        calibration=order.calibration,
        source=run.opened.source,
        ranges=order.ranges,
        kind=run.opened.kind,
        raw=order.raw,
    )
    number = None if step.reads else run.opened.number
    written, tools = _worker(run, step.worker).call(
        "deploy_exporters.hosting:run_step", step.function, number, job, step.packages, step=name
    )
    run.files[step.writes] = writes
    run.written[step.writes] = written
    run.routes[step.writes] = (*run.routes.get(step.reads, ()), f"{name} ({written.how})" if written.how else name)
    run.tools[step.writes] = {**run.tools.get(step.reads, {}), **tools}


def _worker(run: _Run, kind: str) -> Worker:
    # Such a source has TensorFlow in its own worker already.
    if kind == "source" or (kind == "tensorflow" and run.opened.kind in ("keras", "savedmodel")):
        return run.opened.worker
    if kind == "torch":  # any that has torch, or gets it for this source anyway
        return run.opened.worker if run.opened.kind in ("torch", "torchscript") else run.workers.get("keras_torch")
    return run.workers.get(kind)


def _reference(run: _Run) -> Artifact:
    failures: list[DeployError] = []
    # A .keras file only names what code a model has of its own: it could be read nowhere else.
    for name in ("savedmodel",) if run.opened.description.get("own_code") else _REFERENCES[run.opened.kind]:
        try:
            _follow(run, name)
        except ExportError as error:
            run.on_step(f"reference: {error}")
            failures.append(error)
            continue
        whole = _whole(run.files[name])
        path = run.order.folder / "reference" / whole.name
        path.parent.mkdir(exist_ok=True)
        _link(whole, path)
        return _artifact(run, name, path)
    raise ExportError(
        f"the source cannot be kept as a reference: {'; '.join(map(str, failures))}", hint=failures[-1].hint
    )


def _whole(path: Path) -> Path:
    """Give the folder instead of the file if something lies beside it that it cannot be read without."""
    return path.parent if path.is_file() and len(list(path.parent.iterdir())) > 1 else path


def _link(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link)
    else:
        os.link(source, target)


def _artifact(run: _Run, name: str, path: Path) -> Artifact:
    format_, variant = split(name)
    return Artifact(
        format=format_,
        path=path,
        signature=run.opened.signature,
        variant=variant,
        route=run.routes[name],
        options=dict(run.order.options.get(format_, {})),
        tools=run.tools[name],
        digest=digest_of(path),
        changes=run.written[name].changes,
        remarks=run.written[name].remarks,
    )


def _discard(run: _Run, wanted: Sequence[str]) -> None:
    for name, path in run.files.items():
        if name not in wanted and path.is_relative_to(run.order.folder):
            shutil.rmtree(run.order.folder / name)
