"""Judging for notebooks and scripts: whether predictors agree, and how fast endpoints answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy_core.errors import InputError, UsageError
from deploy_core.scratch import Scratch
from deploy_toolkit.notebook import store_of

if TYPE_CHECKING:
    from deploy_agreement import Report
    from deploy_clients import Tls
    from deploy_core.endpoint import Endpoint
    from deploy_core.signature import Tensors
    from deploy_latency.report import Report as Measurements


def check(
    *subjects: str | Endpoint,
    servers: Sequence[str] = (),
    against: object = None,
    example: Any = None,
    inputs: Tensors | Sequence[Tensors] | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    trust: bool = False,
    search: float = 0.0,
    localise: bool = False,
    raw: Sequence[Path | str] = (),
    preprocess: str = "",
    seed: int = 0,
    found: Path | str = "deploy-check",
    timeout: float = 30.0,
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
    store: Path | str | None = None,
) -> Report:
    """Compare stored models, files and endpoints as `deploy check` does; a disagreement is in the report, not raised.

    `against` is a stored model, or the trained one itself: a model in memory, or SOURCE as `deploy export` takes it, with an
    `example` of its inputs where it has none of its own.
    `inputs` are yours, one set of arrays by name or several. `timeout`, `headers` and `tls` are for the endpoints among
    the subjects, as for `connect`. Raises UsageError for a model in memory among the subjects.
    """
    from deploy_toolkit.flows import check as flow
    from deploy_toolkit.flows.access import Access

    own = () if inputs is None else (inputs,) if isinstance(inputs, Mapping) else tuple(inputs)
    with Scratch() as folder:
        request = flow.Request(
            tuple(_named(subject) for subject in subjects),
            tuple(servers),
            _against(against, folder, example),
            {f"inputs {number}": arrays for number, arrays in enumerate(own)},
            atol,
            rtol,
            trust,
            Access(timeout, headers or {}, tls),
            search,
            localise,
            tuple(map(Path, raw)),
            seed,
            Path(found),
            example if isinstance(example, Mapping) else None,
            preprocess,
        )
        return flow.check(request, store=store_of(store))


def _named(subject: object) -> str:
    """Give a subject as it is named on the command line. Raises UsageError for a model in memory, which none is."""
    if isinstance(subject, str | PathLike) or type(subject).__module__.startswith("deploy_"):
        return str(subject)
    kind = type(subject).__name__
    raise UsageError(
        f"a {kind} is no stored model, file or endpoint that could be compared",
        hint='what was trained is what is wanted: check("model.onnx", against=model)',
    )


def _against(model: object, folder: Path, example: Any) -> Any:
    """Give what right answers come from: words as they are, a model in memory handed over."""
    if model is None or isinstance(model, str | Path):
        return None if model is None else str(model)
    from deploy_exporters.sources.handover import hand_over

    return hand_over(model, folder, example)


def bench(
    *subjects: str | Endpoint,
    rate: float | None = None,
    concurrency: int = 0,
    seconds: float = 10.0,
    servers: Sequence[str] = (),
    runtimes: Sequence[str] = (),
    transports: Sequence[str] = ("rest",),
    binary: bool = False,
    batches: Sequence[int] = (1,),
    inputs: Tensors | None = None,
    slo: str = "",
    rounds: int = 0,
    timeout: float = 30.0,
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
    store: Path | str | None = None,
) -> Measurements:
    """Measure stored models and endpoints as `deploy bench` does: by `rate` requests a second (100 unless said), or a `concurrency`.

    Times are in seconds, latencies count from the intended time of sending. A broken limit of `slo` and wrong answers are
    in the report, not raised.
    """
    from deploy_latency.load import Load
    from deploy_latency.schedules import Poisson
    from deploy_toolkit.flows.access import Access
    from deploy_toolkit.flows.bench import flow
    from deploy_toolkit.flows.bench.request import RATE, Request

    if rate is not None and concurrency:
        raise InputError("rate and concurrency are two loads", hint="give one of them")
    schedule = None if concurrency else Poisson(RATE if rate is None else rate)
    request = Request(
        tuple(map(str, subjects)),
        Load(schedule, concurrency, seconds=seconds, timeout=timeout),
        servers=tuple(servers),
        runtimes=tuple(runtimes),
        transports=tuple(transports),
        binary=binary,
        batches=tuple(batches),
        inputs=inputs,
        slo=slo,
        rounds=rounds,
        access=Access(timeout, headers or {}, tls),
        command="deploy_toolkit.bench",
    )
    return flow.bench(request, store=store_of(store))
