"""The same flows for notebooks and scripts: models in memory, data as numpy arrays, results as data."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy_core.errors import InputError
from deploy_core.scratch import Scratch

if TYPE_CHECKING:
    from deploy_clients import Tls
    from deploy_core.endpoint import Endpoint
    from deploy_core.signature import Tensors
    from deploy_toolkit.flows.export import Exported
    from deploy_toolkit.flows.migrate import Migrated
    from deploy_toolkit.flows.package import Packaged


def export(
    model: object,
    *,
    to: str | Sequence[str],
    name: str | None = None,
    example: Any = None,
    inputs: str | Sequence[str] = (),
    outputs: Sequence[str] = (),
    options: Mapping[str, Mapping[str, str]] | None = None,
    quantize: str | Sequence[str] = (),
    calibration: Tensors | Iterable[Tensors] | None = None,
    max_degradation: float | None = None,
    ranges: Mapping[str, tuple[int, int]] | None = None,
    static: bool = False,
    signature: str = "",
    trust: bool = False,
    step_seconds: float = 600,
    step_memory: float | None = None,
    preprocess: str | Sequence[Any] = (),
    labels: Path | str = "",
    raw: Sequence[Path | str] = (),
    store: Path | str | None = None,
) -> Exported:
    """Write a model (in memory, a path, or SOURCE as on the command line) in the formats `to` (one, or several), prove and store each file.

    `name` in the store: without it the model's class in lower case, or the name of the file. `example`: an array, or
    arrays by input name; the first axis is the batch. `inputs`: one or several `NAME:DTYPE[DIM,…]` that name further
    dynamic dimensions, e.g. `ids:int64[batch,seq]`. `calibration`: rows of real inputs by name, or an iterable of
    such batches. `preprocess`: a list of steps, a file of them, or the `FILE.py:FUNCTION` that training used (or several
    of these). The other options are those of `deploy export`.
    Raises ExportError if a file cannot be written, ProofError, whose `report` says where, if one disagrees; nothing is
    stored then.
    """
    from deploy_core.signature import TensorSpec
    from deploy_exporters.sources.handover import hand_over
    from deploy_toolkit.flows import export as flow
    from deploy_toolkit.flows.raw import Given

    model = str(model) if isinstance(model, Path) else model
    if isinstance(model, str) and not isinstance(example, Mapping | None):
        raise InputError(f"the inputs of {model} have names that are not known yet", hint="give example={name: array}")
    with Scratch() as folder:
        specs = tuple(map(TensorSpec.parse, [inputs] if isinstance(inputs, str) else inputs))
        source = model if isinstance(model, str) else hand_over(model, folder, example, specs, static=static)
        request = flow.Request(
            source,
            (to,) if isinstance(to, str) else tuple(to),
            name=name or (None if isinstance(model, str) else type(model).__name__.lower()),
            example=example if isinstance(example, Mapping) else None,
            inputs=specs,
            outputs=tuple(outputs),
            options=options or {},
            quantize=(quantize,) if isinstance(quantize, str) else tuple(quantize),
            calibration=_calibration(calibration),
            max_degradation=max_degradation,
            ranges=ranges or {},
            static=static,
            signature=signature,
            trust=trust,
            step_seconds=step_seconds,
            step_memory=step_memory,
            raw=Given.of(preprocess, labels, raw),
        )
        return flow.export(request, store=store_of(store))


@contextmanager
def serve(
    name: str,
    *,
    server: str = "embedded",
    dialect: str | None = None,
    transport: str = "rest",
    http_port: int = 0,
    grpc_port: int = 0,
    host: str = "127.0.0.1",
    where: str = "process",
    device: str = "cpu",
    engine: str = "",
    image: str = "",
    cpus: str = "",
    memory: str = "",
    options: Mapping[str, str] | None = None,
    store: Path | str | None = None,
) -> Generator[Endpoint]:
    """Serve one stored model, give its endpoint (in the server's first dialect unless one is named), stop on leaving.

    `where` is `process` or `container`, `options` what `--set` says; the others are those of `deploy serve`.
    """
    from deploy_core.errors import UsageError
    from deploy_toolkit.flows import serve as flow

    request = flow.Request(
        (name,),
        server,
        http_port=http_port,
        grpc_port=grpc_port,
        host=host,
        where=where,
        device=device,
        engine=engine,
        image=image,
        cpus=cpus,
        memory=memory,
        options=options or {},
    )
    with flow.serving(request, store=store_of(store)) as running:
        for endpoint in running.endpoints:
            if endpoint.transport == transport and dialect in (None, endpoint.dialect):
                yield endpoint
                return
        raise UsageError(
            f"{server} has no endpoint for dialect {dialect}, transport {transport}",
            hint=f"it has {', '.join(map(str, running.endpoints))}",
        )


def predict(
    subject: str | Endpoint,
    inputs: Mapping[str, object],
    *,
    trust: bool = False,
    timeout: float = 30.0,
    headers: Mapping[str, str] | None = None,
    tls: Tls | None = None,
    store: Path | str | None = None,
) -> Tensors:
    """Ask a stored model, a file or an endpoint once; `timeout`, `headers` and `tls` are an endpoint's, as for `connect`."""
    from deploy_toolkit.flows import predict as flow
    from deploy_toolkit.flows.access import Access

    access = Access(timeout, headers or {}, tls)
    return flow.predict(str(subject), inputs, store=store_of(store), trust=trust, access=access)


def package(
    name: str,
    *,
    target: str,
    artifact: str = "tflite",
    labels: Path | str | None = None,
    license: Path | str | None = None,
    out: Path | str | None = None,
    store: Path | str | None = None,
) -> Packaged:
    """Put a stored TFLite file into one archive for `target` (linux or android), as `deploy package` does."""
    from deploy_toolkit.flows import package as flow

    request = flow.Request(
        name,
        target,
        artifact,
        None if labels is None else str(labels),
        None if license is None else Path(license),
        None if out is None else Path(out),
    )
    return flow.package(request, store=store_of(store))


def migrate(
    archive: Path | str,
    *,
    to: str | Sequence[str],
    name: str | None = None,
    requests: Path | str | Sequence[Path | str] = (),
    example: Tensors | None = None,
    inputs: str | Sequence[str] = (),
    trust: bool = False,
    store: Path | str | None = None,
) -> Migrated:
    """Store what a TorchServe archive holds in other formats, and compare new servers with TorchServe, as `deploy migrate` does.

    `to` names formats and servers, `requests` files with bodies that the archive's handler takes. A disagreement is in
    the report of what is returned, not raised.
    """
    from deploy_core.signature import TensorSpec
    from deploy_toolkit.flows import migrate as flow

    request = flow.Request(
        Path(archive),
        (to,) if isinstance(to, str) else tuple(to),
        name,
        tuple(map(Path, [requests] if isinstance(requests, Path | str) else requests)),
        example,
        tuple(map(TensorSpec.parse, [inputs] if isinstance(inputs, str) else inputs)),
        trust,
    )
    return flow.migrate(request, store=store_of(store))


def _calibration(given: Tensors | Iterable[Tensors] | None) -> Tensors | None:
    from deploy_exporters.calibration import joined

    return given if given is None or isinstance(given, Mapping) else joined(given)


def store_of(given: Path | str | None) -> Path:
    """Give the folder of the store that is meant."""
    return Path(given or os.environ.get("DEPLOY_STORE") or "models")
