"""Somebody's TorchServe archive → a version of this store, and the proof that a new server answers what TorchServe does."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy_agreement import Agreement, Noise, Report, failed
from deploy_core import state
from deploy_core.errors import DeployError, UnavailableError, UsageError
from deploy_core.scratch import Scratch
from deploy_core.signature import Tensors, TensorSpec
from deploy_core.table import require
from deploy_exporters import sources
from deploy_exporters.formats import FORMATS
from deploy_exporters.safety import require_safe
from deploy_exporters.worker import Worker, Workers
from deploy_model_store import Version
from deploy_servers import SERVERS
from deploy_toolkit.flows import answers, export, serve
from deploy_toolkit.flows.answers import Body
from deploy_toolkit.flows.export import Exported
from deploy_toolkit.flows.export.extension import opened_reference
from deploy_toolkit.output import OnEvent, silent

_ARCHIVED = "deploy_exporters.archived"
_ROWS = 8  # of the golden inputs that TorchServe is asked for, each as one request


@dataclass(frozen=True)
class Request:
    """Which archive to migrate, and to what: `to` names formats, or servers, each of which stands for what it serves.

    `requests` are bodies that the archive's handler takes; `example` and `inputs` say what its model takes, where no
    request does. `trust` lets the archive's code run.
    """

    archive: Path
    to: tuple[str, ...]
    name: str | None = None
    requests: tuple[Path, ...] = ()
    example: Tensors | None = None
    inputs: tuple[TensorSpec, ...] = ()
    trust: bool = False


@dataclass(frozen=True)
class Migrated:
    """The stored version, and how the answers of the new servers compare with those of TorchServe."""

    exported: Exported
    report: Report
    requests: int
    kept: str

    def to_json(self) -> dict[str, Any]:
        """Give the document that `deploy migrate --json` prints."""
        return {
            "schema": "deploy/migrate/1",
            "export": self.exported.to_json(),
            "requests": self.requests,
            "handler": self.kept,
            "agreement": self.report.to_json(),
        }

    def __repr__(self) -> str:
        return f"{self.exported!r}\nbeside TorchServe, {self.requests} requests: {self.report!r}"


def migrate(request: Request, *, store: Path, on_event: OnEvent = silent) -> Migrated:
    """Store the model inside an archive in other formats, serve it, and compare with TorchServe on the archive itself.

    Raises UsageError, UnsafeError for code that is not trusted, ExportError as `export` does, UnavailableError if a
    server does not come up. A disagreement is in the report.
    """
    formats, servers = targets(request.to)
    _require_archive(request.archive)
    require("migrating an archive", SERVERS["torchserve"].needs, "torchserve")
    require_safe(request.archive, "mar", trust=request.trust)
    with Workers(state.logs()) as workers, Scratch() as folder:
        around = _Around(workers, request.archive, trust=request.trust)
        bodies = [answers.body_of(path) for path in request.requests]
        example = around.example(bodies) if bodies else request.example
        on_event(f"exporting the model inside {request.archive.name}")
        handler = _Handler(request.archive, folder)
        exported = export.export(_order(request, formats, example, handler), store=store, on_event=on_event)
        bodies += answers.encoded(exported.version.golden.inputs, around.takes, _ROWS)
        _require_bodies(bodies, exported.version)
        on_event(f"asking TorchServe on {request.archive.name}, requests: {len(bodies)}")
        wanted = _Wanted(around, bodies, _torchserve(request.archive, bodies, on_event), workers, exported.version)
        rows = [row for server in servers for row in _rows(wanted, server, handler, store, on_event)]
        return Migrated(exported, Report(tuple(rows)), len(bodies), handler.name)


def targets(to: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the formats to write and the servers to try. Raises UsageError for a word that is neither."""
    servers = tuple(name for name in to if name in SERVERS)
    if unknown := [name for name in to if name not in SERVERS and name.partition("-")[0] not in FORMATS]:
        known = ", ".join((*SERVERS, *FORMATS))
        raise UsageError(f"{unknown[0]!r} is neither a format nor a server", hint=f"--to takes {known}")
    stands_for = {name: _format(name) for name in servers}
    formats = tuple(dict.fromkeys(stands_for.get(name, name) for name in to))
    return formats, servers or ("embedded",)


def _format(server: str) -> str:
    return "onnx" if server == "embedded" else str(SERVERS.load(server).SERVES[0])


def _order(request: Request, formats: Sequence[str], example: Tensors | None, handler: _Handler) -> export.Request:
    path = request.archive.resolve()
    source = sources.Source(str(request.archive), path.parent, path=path, inside=True)
    return export.Request(
        source,
        tuple(formats),
        name=request.name,
        example=example,
        inputs=request.inputs,
        options={"mar": handler.options} if "mar" in formats and handler.options else {},
        trust=request.trust,
    )


def _require_bodies(bodies: Sequence[Body], version: Version) -> None:
    if not bodies:
        raise UsageError(
            f"{version} is stored, but nobody knows how to ask the archive's handler for its golden inputs",
            hint="give --request FILE with a body that the handler takes, and TorchServe is asked that",
        )


