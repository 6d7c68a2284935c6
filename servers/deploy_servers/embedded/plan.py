"""The launch of the embedded server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy_core.artifact import Artifact
from deploy_core.device import Device
from deploy_core.endpoint import DIALECTS, TRANSPORTS, Endpoint
from deploy_core.errors import UsageError
from deploy_model_store import Store, Version
from deploy_model_store.manifest import MANIFEST_FILE
from deploy_servers.answering import answering, left_out
from deploy_servers.container import Contained, own_image
from deploy_servers.embedded.listing import FAILED, FILE, Listed, labelled, text
from deploy_servers.embedded.runtimes import RUNTIMES, choose
from deploy_servers.launch import Launch
from deploy_servers.settings import Settings, check_options, number_option
from deploy_servers.swap import Swap

SERVES = tuple(runtime.format for runtime in RUNTIMES)
SPEAKS = DIALECTS
PROGRAMS = ()
PORTS = 0
USUAL_PORTS = (8501, 8500)  # as TensorFlow Serving has them
OPTIONS: Mapping[str, str] = {
    "artifact": "which artifact of each version is served, e.g. onnx-dynamic-int8 (default: the fastest that can run)",
    "threads": "how many threads one prediction may use (default 1: several predictions run at the same time instead)",
    "parallel": "how many predictions may run at the same time (default: as many as there are CPUs)",
    "metrics": "the path at which Prometheus is told how many predictions ended how, e.g. /metrics (default: none)",
    "max_request_bytes": "the largest request that is taken (default 67108864)",
    "grace": "how many seconds requests that have begun get when the server is asked to stop (default 10)",
}
_LEAST = {"grace": 0}
_WAYS = tuple((dialect, transport) for dialect in DIALECTS for transport in TRANSPORTS)
LABELS = True  # aliases of the store can be asked for as labels
_STORE = "store"  # the folder, below the run's own, in which a container finds the versions


def image(device: Device) -> str:
    """Give the image that its container runs unless another is named."""
    return own_image("embedded", device)


def plan(versions: Sequence[Version], settings: Settings) -> Launch:
    """Say what would be started. Raises UsageError, TamperedError, UnavailableError for versions that cannot be served."""
    check_options("embedded", OPTIONS, settings.options)
    if len(settings.device.indexes) > 1:
        raise UsageError(f"the embedded server runs on one GPU, not on {settings.device}", hint="give one index")
    wanted = settings.options.get("artifact", "")
    contained = settings.container is not None
    chosen = [(version, choose(version, wanted, anywhere=contained)[0]) for version in versions]
    for version, artifact in chosen:
        version.require_intact(artifact)
    return Launch(
        server="embedded",
        name=", ".join(map(str, versions)),
        command=_command(settings),
        folder=settings.folder,
        host=settings.host,
        endpoints=tuple(endpoint for version in versions for endpoint in _endpoints(version, settings)),
        ports=settings.all_ports,
        env={} if contained else settings.device.env,
        files={FILE: text(labelled(versions, Store(settings.store)))},
        links=_links(chosen) if contained else {},
        fatal=(FAILED,),
        stop_grace=number_option(settings.options, "grace", 10, least=0) + 5.0,
        engine=settings.engine,
        notes=left_out(versions, _WAYS),
    )


def swap(old: Sequence[Version], new: Sequence[Version], settings: Settings) -> Swap:
    """Say how it comes to serve `new` instead of `old`: what is new is loaded beside the old, on trial; then the file lists it alone."""
    launch = plan(new, settings)
    known = {str(version) for version in old}
    before = tuple(Listed(version.name, version.number) for version in old)
    tried = tuple(Listed(v.name, v.number, (), on_trial=True) for v in new if str(v) not in known)
    own = {f"{_STORE}/{version.name}/{version.number}" for version in new}
    gone = {f"{_STORE}/{version.name}/{version.number}" for version in old} - own
    return Swap(
        launch=launch,
        endpoints=launch.endpoints,
        links=launch.links,
        files={FILE: text((*before, *tried))},
        files_after=launch.files,
        unlinks=tuple(sorted(gone)) if settings.container else (),
        files_before={FILE: text(before)},
    )


def _command(settings: Settings) -> tuple[str, ...]:
    arguments = tuple(_arguments(settings))
    if settings.container is None:
        return (settings.python, "-m", "deploy_servers.embedded", *arguments)
    return settings.contained(Contained(image(settings.device), arguments, {}))


def _links(chosen: Sequence[tuple[Version, Artifact]]) -> dict[str, Path]:
    """Give what a container's small store is made of: of each version, what vouches for the file, and the file."""
    links = {}
    for version, artifact in chosen:
        for path in (version.path / MANIFEST_FILE, artifact.path):
            place = path.relative_to(version.path).as_posix()
            links[f"{_STORE}/{version.name}/{version.number}/{place}"] = path
    return links


def _arguments(settings: Settings) -> list[str]:
    store = settings.store if settings.container is None else settings.inside / _STORE
    arguments = ["--store", str(store), "--models", str(settings.inside / FILE), "--host", settings.listen]
    if settings.container and not settings.baked:
        arguments += ["--published", settings.host]
    arguments += ["--http-port", str(settings.http_port), "--grpc-port", str(settings.grpc_port)]
    for name, value in settings.options.items():
        if name == "metrics":
            _require_path(value)
        elif name != "artifact":
            number_option(settings.options, name, 1, least=_LEAST.get(name, 1))
        arguments += [f"--{name.replace('_', '-')}", value]
    return [*arguments, "--device", settings.device.kind] if settings.device.on_gpu else arguments


def _require_path(value: str) -> None:
    if not value.startswith("/") or value.startswith(("/v1/", "/v2/", "/predictions/")):
        raise UsageError(f"option metrics is {value!r}", hint="give a path that no dialect has, such as /metrics")


def _endpoints(version: Version, settings: Settings) -> tuple[Endpoint, ...]:
    return answering(version, [settings.endpoint(*way, version.name, version.number) for way in _WAYS])
