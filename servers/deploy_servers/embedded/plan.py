"""The launch of the embedded server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploy_core.endpoint import DIALECTS, TRANSPORTS, Endpoint
from deploy_model_store import Version
from deploy_servers.embedded.runtimes import RUNTIMES, choose
from deploy_servers.launch import Launch
from deploy_servers.settings import Settings, check_options, number_option

SERVES = tuple(runtime.format for runtime in RUNTIMES)
SPEAKS = DIALECTS
PROGRAMS = ()
PORTS = 0
OPTIONS: Mapping[str, str] = {
    "artifact": "which artifact of each version is served, e.g. onnx-dynamic-int8 (default: the fastest that can run)",
    "threads": "how many threads one prediction may use (default 1: several predictions run at the same time instead)",
    "parallel": "how many predictions may run at the same time (default: as many as there are CPUs)",
    "max_request_bytes": "the largest request that is taken (default 67108864)",
    "grace": "how many seconds requests that have begun get when the server is asked to stop (default 10)",
}
_LEAST = {"grace": 0}


def plan(versions: Sequence[Version], settings: Settings) -> Launch:
    """Say what would be started. Raises UsageError, TamperedError, UnavailableError for versions that cannot be served."""
    check_options("embedded", OPTIONS, settings.options)
    wanted = settings.options.get("artifact", "")
    for version in versions:
        version.require_intact(choose(version, wanted)[0])
    names = [str(version) for version in versions]
    return Launch(
        server="embedded",
        name=", ".join(names),
        command=(settings.python, "-m", "deploy_servers.embedded", *_arguments(settings), *names),
        folder=settings.folder,
        host=settings.host,
        endpoints=tuple(endpoint for version in versions for endpoint in _endpoints(version, settings)),
        ports=(settings.http_port, settings.grpc_port),
        stop_grace=number_option(settings.options, "grace", 10, least=0) + 5.0,
    )


def _arguments(settings: Settings) -> list[str]:
    arguments = ["--store", str(settings.store), "--host", settings.host]
    arguments += ["--http-port", str(settings.http_port), "--grpc-port", str(settings.grpc_port)]
    for name, value in settings.options.items():
        if name != "artifact":
            number_option(settings.options, name, 1, least=_LEAST.get(name, 1))
        arguments += [f"--{name.replace('_', '-')}", value]
    return arguments


def _endpoints(version: Version, settings: Settings) -> list[Endpoint]:
    ports = {"rest": settings.http_port, "grpc": settings.grpc_port}
    return [
        Endpoint(dialect, transport, settings.host, ports[transport], version.name, str(version.number))
        for dialect in DIALECTS
        for transport in TRANSPORTS
    ]