class _Around:
    """The archive in a worker: what its handler makes of requests, and of a model's answers."""

    def __init__(self, workers: Workers, path: Path, *, trust: bool) -> None:
        self._worker: Worker = workers.get("runtime")
        self._number = self._worker.call(f"{_ARCHIVED}:open_archive", path.absolute(), trust=trust)

    def asks(self, bodies: Sequence[Body]) -> list[Tensors]:
        """Give what the handler asks its model for each request."""
        found: list[Tensors] = self._worker.call(f"{_ARCHIVED}:asked", self._number, list(bodies))
        return found

    def answers(self, bodies: Sequence[Body], outputs: Sequence[Tensors]) -> list[bytes]:
        """Give what it answers when its model's answers are these."""
        found: list[bytes] = self._worker.call(f"{_ARCHIVED}:answers", self._number, list(bodies), list(outputs))
        return found

    def example(self, bodies: Sequence[Body]) -> Tensors:
        """Give example inputs for the model: what it is asked for the first request."""
        return self.asks(bodies[:1])[0]

    def takes(self, body: Body) -> Tensors | None:
        """Give what the model is asked for a request that the handler may not take; None if it does not."""
        try:
            return self.asks([body])[0]
        except UsageError:
            return None


class _Handler:
    """The archive's own handler and what lies beside it, unpacked so that a new archive can carry them."""

    def __init__(self, archive: Path, folder: Path) -> None:
        import json

        with zipfile.ZipFile(archive) as opened:
            model = json.loads(opened.read("MAR-INF/MANIFEST.json"))["model"]
            module = f"{str(model['handler']).partition(':')[0].removesuffix('.py')}.py"
            self.name = module if module in opened.namelist() else ""
            left = {module, model.get("modelFile"), model.get("serializedFile"), model.get("requirementsFile")}
            beside = [name for name in opened.namelist() if name not in left and "/" not in name]
            for name in (*beside, *([module] if self.name else [])):
                opened.extract(name, folder)
        self._files = [str(folder / name) for name in beside]
        self._module = str(folder / module)

    @property
    def options(self) -> Mapping[str, str]:
        """Give the options of a .mar that keeps the handler; TorchServe itself proves it afterwards."""
        if not self.name:
            return {}
        files = {"extra-files": ",".join(self._files)} if self._files else {}
        return {"handler": self._module, **files, "unproved": "yes"}


@dataclass(frozen=True)
class _Wanted:
    around: _Around
    bodies: Sequence[Body]
    answers: Sequence[bytes]
    workers: Workers
    version: Version

    def row(self, subject: str, got: Sequence[bytes]) -> Agreement:
        """Compare answers with those of TorchServe."""
        return answers.compared(subject, self.answers, got, self.noise)

    @cached_property
    def noise(self) -> Noise:
        """Give how much the numbers of the answers move by rounding: the reference in float64, through the handler."""
        asked = self.around.asks(self.bodies)
        reference = self.version.reference
        assert reference is not None  # an export has written it a moment ago
        opened = opened_reference(self.workers, self.version, reference, trust=False)
        try:
            exact = [opened.predict_float64(inputs) for inputs in asked]
            return answers.moved(self.answers, self.around.answers(self.bodies, exact))
        except DeployError:
            return Noise({}, "none: the model or its handler does not compute in float64")
        finally:
            opened.close()


def _require_archive(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="name an archive of TorchServe, FILE.mar")
    try:
        with zipfile.ZipFile(path) as opened:
            opened.getinfo("MAR-INF/MANIFEST.json")
    except (zipfile.BadZipFile, KeyError):
        raise UsageError(
            f"{path} is no archive of TorchServe: it is no zip file with MAR-INF/MANIFEST.json in it",
            hint="torch-model-archiver makes one; `deploy export FILE` takes a model's own file",
        ) from None


def _torchserve(path: Path, bodies: Sequence[Body], on_event: OnEvent) -> list[bytes]:
    from deploy_servers.torchserve import raw

    with raw.serving(path.absolute(), bodies, timeout=serve.START_SECONDS, on_event=on_event) as told:
        return told


def _rows(wanted: _Wanted, server: str, handler: _Handler, store: Path, on_event: OnEvent) -> Iterator[Agreement]:
    if server == "torchserve" and handler.name:
        archive = wanted.version.artifact("mar").path
        yield wanted.row(f"torchserve with {handler.name}", _torchserve(archive, wanted.bodies, on_event))
        return
    order = serve.Request((str(wanted.version),), server)
    try:
        with serve.serving(order, store=store, on_event=on_event) as running:
            for endpoint in running.endpoints:
                yield wanted.row(str(endpoint), _through(endpoint, wanted))
    except UnavailableError as error:
        yield failed(server, error)


def _through(endpoint: Any, wanted: _Wanted) -> list[bytes]:
    from deploy_clients import connect

    with connect(endpoint) as client:
        outputs = [client.predict(inputs) for inputs in wanted.around.asks(wanted.bodies)]
    return wanted.around.answers(wanted.bodies, outputs)
